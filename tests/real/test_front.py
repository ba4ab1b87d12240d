"""The front door: what a real nginx with the kit's files adds to answers, refuses, limits, and logs."""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import passwords
from ansible_collections.slipway.kit.plugins.module_utils.contract import queries
from ansible_collections.slipway.kit.plugins.module_utils.model import manners

from tests.patience import patience
from tests.render.conftest import key_of

from .conftest import until
from .test_requests import Answer, Echo, Front, run

pytestmark = pytest.mark.real

SECURE = {name.lower(): value for name, value in manners.HEADERS.items()}
APP: dict[str, Any] = {"module": "web:app", "source": {"path": "."}}
VARIABLES: dict[str, Any] = {
    "apps": {
        "shop": {
            **APP,
            "domains": ["shop.test"],
            "static": {"/static/": "static", "/media/": "shared/media"},
            "max_body_size": "1K",
            "locations": {
                "/upload": {"max_body_size": "4K"},
                "/report/": {"request_timeout": 9},
            },
            "request_timeout": 1,
            "headers": {
                "X-Frame-Options": "DENY",
                "Referrer-Policy": "",
                "Permissions-Policy": 'camera=(), fullscreen=(self "https://x.test")',
                "Content-Security-Policy": "default-src 'self'; img-src *",
            },
            "error_pages": "pages",
        },
        "plain": {**APP, "domains": ["plain.test"], "nginx_extra": "add_header X-Frame-Options DENY always;\n"},
        "closed": {
            **APP,
            "domains": ["closed.test"],
            "static": {"/static/": "static"},
            "basic_auth": {"guest": "open sesame"},
            "noindex": True,
        },
        "near": {**APP, "domains": ["near.test"], "request_timeout": 1, "allow": ["127.0.0.0/30", "2001:db8::/32"]},
        "far": {
            **APP,
            "domains": ["far.test"],
            "allow": ["192.0.2.0/24"],
            "basic_auth": {"guest": "open sesame"},
        },
        "shut": {
            **APP,
            "domains": ["shut.test"],
            "nginx_extra": 'if ($slipway_visit = "") {\n    return 503;\n}\n',  # as docs/front-door.md has it
        },
        "nested": {
            **APP,
            "domains": ["nested.test"],
            # A location that sets headers has none of those that the outer one sets.
            "nginx_extra": "location /tenant/ {\n    proxy_set_header X-Tenant blue;\n    proxy_set_header Host $host;\n"
            "    proxy_pass http://slipway_nested;\n}\n",
        },
        "broken": {**APP, "domains": ["broken.test"], "nginx_extra": "return 500;\n"},
        "faking": {**APP, "domains": ["faking.test"], "nginx_extra": 'return 200 "hello";\n'},
        "slow": {**APP, "domains": ["slow.test"], "rate_limit": {"requests": "6/m", "burst": 2}},
        "few": {**APP, "domains": ["few.test"], "rate_limit": {"connections": 2}},
    },
    "nginx_trusted_proxies": ["127.0.0.3"],
}
TEXTS = {
    "/etc/nginx/slipway/closed.users": passwords.line("closed", "guest", "open sesame"),
    "/etc/nginx/slipway/far.users": passwords.line("far", "guest", "open sesame"),
    "/etc/nginx/slipway/errors/shop/504.html": '<p>Too slow, <!--# echo var="slipway_request_id" --></p>\n',
}


