"""The API's guard: it answers at once, whatever happens to it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from flask import Flask
from werkzeug.test import TestResponse


def ask(app: Flask, key: str | None = None, path: str = "/api/products") -> TestResponse:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    began = time.perf_counter()
    answer = app.test_client().get(path, headers=headers)
    assert time.perf_counter() - began < 1.0
    return answer


def test_one_of_several_keys_opens(make: Callable[..., Flask]) -> None:
    app = make(SHOP_API_KEYS="first, second")
    for key in ("first", "second"):
        answer = ask(app, key)
        assert answer.status_code == 200
        assert answer.json and answer.json["products"][0] == {
            "id": "lantern", "name": "Storm lantern", "cents": 4200, "stock": 18,
        }  # fmt: skip


@pytest.mark.parametrize("key", [None, "", "firs", "firstx", "FIRST", "first, second", "schlüssel", "\x00", "x" * 5000])
def test_any_other_key_is_a_403(make: Callable[..., Flask], key: str | None) -> None:
    answer = ask(make(SHOP_API_KEYS="first,second"), key)
    assert (answer.status_code, answer.mimetype) == (403, "application/json")
    assert answer.json and "Bearer" in answer.json["error"]


@pytest.mark.parametrize("keys", ["", " , ,"])
def test_without_keys_the_api_is_closed_and_says_so(make: Callable[..., Flask], keys: str) -> None:
    answer = ask(make(SHOP_API_KEYS=keys), "")
    assert (answer.status_code, answer.mimetype) == (503, "application/json")
    assert answer.json and "SHOP_API_KEYS" in answer.json["error"]


def test_the_guards_own_failure_is_a_503_and_a_line_in_the_log(
    make: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    app = make(SHOP_API_KEYS="first")
    app.config["SHOP_API_KEYS"] = 42  # not what it can work with
    answer = ask(app, "first")
    assert (answer.status_code, answer.mimetype) == (503, "application/json")
    assert "guard failed" in caplog.text and "TypeError" in caplog.text
    assert "TypeError" not in answer.text


def test_every_api_address_is_guarded(make: Callable[..., Flask]) -> None:
    app = make(SHOP_API_KEYS="first")
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api")]
    assert len(rules) == 3
    for rule in rules:
        for method in (rule.methods or set()) - {"OPTIONS"}:
            path = rule.rule.replace("<product_id>", "mug")
            assert app.test_client().open(path, method=method).status_code == 403


def test_stock_can_be_set(make: Callable[..., Flask]) -> None:
    client = make(SHOP_API_KEYS="k").test_client()
    headers = {"Authorization": "Bearer k"}

    def put(product: str, body: object) -> TestResponse:
        return client.put(f"/api/products/{product}/stock", json=body, headers=headers)

    assert put("bell", {"stock": 77}).json == {"id": "bell", "stock": 77}
    assert put("anchor", {"stock": 1}).status_code == 404
    for wrong in ({"stock": -1}, {"stock": "7"}, {"stock": True}, {"stock": 1.5}, {}, [], {"stock": 10**30}):
        answer = put("bell", wrong)
        assert (answer.status_code, answer.mimetype) == (400, "application/json")
    stocks = {
        product["id"]: product["stock"] for product in client.get("/api/products", headers=headers).json["products"]
    }
    assert stocks["bell"] == 77


def test_api_errors_are_json(make: Callable[..., Flask]) -> None:
    answer = ask(make(SHOP_API_KEYS="k"), "k", "/api/nothing")
    assert (answer.status_code, answer.mimetype) == (404, "application/json")


def test_orders_are_listed(make: Callable[..., Flask]) -> None:
    app = make(SHOP_API_KEYS="k")
    client = app.test_client()
    client.post("/basket/mug")
    client.post("/checkout")
    orders = ask(app, "k", "/api/orders").json["orders"]
    assert [(order["id"], order["cents"]) for order in orders] == [(1, 1400)]
    assert orders[0]["placed"].endswith("Z")
