"""The outside service: well, hiccuping, dead, silent, and talking nonsense."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from conftest import Service
from flask import Flask
from flask.testing import FlaskClient
from myapp import rates
from myapp.rates import Rates

GOOD = (200, b'{"rates": {"USD": 1.1, "GBP": 0.85, "CHF": 0.95}}')


def in_dollars(client: FlaskClient) -> tuple[str, float]:
    """Return the page in dollars and the seconds it took."""
    began = time.perf_counter()
    page = client.post("/currency", data={"currency": "USD"}, follow_redirects=True).text
    return page, time.perf_counter() - began


@pytest.fixture
def silent() -> Iterator[str]:
    """A service that takes the call and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def dead_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}/"  # closed again when this returns


def test_prices_in_another_currency(make: Callable[..., Flask], service: Service) -> None:
    client = make(SHOP_RATES_URL=service.url).test_client()
    client.get("/")
    assert service.asked == 0  # nobody wanted it
    page, _ = in_dollars(client)
    assert "$46.20" in page  # 42.00 * 1.1
    client.get("/")
    assert service.asked == 1  # remembered


def test_not_set_up_is_shown_as_unavailable(client: FlaskClient) -> None:
    assert "Other currencies: unavailable" in client.get("/").text
    page, _ = in_dollars(client)  # from an old page
    assert "€42.00" in page and "Exchange rates are unavailable" in page


def test_a_hiccup_is_tried_again_and_nobody_notices(make: Callable[..., Flask], service: Service) -> None:
    service.script = [(503, b""), GOOD]
    page, _ = in_dollars(make(SHOP_RATES_URL=service.url).test_client())
    assert "$46.20" in page and service.asked == 2


def test_a_wrong_address_is_not_tried_again(service: Service) -> None:
    service.script = [(404, b"")]
    assert Rates(service.url).current() is None
    assert service.asked == 1


@pytest.mark.parametrize("kind", ["dead", "silent"])
def test_a_dead_service_costs_milliseconds_once_the_breaker_is_open(
    make: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch, silent: str, kind: str
) -> None:
    monkeypatch.setattr(rates, "READ", 0.2)
    client = make(SHOP_RATES_URL=silent if kind == "silent" else dead_url()).test_client()
    for _ in range(rates.LIMIT):
        page, took = in_dollars(client)
        assert "€42.00" in page and "Exchange rates are unavailable" in page
        assert took < 2.0
        if kind == "silent":
            assert took > 0.2  # it did wait for it
    quickest = min(in_dollars(client)[1] for _ in range(5))
    assert quickest < 0.05
    assert client.get("/about.json").json["rates"] == "left alone after failures"
    assert client.get("/healthz").status_code == 200


def test_the_breaker_closes_when_the_service_is_back(service: Service) -> None:
    now = 0.0
    service.script = [(404, b"")] * rates.LIMIT + [(404, b""), GOOD]
    shop = Rates(service.url, pause=30, clock=lambda: now)
    for _ in range(rates.LIMIT):
        shop.current()
    assert shop.breaker.is_open()
    shop.current()
    assert service.asked == rates.LIMIT  # left alone
    now = 31
    assert shop.current() is None and shop.breaker.is_open()  # one try, which failed: open again
    assert service.asked == rates.LIMIT + 1
    now = 62
    assert shop.current() == {"USD": 1.1, "GBP": 0.85, "CHF": 0.95}
    assert not shop.breaker.is_open() and shop.state == "known"


def test_old_rates_are_better_than_none_for_a_day(service: Service) -> None:
    now = 0.0
    service.script = [GOOD, (404, b"")]
    shop = Rates(service.url, clock=lambda: now)
    assert shop.current()
    now = rates.FRESH + 1
    assert shop.current() and service.asked == 2
    now = rates.STALE + 1
    assert shop.current() is None


def test_a_slow_service_holds_up_one_thread_and_not_the_others(monkeypatch: pytest.MonkeyPatch, silent: str) -> None:
    monkeypatch.setattr(rates, "READ", 0.5)
    shop = Rates(silent)
    first = threading.Thread(target=shop.current)
    first.start()
    time.sleep(0.1)
    began = time.perf_counter()
    assert shop.current() is None
    assert time.perf_counter() - began < 0.2
    first.join()


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"rates": null}', b'{"rates": {}}', b'{"rates": {"USD": "much"}}',
     b'{"rates": {"USD": 0}}', b'{"rates": {"USD": NaN}}', b'{"rates": {"USD": -1}}', b'{"rates": {"USD": 1e999}}',
     b'{"rates": {"USD": 1' + b"0" * 400 + b"}}", b"[" * 100_000],
)  # fmt: skip
def test_nonsense_is_no_rates_and_no_error_page(
    make: Callable[..., Flask], service: Service, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    service.script = [(200, body)]
    page, _ = in_dollars(make(SHOP_RATES_URL=service.url).test_client())
    assert "€42.00" in page
    assert "No exchange rates" in caplog.text and "s3cret" not in caplog.text


def test_a_wrong_setting_stops_the_release_at_import(make: Callable[..., Flask]) -> None:
    with pytest.raises(ValueError, match="SHOP_RATES_URL must begin with"):
        make(SHOP_RATES_URL="file:///etc/passwd")