class Scripted(Echo):
    """An app that answers as the query says: status, headers, and how long it waits."""

    busy = threading.Semaphore(0)

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with closing(connection):
            data = b""
            while b"\r\n\r\n" not in data:
                data += connection.recv(65536)
            head = data.partition(b"\r\n\r\n")[0].decode("latin-1")
            path = head.split()[1]
            if "/wait" in path:
                self.busy.release()
                connection.recv(1)  # until nginx gives up
                return
            if "/drop" in path:
                return
            script = json.loads(base64.b16decode(path.partition("?s=")[2].encode() or b"7B7D"))
            body = json.dumps(head.split("\r\n")).encode()
            lines = [f"HTTP/1.1 {script.get('status', '200 OK')}", "Connection: close", *script.get("headers", [])]
            if not script.get("events"):
                lines.append(f"Content-Length: {len(body)}")
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            connection.sendall(b"data: first\n\n" if script.get("events") else body)
            if script.get("events"):
                connection.recv(1)


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    for front in run(VARIABLES, TEXTS, Scripted):
        for folder in ("srv/shop/current/static/static", "srv/shop/shared/media", "srv/closed/current/static/static"):
            (front.top / folder).mkdir(parents=True)
            for name in ("a.txt", "a.py", "A.PY", "a.pyc", "a.py.gz", "a.map"):
                (front.top / folder / name).write_text(name)
        (front.top / "srv/shop/shared").chmod(0o755)
        yield front


def script(path: str = "/", **what: Any) -> str:
    return f"{path}?s={base64.b16encode(json.dumps(what).encode()).decode()}"


def sent(answer: Answer) -> dict[str, list[str]]:
    """The headers that a client got, each with all of its values."""
    headers: dict[str, list[str]] = {}
    for line in answer.head.split("\r\n")[1:]:
        name, _, value = line.partition(": ")
        headers.setdefault(name.lower(), []).append(value)
    return headers


def log(front: Front, site: str) -> list[str]:
    return (front.top / f"var/log/nginx/slipway-{site}.access.log").read_text().splitlines()


# Headers


@pytest.mark.parametrize("path", ["/", script(status="500 Oops"), script(status="404 Not Found"), "/drop"])
def test_every_answer_has_the_default_headers_once(front: Front, path: str) -> None:
    headers = sent(front.get(path, "closed.test", AUTHORIZED))
    assert {name: headers[name] for name in SECURE} == {name: [value] for name, value in SECURE.items()}
    assert re.fullmatch("[0-9a-f]{32}", *headers["x-request-id"])


@pytest.mark.parametrize("name", manners.HEADERS)
@pytest.mark.parametrize("status", ["200 OK", "500 Oops"])
def test_a_header_of_the_app_comes_first(front: Front, name: str, status: str) -> None:
    answer = front.get(script(status=status, headers=[f"{name.upper()}: its-own"]), "few.test")
    assert sent(answer)[name.lower()] == ["its-own"]


@pytest.mark.parametrize("path", ["/", "/static/a.txt", "/drop", "/static/missing"])
def test_headers_are_replaced_removed_and_added(front: Front, path: str) -> None:
    headers = sent(front.get(path))
    assert headers["x-frame-options"] == ["DENY"]
    assert "referrer-policy" not in headers
    assert headers["permissions-policy"] == ['camera=(), fullscreen=(self "https://x.test")']
    assert headers["content-security-policy"] == ["default-src 'self'; img-src *"]
    assert headers["x-content-type-options"] == ["nosniff"]


def test_uploads_stay_in_their_sandbox(front: Front) -> None:
    headers = sent(front.get("/media/a.txt"))
    assert headers["content-security-policy"] == ["sandbox"]
    assert headers["x-content-type-options"] == ["nosniff"]
    assert headers["x-frame-options"] == ["DENY"]


def test_a_header_of_nginx_extra_is_left_to_it(front: Front) -> None:
    headers = sent(front.get("/", "plain.test"))
    assert headers["x-frame-options"] == ["DENY"]
    assert headers["referrer-policy"] == [SECURE["referrer-policy"]]


def test_the_app_s_request_id_is_the_client_s(front: Front) -> None:
    answer = front.get(script(headers=["X-Request-ID: another"]))
    [passed] = [line for line in json.loads(answer.body) if line.startswith("X-Request-ID: ")]
    assert sent(answer)["x-request-id"] == [passed.partition(": ")[2]]


def test_noindex_replaces_the_app_s_own_word(front: Front) -> None:
    path = script(headers=["X-Robots-Tag: all"])
    assert sent(front.get(path, "closed.test", AUTHORIZED))["x-robots-tag"] == ["noindex, nofollow"]
    assert sent(front.get(path))["x-robots-tag"] == ["all"]


