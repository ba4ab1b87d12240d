"""Behind nginx: whose word counts, and where the links lead."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask import Flask

FORGED = {
    "X-Forwarded-For": "6.6.6.6, 203.0.113.7",  # the visitor wrote the first, nginx the second
    "X-Forwarded-Proto": "gopher, https",
    "X-Forwarded-Host": "evil.example, shop.example.com",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Port": "666",
}


def test_one_proxy_is_believed_and_no_more(make: Callable[..., Flask]) -> None:
    facts = make().test_client().get("/about.json", headers=FORGED).json
    assert facts["client"] == "203.0.113.7"
    assert facts["scheme"] == "https"
    assert facts["host"] == "shop.example.com"
    assert facts["mount"] == "/"
    assert facts["home"] == "https://shop.example.com/"


def test_a_balancer_before_nginx_is_one_hop_more(make: Callable[..., Flask]) -> None:
    headers = {"X-Forwarded-For": "6.6.6.6, 203.0.113.7, 10.0.0.5", "X-Forwarded-Proto": "https"}
    facts = make(SLIPWAY_PROXIES="2").test_client().get("/about.json", headers=headers).json
    assert (facts["client"], facts["scheme"]) == ("203.0.113.7", "https")


def test_without_proxies_no_header_is_believed(make: Callable[..., Flask]) -> None:
    facts = make(SLIPWAY_PROXIES="0").test_client().get("/about.json", headers=FORGED).json
    assert (facts["client"], facts["scheme"], facts["host"]) == ("127.0.0.1", "http", "localhost")


@pytest.mark.parametrize("text", ["-1", "two", "1.5", "²"])
def test_a_number_of_proxies_that_is_none_stops_the_release_at_import(make: Callable[..., Flask], text: str) -> None:
    with pytest.raises(ValueError, match="SLIPWAY_PROXIES is"):
        make(SLIPWAY_PROXIES=text)


def test_every_link_stays_under_the_mount(make: Callable[..., Flask]) -> None:
    client = make().test_client()
    mount = {"SCRIPT_NAME": "/shop"}
    client.post("/shop/basket/mug", environ_overrides={**mount, "PATH_INFO": "/basket/mug"})
    seen = 0
    for path in ("/", "/basket", "/about", "/nowhere"):
        page = client.get("/shop", environ_overrides={**mount, "PATH_INFO": path})
        assert page.status_code == (404 if path == "/nowhere" else 200)
        links = re.findall(r'(?:href|src|action)="([^"]*)"', page.text)
        assert links
        for link in links:
            assert link.startswith(("/shop/", "#")), link
            seen += 1
    assert seen > 40
    answer = client.post("/shop/checkout", environ_overrides={**mount, "PATH_INFO": "/checkout"})
    assert answer.location == "/shop/thanks"
    facts = client.get("/shop/about.json", environ_overrides={**mount, "PATH_INFO": "/about.json"}).json
    assert (facts["mount"], facts["home"]) == ("/shop", "http://localhost/shop/")
