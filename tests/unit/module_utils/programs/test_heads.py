"""The head of a usual request, read at once. That it is read as gunicorn reads it, `test_threads_like_gthread` shows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.programs.serving.heads import quick_parser
from gunicorn.config import Config

FROM_NGINX = (
    "GET /cart/3?sort=price HTTP/1.1\r\nHost: shop.test\r\nX-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n"
    "X-Request-ID: 0123456789abcdef\r\ncookie: a=1; b=2\r\n"
)


class Read(Exception):
    """gunicorn itself reads the head."""


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Reads a request from the pieces in which it arrives."""
    parser = quick_parser()
    gunicorns = parser.mesg_class.__mro__[2]

    def read(request: object, unreader: object) -> bytes:
        raise Read

    monkeypatch.setattr(gunicorns, "parse", read)
    return lambda *pieces: next(parser(Config(), iter(piece.encode("latin-1") for piece in pieces), ""))


def test_a_head_as_nginx_sends_it(parse: Callable[..., Any]) -> None:
    request = parse(FROM_NGINX + "Content-Length: 5\r\n\r\nhello")
    assert (request.method, request.uri, request.path, request.query) == (
        "GET",
        "/cart/3?sort=price",
        "/cart/3",
        "sort=price",
    )
    assert (request.version, request.scheme, request.fragment) == ((1, 1), "https", "")
    assert request.headers[0] == ("HOST", "shop.test")
    assert request.headers[4:] == [("COOKIE", "a=1; b=2"), ("CONTENT-LENGTH", "5")]
    assert request.body.read() == b"hello"


@pytest.mark.parametrize(
    "pieces",
    [
        (FROM_NGINX,),
        (FROM_NGINX[:60], FROM_NGINX[60:] + "\r\n"),
        (FROM_NGINX + "Expect: 100-continue\r\n\r\n",),
        (FROM_NGINX + "Host: two.test\r\n\r\n",),
        (FROM_NGINX + "X-Forwarded-Ssl: off\r\n\r\n",),
        (FROM_NGINX + "X-Long: " + "v" * 8190 + "\r\n\r\n",),
        (FROM_NGINX + "X_Under: score\r\n\r\n",),
        (FROM_NGINX + "X-Blank: behind \r\n\r\n",),
        (FROM_NGINX.replace("/cart", "//cart") + "\r\n",),
        (FROM_NGINX.replace("?", "#") + "\r\n",),
        (FROM_NGINX.replace("HTTP/1.1", "HTTP/2.0") + "\r\n",),
        (FROM_NGINX.replace("\r\n", "\n") + "\n",),
        (FROM_NGINX.replace("GET", "get") + "\r\n",),
        ("",),
    ],
)
def test_any_other_head_is_left_to_gunicorn(parse: Callable[..., Any], pieces: tuple[str, ...]) -> None:
    with pytest.raises(Read):
        parse(*pieces)


def test_a_hostile_head_costs_little(parse: Callable[..., Any]) -> None:
    """No head makes the pattern try many ways: each byte is looked at a few times."""
    for filler in ("a" * 8000, "a:" * 4000, "a: " + " " * 8000, "a: \t" * 2000, "a:\r\n" * 2000, "/" * 8000):
        begin = time.process_time()
        with pytest.raises(Read):
            parse(f"GET / HTTP/1.1\r\nHost: x\r\n{filler}")
        assert time.process_time() - begin < 0.05


def test_gunicorns_parser_in_c_comes_first(parse: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gunicorn.http.message._check_fast_parser", lambda settings: True)
    with pytest.raises(Read):
        parse(FROM_NGINX + "\r\n")