# Access

AUTHORIZED = f"Authorization: Basic {base64.b64encode(b'guest:open sesame').decode()}"
WRONG = f"Authorization: Basic {base64.b64encode(b'guest:open barley').decode()}"


@pytest.mark.parametrize("path", ["/", "/static/a.txt", "/static/missing", "//static/a.txt"])
def test_a_password_opens_the_app(front: Front, path: str) -> None:
    for more in ((), (WRONG,), ("Upgrade: websocket",), ("Accept: text/event-stream",)):
        answer = front.get(path, "closed.test", *more)
        assert answer.status == 401, more
        assert sent(answer)["www-authenticate"] == ['Basic realm="closed"']
    assert front.get(path, "closed.test", AUTHORIZED).status == (404 if "missing" in path else 200)


def test_the_app_does_not_get_the_password(front: Front) -> None:
    assert "uthorization" not in front.get("/", "closed.test", AUTHORIZED).body.decode()
    assert "Authorization: Bearer x" in front.get("/", "shop.test", "Authorization: Bearer x").body.decode()


def test_only_the_listed_networks_may_come(front: Front) -> None:
    assert front.get("/", "near.test").status == 200
    assert front.get("/", "near.test", "Accept: text/event-stream").status == 200
    assert front.get("/", "far.test", AUTHORIZED).status == 403
    for client, status in (("2001:db8::1", 200), ("127.0.0.2", 200), ("192.0.2.1", 403), ("127.0.0.9", 403)):
        assert behind(front, client, "near.test").status == status, client
    assert behind(front, "192.0.2.1", "far.test").status == 401
    assert behind(front, "192.0.2.1", "far.test", AUTHORIZED).status == 200


def behind(front: Front, client: str, host: str, *more: str) -> Answer:
    """A request that a trusted load balancer passes on."""
    with closing(socket.create_connection(("127.0.0.1", front.port), 10, ("127.0.0.3", 0))) as balancer:
        lines = ["GET / HTTP/1.1", f"Host: {host}", f"X-Forwarded-For: {client}", *more, "Connection: close", "", ""]
        balancer.sendall("\r\n".join(lines).encode())
        data = b"".join(iter(lambda: balancer.recv(65536), b""))
    head, _, body = data.partition(b"\r\n\r\n")
    return Answer(int(head.split()[1]), head.decode("latin-1"), body)


@pytest.mark.parametrize("name", ["closed", "far", "shut"])
def test_the_kit_s_own_request_needs_no_permission(front: Front, name: str) -> None:
    text = (front.top / f"etc/nginx/slipway/{name}.conf").read_text()
    match = re.search(rf'slipway_visit = "({name} [0-9a-f]{{16}})"', text)
    assert match
    key = key_of(name)
    assert front.get("/", f"{name}.test", f"Keep-Alive: {match[1]} {key}").status == 200
    # Who has the digest cannot have the app's key: every user of the host can compute the first. Another app's key does not help.
    others = [match[1], f"{match[1]} {'0' * 32}", f"{match[1]} {key}0", key, f"x {match[1]} {key}"]
    others += [f"{match[1]} {key_of('near')}", f"near {match[1]} {key_of('near')}"]
    others += [] if name == "shut" else [f"{name} {'0' * 16} {key}"]  # any request with a key reaches this one
    for other in others:
        assert front.get("/", f"{name}.test", f"Keep-Alive: {other}").status in (401, 403, 503)


@pytest.mark.parametrize("path", ["/", "/tenant/"])
def test_an_app_s_key_does_not_reach_it(front: Front, path: str) -> None:
    """An app could redirect the kit's request to the second path."""
    key = key_of("nested")
    answer = front.get(path, "nested.test", f"Keep-Alive: nested x {key}")
    assert answer.status == 200 and key not in answer_body(answer)
    assert ("X-Tenant: blue" in answer_body(answer)) == (path == "/tenant/")


