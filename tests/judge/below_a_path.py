"""The bundled app below a path."""

from __future__ import annotations

import re

from tests.judge.host import API_KEY, ask
from tests.patience import patience


def test_every_link_stays_below_the_path() -> None:
    page = ask("outlet", "/shop/")
    assert page.status == 200
    links = re.findall(r'(?:href|src|action)="([^"#][^"]*)"', page.body.decode())
    assert len(links) > 10
    assert [link for link in links if not link.startswith(("/shop/", "https://"))] == []
    for link in sorted({link for link in links if link.startswith("/shop/static/")})[:4]:
        assert ask("outlet", link).status == 200, link


def test_redirects_and_cookies_too() -> None:
    put = ask("outlet", "/shop/basket/bell", "POST", body=b"", headers={"Content-Length": "0"})
    assert (put.status, put.headers["Location"]) == (303, "/shop/#bell")
    assert "Path=/shop" in put.headers["Set-Cookie"]


def test_the_path_without_its_slash_leads_there() -> None:
    answer = ask("outlet", "/shop?a=b")
    assert answer.status == 308
    assert answer.headers["Location"].endswith("/shop/?a=b"), answer.headers["Location"]


def test_the_app_knows_where_it_is() -> None:
    facts = ask("outlet", "/shop/about.json").json
    assert (facts["mount"], facts["home"]) == ("/shop", "http://mall.test/shop/")


def test_nothing_is_beside_it() -> None:
    for path in ("/", "/shopping", "/healthz", "/shop/../healthz"):
        assert ask("outlet", path).status == 404, path


def test_the_api_wants_its_key_and_says_so_at_once() -> None:
    for key in (None, "", "wrong", API_KEY[:-1]):
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        answer = ask("outlet", "/shop/api/products", headers=headers)
        assert (answer.status, answer.headers.get_content_type()) == (403, "application/json"), key
        assert answer.seconds < patience(2)  # sooner than any second try could be
    answer = ask("outlet", "/shop/api/products", headers={"Authorization": f"Bearer {API_KEY}"})
    assert answer.status == 200
    assert answer.json["products"]
