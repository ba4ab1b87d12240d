"""The shop as a visitor uses it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask, session
from flask.testing import FlaskClient
from myapp import database
from myapp.shop import release_name


def test_the_shelf_is_filled_on_the_first_visit(client: FlaskClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "Storm lantern" in page.text
    assert "€42.00" in page.text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert "Set-Cookie" not in page.headers  # nothing to remember yet


def test_an_order_takes_from_the_stock(client: FlaskClient, tmp_path: Path) -> None:
    client.post("/basket/mug")
    client.post("/basket/mug")
    client.post("/basket/bell", data={"quantity": "3"})
    basket = client.get("/basket").text
    assert "€28.00" in basket and "€253.50" in basket and "€281.50" in basket

    answer = client.post("/checkout")
    assert (answer.status_code, answer.location) == (303, "/thanks")
    assert "€281.50" in client.get("/thanks").text
    assert "Nothing in it yet" in client.get("/basket").text
    db = sqlite3.connect(tmp_path / "shop.sqlite3")
    assert db.execute("SELECT id, stock FROM products WHERE id IN ('bell', 'mug') ORDER BY id").fetchall() == [
        ("bell", 3),
        ("mug", 58),
    ]
    assert db.execute("SELECT sum(quantity * cents) FROM order_lines").fetchone() == (28150,)


def test_nobody_gets_what_is_sold_out_and_nothing_is_half_ordered(make: Callable[..., Flask], tmp_path: Path) -> None:
    app = make()
    first, second = app.test_client(), app.test_client()
    for visitor in (first, second):
        visitor.post("/basket/mug", data={"quantity": "1"})
        visitor.post("/basket/bell", data={"quantity": "6"})  # all there are
    first.post("/checkout")
    answer = second.post("/checkout", follow_redirects=True)
    assert "Not enough left of: Dinner bell." in answer.text
    db = sqlite3.connect(tmp_path / "shop.sqlite3")
    assert db.execute("SELECT stock FROM products WHERE id = 'mug'").fetchone() == (59,)
    assert db.execute("SELECT count(*) FROM orders").fetchone() == (1,)


@pytest.mark.parametrize("quantity, kept", [("0", None), ("-5", None), ("7", 7), ("100000", 99), ("many", 2)])
def test_counts_stay_within_reason(client: FlaskClient, quantity: str, kept: int | None) -> None:
    with client:
        client.post("/basket/rope")
        client.post("/basket/rope", data={"quantity": quantity})
        assert session["basket"].get("rope") == kept


def test_an_unknown_product_is_not_put_into_the_basket(client: FlaskClient) -> None:
    with client:
        assert client.post("/basket/anchor").status_code == 303
        assert "basket" not in session
    assert client.post("/checkout").location == "/basket"
    assert client.get("/thanks").location == "/"


def test_errors_are_pages_for_people(client: FlaskClient) -> None:
    missing = client.get("/nowhere")
    assert (missing.status_code, missing.mimetype) == (404, "text/html")
    wrong = client.get("/checkout")
    assert wrong.status_code == 405 and "POST" in wrong.headers["Allow"]
    assert client.post("/currency", data={"currency": "x" * 70_000}).status_code == 413


def test_a_locked_database_is_a_503_and_not_a_long_wait(
    make: Callable[..., Flask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY", 0.05)
    client = make().test_client()
    client.post("/basket/mug")
    other = sqlite3.connect(tmp_path / "shop.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = client.post("/checkout")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert client.get("/basket").status_code == 200  # readers go on
    other.execute("ROLLBACK")
    assert client.post("/checkout").location == "/thanks"


def test_another_sites_form_is_refused(client: FlaskClient) -> None:
    def post(**headers: str) -> int:
        return client.post("/basket/mug", headers={k.replace("_", "-"): v for k, v in headers.items()}).status_code

    assert post(Sec_Fetch_Site="same-origin") == 303
    assert post(Sec_Fetch_Site="cross-site") == 403
    assert post(Sec_Fetch_Site="same-site") == 403
    assert post(Origin="http://localhost") == 303
    assert post(Origin="http://evil.example") == 403
    assert post(Origin="null") == 403
    assert post() == 303  # curl


def test_health_says_what_is_wrong(make: Callable[..., Flask], tmp_path: Path) -> None:
    well = make().test_client().get("/healthz")
    assert well.status_code == 200
    assert well.json == {"status": "ok", "release": "development", "database": "ok", "sessions": "ok"}
    assert "Set-Cookie" not in well.headers and well.headers["Cache-Control"] == "no-store"

    (tmp_path / "not-a-database").write_text("plain text, much longer than nothing " * 99)
    ill = make(SHOP_DATABASE=str(tmp_path / "not-a-database")).test_client().get("/healthz")
    assert (ill.status_code, ill.json and ill.json["database"]) == (503, "DatabaseError")

    nowhere = make(SHOP_DATABASE=str(tmp_path / "not-a-database" / "shop.sqlite3")).test_client().get("/healthz")
    assert nowhere.status_code == 503
    assert nowhere.json and nowhere.json["sessions"] == "no secret"


def test_the_releases_name_is_read_from_the_path() -> None:
    code = Path("/srv/shop/releases/v1.4.2-1a2b3c4d/code/myapp/shop.py")
    assert release_name(code) == "v1.4.2-1a2b3c4d"
    assert release_name(Path("/home/ada/shop/myapp/shop.py")) == "development"


def test_static_files_change_their_address_with_their_content(client: FlaskClient) -> None:
    page = client.get("/").text
    address = page.split('rel="stylesheet" href="')[1].split('"')[0]
    assert address.startswith("/static/shop.css?v=")
    assert "max-age=31536000" in client.get(address).headers["Cache-Control"]