@pytest.mark.parametrize(
    ("name", "path", "reached", "answered", "status"),
    [
        ("near", "/", True, True, 200),
        ("near", script(status="500 Oops"), True, True, 500),
        ("near", script(status="502 Oops"), True, True, 502),
        ("near", "/wait", True, False, 504),
        ("near", "/drop", True, False, 502),
        ("broken", "/", False, False, 500),
        ("faking", "/", False, False, 200),
    ],
)
def test_the_kit_s_own_request_learns_who_has_answered(
    front: Front, name: str, path: str, reached: bool, answered: bool, status: int
) -> None:
    """So an app cannot pass its own error off as one of nginx's, and nginx_extra cannot answer in an app's place unnoticed."""
    text = (front.top / f"etc/nginx/slipway/{name}.conf").read_text()
    match = re.search(rf'slipway_visit = "({name} [0-9a-f]{{16}})"', text)
    assert match
    answer = front.get(path, f"{name}.test", f"Keep-Alive: {match[1]} {key_of(name)}")
    assert (answer.status, f"X-Slipway-Visit: {match[1]}\r\n" in f"{answer.head}\r\n") == (status, True)
    began = re.search(r"(?m)^X-Slipway-Upstream: to (.*) at (.*?)\r?$", answer.head)
    assert began and bool(re.fullmatch(r"[0-9.]+", began[2])) == answered
    assert bool(re.fullmatch(r"[0-9.]+", began[1])) == reached
    assert "X-Slipway" not in front.get(path, f"{name}.test").head


def test_a_closed_app_answers_503(front: Front) -> None:
    answer = front.get("/", "shut.test")
    assert answer.status == 503 and "<h1>" in answer_body(answer)
    assert behind(front, "192.0.2.7", "shut.test", f"Keep-Alive: shut x {key_of('shut')}").status == 503


@pytest.mark.parametrize("folder", ["static", "media"])
@pytest.mark.parametrize(
    "name", ["a.py", "A.PY", "a.pyc", "a.py.gz", "a%2epy", "./a.py", "x/../a.py", "/a.py", "a.p%79", "%61.py"]
)
def test_source_is_not_served(front: Front, folder: str, name: str) -> None:
    assert front.get(f"/{folder}/{name}").status == 404
    assert front.get(f"/{folder}/a.map").status == 200


@pytest.mark.parametrize("folder", ["static", "media"])
def test_a_file_has_the_app_s_headers(front: Front, folder: str) -> None:
    page, file = sent(front.get("/")), sent(front.get(f"/{folder}/a.txt"))
    assert page["permissions-policy"]
    for name in ("permissions-policy", "x-frame-options", "x-content-type-options", "referrer-policy"):
        assert file.get(name) == page.get(name)


# Limits


