"""The bundled app under its domain, as a client gets it."""

from __future__ import annotations

import re
import socket
from concurrent.futures import ThreadPoolExecutor

from tests.judge.host import Instance, address, ask, until
from tests.patience import patience


def test_the_page_is_there() -> None:
    answer = ask("shop")
    assert answer.status == 200
    assert b"The Chandlery" in answer.body


def test_its_style_is_there() -> None:
    (style,) = re.findall(r'rel="stylesheet" href="([^"]+)"', ask("shop").body.decode())
    assert ask("shop", style).headers.get_content_type() == "text/css"


def test_health_names_the_release() -> None:
    assert ask("shop", "/healthz").json["release"] == Instance("shop").manifest["release"]


def test_a_basket_is_the_same_in_every_worker() -> None:
    put = ask("shop", "/basket/bell", "POST", body=b"", headers={"Content-Length": "0"})
    assert put.status == 303
    cookie = put.headers["Set-Cookie"].split(";")[0]
    workers: set[str] = set()

    def known() -> bool:
        # Several at once: on a quiet machine the same worker always accepts a lone request first.
        with ThreadPoolExecutor(8) as visitors:
            pages = list(visitors.map(lambda _: ask("shop", "/basket", headers={"Cookie": cookie}).body, range(16)))
        assert all(b"/basket/bell" in page for page in pages), "a worker did not know the basket"
        workers.update(re.findall(r"process <b>(\d+)", page.decode())[0] for page in pages)
        return len(workers) > 1

    assert any(known() for _ in range(50)), "one worker did it all"


def test_a_dead_service_costs_nothing() -> None:
    chosen = ask(
        "shop",
        "/currency",
        "POST",
        body=b"currency=USD",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    cookie = chosen.headers["Set-Cookie"].split(";")[0]

    seen: set[int] = set()

    def fast() -> bool:
        # Each worker learns by itself, in at most two visits with a second try each. Then none of them waits again.
        answers = [ask("shop", "/", headers={"Cookie": cookie}) for _ in range(10)]
        seen.update(answer.status for answer in answers)
        return max(answer.seconds for answer in answers) < patience(0.15)

    until(fast, what="ten quick answers in a row")
    assert seen == {200}
    until(
        lambda: "left alone" in ask("shop", "/about.json", headers={"Cookie": cookie}).json["rates"],
        what="a worker that leaves the service alone",
    )


def test_the_api_without_keys_is_off_at_once() -> None:
    answer = ask("shop", "/api/products")
    assert (answer.status, answer.headers.get_content_type()) == (503, "application/json")
    assert answer.seconds < patience(2)


def test_what_a_client_claims_is_not_believed() -> None:
    truth = {"client": address(), "scheme": "http", "host": "shop.test", "mount": "/"}
    for claim in (
        {"X-Forwarded-For": "203.0.113.9"},
        {"X-Forwarded-For": "203.0.113.9, 127.0.0.1"},
        {"X-Real-IP": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9;proto=https;host=evil.test"},
        {"X-Forwarded-Proto": "https"},
        {"X-Forwarded-Ssl": "on"},
        {"X-Forwarded-Protocol": "ssl"},
        {"X-Forwarded-Host": "evil.test"},
        {"X-Forwarded-Port": "444"},
        {"X-Forwarded-Prefix": "/evil"},
        {"SCRIPT_NAME": "/evil"},
        {"Script-Name": "/about.json"},
        {"PATH_INFO": "/"},
    ):
        answer = ask("shop", "/about.json", headers=claim)
        assert answer.status == 200, answer.body
        assert {key: answer.json[key] for key in truth} == truth


def test_no_other_host_name_is_answered() -> None:
    for host in ("evil.test", "shop.test.evil.test", address(), "localhost", "_", ""):
        with socket.create_connection((address(), 80), timeout=10) as connection:
            connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            answer = connection.recv(4096)
            # RFC 9112 wants 400 for a request whose Host is empty or no name; nginx gives that itself.
            assert answer == b"" or b" 400 " in answer.splitlines()[0], answer[:100]


def test_nginx_does_not_tell_its_version() -> None:
    assert ask("shop").headers["Server"] == "nginx"