def test_a_client_that_asks_too_fast_learns_when_to_come_again(front: Front) -> None:
    answers = [front.get("/", "slow.test") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert sent(answers[-1])["retry-after"] == ["10"]
    assert behind(front, "192.0.2.1", "slow.test").status == 200
    network = [behind(front, f"2001:db8:1:2::{number}", "slow.test").status for number in range(1, 5)]
    assert network == [200, 200, 200, 429]
    assert behind(front, "2001:db8:1:3::1", "slow.test").status == 200


def test_a_client_may_have_so_many_requests_in_flight(front: Front) -> None:
    while Scripted.busy.acquire(blocking=False):  # those that other tests have begun
        pass
    with ExitStack() as stack:
        for _ in range(2):
            connection = stack.enter_context(closing(socket.create_connection(("127.0.0.1", front.port), 10)))
            connection.sendall(b"GET /wait HTTP/1.1\r\nHost: few.test\r\n\r\n")
            assert Scripted.busy.acquire(timeout=patience(10))
        answer = front.get("/", "few.test")
        assert answer.status == 429
        assert sent(answer)["retry-after"] == ["1"]
        assert behind(front, "192.0.2.7", "few.test").status == 200
    until(lambda: front.get("/", "few.test").status == 200)


def test_a_path_has_its_own_limits(front: Front) -> None:
    def post(path: str, size: int, *more: str) -> int:
        lines = (f"POST {path} HTTP/1.1", "Host: shop.test", f"Content-Length: {size}", "Connection: close", *more)
        return front.send(*lines, body=b"x" * size).status

    assert [post("/", 1024), post("/", 1025)] == [200, 413]
    assert [post("/upload", 4096), post("/upload", 4097), post("/uploads", 2000), post("/upload/x", 2000)] == [
        200,
        413,
        413,
        413,
    ]
    assert [post("/%75pload", 4096), post("//upload", 4096)] == [200, 200]
    assert post("/upload", 4096, "Accept: text/event-stream") == 200
    passed = {path: json.loads(front.get(path).body) for path in ("/", "/report/x", "/report/", "/report")}
    limits = {
        path: [line.partition(": ")[2] for line in lines if line.startswith("X-Slipway-Timeout")]
        for path, lines in passed.items()
    }
    assert limits == {"/": [], "/report": [], "/report/": ["9"], "/report/x": ["9"]}
    begin = time.monotonic()
    assert front.get("/wait").status == 504
    assert time.monotonic() - begin < patience(5)
    with closing(socket.create_connection(("127.0.0.1", front.port), 2)) as connection:
        connection.sendall(b"GET /report/wait HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_slow_clients_do_not_hold_up_others(front: Front) -> None:
    with ExitStack() as stack:
        for number in range(300):
            connection = stack.enter_context(closing(socket.create_connection(("127.0.0.1", front.port), 10)))
            head = "POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 900\r\n"
            connection.sendall((head if number % 2 else f"{head}\r\nx").encode())
        begin = time.monotonic()
        assert front.get("/").status == 200
        assert time.monotonic() - begin < patience(1)


# Streams


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
def test_an_event_comes_at_once_whatever_the_client_accepts(front: Front, accept: str) -> None:
    """The instance marks the answer; nginx then passes it on unbuffered."""
    path = script(events=True, headers=["Content-Type: text/event-stream", "X-Accel-Buffering: no"])
    with closing(socket.create_connection(("127.0.0.1", front.port), patience(10))) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: few.test\r\nAccept: {accept}\r\n\r\n".encode())
        data = b""
        while b"data: first" not in data:
            more = connection.recv(65536)
            assert more, data
            data += more
    assert b"x-accel" not in data.lower()


# Errors


def test_an_error_is_a_page_with_the_request_s_id(front: Front) -> None:
    answer = front.get("/drop", "few.test")
    headers, body = sent(answer), answer_body(answer)
    assert answer.status == 502
    assert headers["content-type"] == ["text/html"]
    assert headers["cache-control"] == ["no-store"]
    assert f"<dd>{headers['x-request-id'][0]}</dd>" in body
    assert "Error 502" in body and "<h1>This site is not available now</h1>" in body
    assert "<!--#" not in body and "(none)" not in body
    assert not re.search(r"(?i)(src|href|url\()", body)
    assert headers["x-request-id"][0] in log(front, "few.test")[-1]


def answer_body(answer: Answer) -> str:
    """The text of a body, which SSI sends in pieces."""
    text, rest = b"", answer.body
    if "chunked" not in "".join(sent(answer).get("transfer-encoding", [])):
        return rest.decode()
    while True:
        size, _, rest = rest.partition(b"\r\n")
        if not int(size or b"0", 16):
            return text.decode()
        text, rest = text + rest[: int(size, 16)], rest[int(size, 16) + 2 :]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json", "json"),
        ("application/problem+json, */*", "json"),
        ("application/json, text/html;q=0.5", "json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "html"),
        ("text/html, application/json", "html"),
        ("application/json;q=0.1, text/html", "html"),
        ("*/*", "html"),
    ],
)
def test_a_client_that_prefers_json_gets_json(front: Front, accept: str, kind: str) -> None:
    answer = read_all(front, "GET /drop HTTP/1.1", "Host: few.test", f"Accept: {accept}")
    assert answer.status == 502
    if kind == "html":
        assert sent(answer)["content-type"] == ["text/html"]
        return
    assert sent(answer)["content-type"] == ["application/problem+json"]
    [request_id] = sent(answer)["x-request-id"]
    assert json.loads(answer_body(answer)) == {
        "type": "about:blank", "title": "Bad Gateway", "status": 502, "detail": "This site is not available now", "request_id": request_id,
    }  # fmt: skip


def read_all(front: Front, *lines: str, body: bytes = b"") -> Answer:
    """Send these lines and read until nginx closes the connection."""
    with closing(socket.create_connection(("127.0.0.1", front.port), patience(10))) as connection:
        connection.sendall("\r\n".join((*lines, "Connection: close", "", "")).encode() + body)
        data = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = data.partition(b"\r\n\r\n")
    return Answer(int(head.split()[1]), head.decode("latin-1"), body)


def test_each_error_of_nginx_has_its_page(front: Front) -> None:
    json_too = "Accept: application/json"
    asked = {
        400: ("GET / HTTP/1.1", "Host: shop.test:x@y.test", json_too),
        401: ("GET / HTTP/1.1", "Host: closed.test", json_too),
        403: ("GET / HTTP/1.1", "Host: far.test", json_too),
        404: ("GET /static/missing HTTP/1.1", "Host: shop.test", json_too),
        405: ("POST /static/a.txt HTTP/1.1", "Host: shop.test", "Content-Length: 0", json_too),
        413: ("POST / HTTP/1.1", "Host: shop.test", "Content-Length: 999999", json_too),
        414: (f"GET /{'x' * 70000} HTTP/1.1", "Host: shop.test", json_too),
        431: ("GET / HTTP/1.1", "Host: shop.test", json_too, *[f"X-{n}: {'x' * 9000}" for n in range(9)]),
        504: ("POST /wait HTTP/1.1", "Host: shop.test", "Content-Length: 0", json_too),
    }
    for status, lines in asked.items():
        answer = read_all(front, *lines)
        assert answer.status == status, answer.head
        if status in (400, 414):  # nginx has not read the headers, or has no site for the name
            continue
        assert json.loads(answer_body(answer))["status"] == status, answer


def test_an_app_s_own_errors_pass_unchanged(front: Front) -> None:
    for status in (400, 401, 403, 404, 405, 413, 429, 500, 502, 503, 504):
        answer = front.get(script(status=f"{status} Its own", headers=["Retry-After: 77"]), "few.test")
        assert answer.status == status
        assert json.loads(answer.body)
        assert sent(answer)["retry-after"] == ["77"]


def test_a_page_of_the_inventory_comes_first(front: Front) -> None:
    answer = read_all(front, "GET /wait HTTP/1.1", "Host: shop.test")
    assert answer.status == 504
    assert answer_body(answer) == f"<p>Too slow, {sent(answer)['x-request-id'][0]}</p>\n"
    assert "not available" in answer_body(read_all(front, "GET /drop HTTP/1.1", "Host: shop.test"))


@pytest.mark.parametrize("path", ["/.slipway-error", "/.slipway-error/shop", "/.slipway-error/few"])
def test_no_client_reaches_the_pages_by_their_path(front: Front, path: str) -> None:
    assert front.get(path).status in (200, 404)
    answer = front.get(path)
    assert answer.status == 404 or path.rsplit("/")[-1] != "shop"


# Logs


QUERIES = [
    ("token=SECRET&a=b", "token=***&a=b"),
    ("api_key=SECRET&x=1&user[password]=SECRET&y=2", "api_key=***&x=1&user[password]=***&y=2"),
    ("code=SECRET&state=SECRET&sig=SECRET&x=1", "code=***&state=***&sig=***"),
    ("ACCESS_TOKEN=SECRET", "ACCESS_TOKEN=***"),
    ("X-Amz-Signature=SECRET;a=1", "X-Amz-Signature=***;a=1"),
    ("next=/a?token=SECRET", "next=/a?token=***"),
    ("accessKey=SECRET&authCode=SECRET&x=1", "accessKey=***&authCode=***&x=1"),
    ("key[]=SECRET&code[0]=SECRET&x=1", "key[]=***&code[0]=***&x=1"),
    ("user%5Bkey%5D%5B12%5D=SECRET&pin%5B%5D=SECRET", "user%5Bkey%5D%5B12%5D=***&pin%5B%5D=***"),
    ("authorization=SECRET&PHPSESSID=SECRET&x=1", "authorization=***&PHPSESSID=***&x=1"),
    ("monkey=a&Zipcode=b&codec[0]=c&key[name]=d", "monkey=a&Zipcode=b&codec[0]=c&key[name]=d"),
    ("token=", "token=***"),
    ("keyboard=us&zipcode=123&page=2&q=token", "keyboard=us&zipcode=123&page=2&q=token"),
]


@pytest.mark.parametrize(("query", "shown"), QUERIES)
def test_secrets_of_a_query_are_not_in_the_log(front: Front, query: str, shown: str) -> None:
    before = len(log(front, "plain.test"))
    front.get(f"/log?{query}", "plain.test", f"Referer: https://plain.test/x?{query}")
    until(lambda: len(log(front, "plain.test")) > before)
    line = log(front, "plain.test")[-1]
    assert f'"GET /log?{shown} HTTP/1.1"' in line
    assert f'"https://plain.test/x?{shown}"' in line
    assert "SECRET" not in line


@pytest.mark.parametrize("query", [query for query, _ in QUERIES])
def test_a_line_of_nginx_s_errors_is_shown_without_secrets(front: Front, query: str) -> None:
    path = front.top / "var/log/nginx/slipway-plain.test.error.log"
    before = len(path.read_text().splitlines())
    front.get(f"/drop?{query}", "plain.test", f"Referer: https://plain.test/x?{query}")
    until(lambda: len(path.read_text().splitlines()) > before)
    line = path.read_text().splitlines()[-1]
    assert query in line, "nginx itself masks nothing there"
    shown = query.replace("SECRET", queries.MASK) if "SECRET" in query else query.replace("token=", "token=***", 1)
    shown = query if "=SECRET" not in query and "token=" not in query else shown
    assert queries.masked(line) == line.replace(query, shown)


def test_the_log_names_the_release(front: Front) -> None:
    before = len(log(front, "plain.test"))
    answer = front.get(script(headers=["X-Slipway-Release: v1-00000000"]), "plain.test")
    assert "x-slipway-release" not in sent(answer)
    until(lambda: len(log(front, "plain.test")) > before)
    assert log(front, "plain.test")[-1].endswith(f" v1-00000000 {sent(answer)['x-request-id'][0]}")


ODD = ("000", "001", "010", "042", "099", "999")
"""Statuses that an app may send, and that JSON would not take as numbers."""


def test_a_log_of_json() -> None:
    with closing(run({"apps": {"shop": VARIABLES["apps"]["few"]}, "access_log": "json"}, {}, Scripted)) as fronts:
        front = next(fronts)
        front.send('GET /"a\\?x="&token=SECRET HTTP/1.1', "Host: few.test", 'User-Agent: "\\é', "Connection: close")
        until(lambda: len(log(front, "few.test")) == 1)  # nginx writes a line when it is done with the connection
        answer = front.get(script(headers=["X-Slipway-Release: v1-00000000"]), "few.test")
        until(lambda: len(log(front, "few.test")) == 2)
        for status in ODD:
            front.get(script(status=f"{status} Odd"), "few.test")
        until(lambda: len(log(front, "few.test")) == 2 + len(ODD))
        first, second, *odd = map(json.loads, log(front, "few.test"))
    assert first["request"] == 'GET /"a\\?x="&token=*** HTTP/1.1'
    assert first["user_agent"] == '"\\é'
    assert (second["status"], second["release"], second["tls"]) == (200, "v1-00000000", "")
    assert sorted(line["status"] for line in odd) == [int(status) for status in ODD]  # nginx has several workers
    assert second["request_id"] == sent(answer)["x-request-id"][0]
    assert float(second["upstream_time"]) <= second["request_time"] + 0.01
