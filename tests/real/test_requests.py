"""The part of a request that reaches an app: raw bytes to a real nginx with the kit's files, and what it passes on."""

from __future__ import annotations

import grp
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.files import assets

from tests.render.conftest import key_of, nginx_below

from .conftest import _free_port, until

pytestmark = pytest.mark.real

SHOP: dict[str, Any] = {
    "module": "web:app",
    "source": {"path": "."},
    "mount": "/shop",
    "static": {"/static/": "static", "/.well-known/": "known", "/.odd/": "odd"},
}
NAMED: dict[str, Any] = {
    "apps": {
        "shop": {**SHOP, "domains": ["shop.test", "*.wild.test"]},
        "blog": {"module": "web:app", "source": {"path": "."}, "domains": ["shop.test", "*.wild.test"]},
    },
    "nginx_trusted_proxies": ["127.0.0.1"],
}
NAMELESS: dict[str, Any] = {"apps": {"blog": {"module": "web:app", "source": {"path": "."}}}}


@dataclass
class Answer:
    """The bytes that nginx sent, and those that it passed on (None when nothing reached the app)."""

    status: int
    head: str
    body: bytes

    @property
    def passed(self) -> list[str]:
        """The lines of the request as the app got it."""
        return list(json.loads(self.body)["head"])

    def values(self, name: str) -> list[str]:
        """A header of the request as the app got it."""
        return [line.partition(": ")[2] for line in self.passed if line.lower().startswith(f"{name}: ")]


class Echo(threading.Thread):
    """An app that answers with the bytes that it got."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        path.chmod(0o777)
        self.listener.listen(16)

    def run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with closing(connection):
                    self.answer(connection)

    @staticmethod
    def answer(connection: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        while length and len(body) < int(length[1]):
            body += connection.recv(65536)
        report = json.dumps({"head": head.decode("latin-1").split("\r\n"), "body": body.decode("latin-1")}).encode()
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(report), report)
        )


@dataclass
class Front:
    """A running nginx."""

    top: Path
    port: int

    def send(self, *lines: str, body: bytes = b"") -> Answer:
        """Send these very lines, on their own connection."""
        with closing(socket.create_connection(("127.0.0.1", self.port), timeout=10)) as connection:
            connection.sendall("\r\n".join((*lines, "", "")).encode("utf-8", "surrogateescape") + body)
            data, wanted = b"", None
            while wanted is None or len(data) < wanted:
                more = connection.recv(65536)
                if not more:
                    break
                data += more
                # A body in chunks ends with the connection.
                if wanted is None and b"\r\n\r\n" in data and b"\r\nTransfer-Encoding: chunked\r\n" not in data:
                    length = re.search(rb"(?i)content-length: (\d+)", data)
                    wanted = data.index(b"\r\n\r\n") + 4 + int(length[1] if length else 0)
        head, _, body = data.partition(b"\r\n\r\n")
        return Answer(int(head.split()[1]) if head else 0, head.decode("latin-1"), body)

    def get(self, target: str, host: str = "shop.test", *more: str) -> Answer:
        return self.send(f"GET {target} HTTP/1.1", f"Host: {host}", *more, "Connection: close")


def run(
    variables: dict[str, Any], texts: Mapping[str, str] | None = None, answering: type[Echo] = Echo
) -> Iterator[Front]:
    """nginx with the files of an inventory, below the test's own folder."""
    top, port = Path(tempfile.mkdtemp(prefix="q", dir="/tmp")), _free_port()
    command = nginx_below(top, {**variables, "nginx_http_port": port}, texts)
    echoes = []
    for name in variables["apps"]:
        release = top / f"srv/{name}/releases/a"
        (release / "run").mkdir(parents=True)
        (release.parent.parent / "current").symlink_to("releases/a")
        echoes.append(answering(release / "run/app.sock"))
        echoes[-1].start()
    nginx = subprocess.Popen([*command, "-g", "daemon off;"])
    try:
        until(lambda: (top / "run/nginx.pid").exists() and (top / "run/nginx.pid").read_text())
        yield Front(top, port)
    finally:
        nginx.terminate()
        nginx.wait(timeout=30)
        for echo in echoes:
            echo.listener.close()
        shutil.rmtree(top)


@pytest.fixture(scope="module")
def named() -> Iterator[Front]:
    """Two apps on one site, behind a trusted proxy."""
    yield from run(NAMED)


@pytest.fixture(scope="module")
def nameless() -> Iterator[Front]:
    """One app, for any domain."""
    yield from run(NAMELESS)


GOOD_HOSTS = {
    "shop.test": "shop.test",
    "SHOP.test": "shop.test",
    "shop.test:80": "shop.test:80",
    "shop.test:8443": "shop.test:8443",
    "shop.test.": "shop.test",
    "shop.test.:8443": "shop.test:8443",
    "a.b.wild.test": "a.b.wild.test",
    "under_score.wild.test": "under_score.wild.test",
    "xn--bcher-kva.wild.test": "xn--bcher-kva.wild.test",
}
BAD_HOSTS = [
    "shop.test:x@attacker.example",
    "shop.test:80@attacker.example",
    "shop.test:",
    "shop.test:123456",
    "shop.test:-1",
    "shop.test:80:80",
    "shop.test: 80",
    "shop.test:80 attacker.example",
    "shop.test:\u0661",
    "user@a.wild.test",
    "attacker.example@a.wild.test",
    '"a.wild.test',
    "attacker.example?.wild.test",
    "attacker.example#.wild.test",
    "attacker.example\\.wild.test",
    "attacker.example,a.wild.test",
    "attacker.example%2f.wild.test",
    "b\u00fccher.wild.test",
    "a b.wild.test",
    "a\tb.wild.test",
    "attacker.example/.wild.test",
]


def seen(answer: Answer) -> tuple[list[str], list[str]]:
    assert answer.status == 200, answer.head
    return answer.values("host"), answer.values("x-forwarded-host")


@pytest.mark.parametrize("path", ["/", "/shop/"])
@pytest.mark.parametrize("host", GOOD_HOSTS)
def test_a_name_is_passed_as_nginx_chose_by_it(named: Front, host: str, path: str) -> None:
    wanted = [GOOD_HOSTS[host]]
    assert seen(named.get(path, host)) == (wanted, wanted)


@pytest.mark.parametrize("path", ["/", "/shop/", "/shop", "/shop/static/x.css"])
@pytest.mark.parametrize("host", BAD_HOSTS)
def test_what_is_no_name_with_a_port_is_refused(named: Front, host: str, path: str) -> None:
    assert named.get(path, host).status == 400


@pytest.mark.parametrize(
    "host", ["attacker.example", "attacker.example:80", "shop.test.attacker.example", "[::1].wild.test", "localhost"]
)
def test_a_foreign_name_gets_no_answer(named: Front, host: str) -> None:
    assert named.get("/", host).head == ""


@pytest.mark.parametrize(
    ("target", "host", "wanted"),
    [
        ("http://shop.test/", "attacker.example", "shop.test"),
        ("http://shop.test/", "attacker.example:x@shop.test", "shop.test"),
        ("http://shop.test/", "shop.test:99", "shop.test"),
        ("http://shop.test:8443/x", "attacker.example:99", "shop.test:8443"),
        ("http://SHOP.test:8443?x=//attacker.example", "attacker.example", "shop.test:8443"),
        ("HTTPS://shop.test/http://attacker.example/", "attacker.example", "shop.test"),
        ("/http://attacker.example:99/", "shop.test:8443", "shop.test:8443"),
        ("/?next=http://attacker.example:99/", "shop.test", "shop.test"),
    ],
)
def test_the_name_of_the_request_line_comes_first(named: Front, target: str, host: str, wanted: str) -> None:
    assert seen(named.get(target, host)) == ([wanted], [wanted])


@pytest.mark.parametrize(
    "target", ["http://shop.test:x@attacker.example/", "http://user@shop.test/", "http://shop.test:/"]
)
def test_a_request_line_with_more_than_a_name_and_a_port_is_refused(named: Front, target: str) -> None:
    assert named.get(target, "shop.test").status == 400


def test_two_names_are_none(named: Front) -> None:
    lines = ("GET / HTTP/1.1", "Host: shop.test", "Host: attacker.example")
    assert named.send(*lines).status == 400
    assert named.send(lines[0], *reversed(lines[1:])).status in (0, 400)


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("anything.example", "anything.example"),
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("[::1]", "[::1]"),
        ("[2001:DB8::1]:8080", "[2001:db8::1]:8080"),
    ],
)
def test_an_app_without_domains_sees_the_name_that_it_was_asked_by(nameless: Front, host: str, wanted: str) -> None:
    assert seen(nameless.get("/", host)) == ([wanted], [wanted])


@pytest.mark.parametrize(
    "host", [*BAD_HOSTS, "user@[::1]", "[::1]x", "[::1].wild.test", "[::1", "[shop.test]", "::1", "_:80:"]
)
def test_an_app_without_domains_is_spared_what_is_no_name(nameless: Front, host: str) -> None:
    assert nameless.get("/", host).status == 400


def test_a_request_without_a_name_has_none_for_the_app(nameless: Front) -> None:
    """Many load balancers send such a check; only an app without domains gets it."""
    assert seen(nameless.send("GET / HTTP/1.0")) == ([], [])
    assert nameless.send("GET / HTTP/1.1").status == nameless.get("/", "").status == 400


UPGRADES = ["h2c", "websocket, h2c", "h2c, websocket", "websocket2", "TLS/1.0", "web socket", "websocket/13", ","]
BODY = ("Content-Length: 5", "Connection: close, Upgrade")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("upgrade", UPGRADES)
def test_no_other_upgrade_is_passed_on(named: Front, upgrade: str, method: str) -> None:
    answer = named.send(f"{method} / HTTP/1.1", "Host: shop.test", f"Upgrade: {upgrade}", "HTTP2-Settings: AAMAAABk", *BODY, body=b"a=b&c")  # fmt: skip
    assert answer.status == 200
    assert answer.values("upgrade") == answer.values("connection") == answer.values("http2-settings") == []
    assert json.loads(answer.body)["body"] == "a=b&c"


@pytest.mark.parametrize("upgrade", ["websocket", "WebSocket", "WEBSOCKET"])
def test_a_websocket_is(named: Front, upgrade: str) -> None:
    answer = named.send(
        "GET / HTTP/1.1", "Host: shop.test", f"Upgrade: {upgrade}", "Connection: keep-alive, Upgrade", "Sec-WebSocket-Version: 13"
    )  # fmt: skip
    assert (answer.values("upgrade"), answer.values("connection")) == (["websocket"], ["upgrade"])


@pytest.mark.parametrize("first", ["POST / HTTP/1.1", "PUT / HTTP/1.1", "GET / HTTP/1.0"])
def test_a_websocket_begins_with_a_get_of_http_1_1(named: Front, first: str) -> None:
    answer = named.send(first, "Host: shop.test", "Upgrade: websocket", *BODY, body=b"a=b&c")
    assert answer.values("upgrade") == answer.values("connection") == []
    assert json.loads(answer.body)["body"] == "a=b&c"


def test_two_upgrades_are_at_most_one(named: Front) -> None:
    answer = named.send(
        "GET / HTTP/1.1", "Host: shop.test", "Upgrade: h2c", "Upgrade: websocket", "Connection: Upgrade"
    )
    assert answer.values("upgrade") == []
    answer = named.send(
        "GET / HTTP/1.1", "Host: shop.test", "Upgrade: websocket", "Upgrade: h2c", "Connection: Upgrade"
    )
    assert answer.values("upgrade") in ([], ["websocket"])


@pytest.mark.parametrize("proto", ["http", "https", "ftp"])
@pytest.mark.parametrize("query", ["", "?a=b&next=//attacker.example"])
def test_redirects_keep_scheme_name_and_port(named: Front, proto: str, query: str) -> None:
    answer = named.get(f"/shop{query}", "shop.test", f"X-Forwarded-Proto: {proto}")
    assert answer.status == 308
    assert re.findall(r"(?i)^location: (.*)\r$", answer.head + "\r", re.MULTILINE) == [f"/shop/{query}"]


FILES = {
    "static/a.css": "a",
    "static/deep/b.css": "b",
    "static/.env": "KEY",
    "static/deep/.git/config": "KEY",
    "static/two\nlines/.env": "KEY",
    "static/.well-known/x.txt": "x",
    "static/.well-known-not/x": "KEY",
    "known/security.txt": "security",
    "known/.htpasswd": "KEY",
    "odd/a.css": "odd",
    "odd/.env": "KEY",
    "settings.py": "KEY",
}
SERVED = {
    "/shop/static/a.css": "a",
    "/shop/static/%61.css": "a",
    "/shop/static/deep/b.css": "b",
    "/shop/static/.well-known/x.txt": "x",
    "/shop/.well-known/security.txt": "security",
    "/shop/.odd/a.css": "odd",
    "/shop/static/./a.css": "a",
    "/shop/static/deep/../a.css": "a",
    "/shop/static/earlier.css": "earlier",
}
REFUSED = [
    "/shop/static/.env", "/shop/static/%2eenv", "/shop/static/deep/.git/config", "/shop/static/deep/%2Egit/config", "/shop/static//.env",
    "/shop/static/deep/..%2f.env", "/shop/static/.well-known-not/x", "/shop/.well-known/.htpasswd", "/shop/.odd/.env",
    "/shop/static/.earlier", "/shop/static/deep", "/shop/static/deep/", "/shop/static/", "/shop/static/../settings.py%00.css",
    "/shop/static/.env/", "/shop/static/.env/x", "/shop/static/two%0Alines/.env",
]  # fmt: skip


@pytest.fixture(params=["hard links", "links of an older kit"])
def shop(named: Front, request: pytest.FixtureRequest) -> Iterator[Front]:
    """The current release and an earlier one have static files."""
    root = named.top / "srv/shop"
    release, assets_folder = root / "releases/a", root / "assets/shop/static"
    for name, text in FILES.items():
        (release / "code" / name).parent.mkdir(parents=True, exist_ok=True)
        (release / "code" / name).write_text(text)
    assets_folder.mkdir(parents=True)
    for name in ("earlier.css", ".earlier"):
        (assets_folder / name).write_text("earlier")
    if request.param == "hard links":
        group = grp.getgrgid(os.getgid()).gr_name if os.geteuid() else "www-data"
        assets.lay_out(str(release), {f"/shop{prefix}": folder for prefix, folder in SHOP["static"].items()}, group)
        (release / "code").chmod(0o700)  # nginx has no business there
    else:
        (release / "static/shop").mkdir(parents=True)
        for prefix, folder in SHOP["static"].items():
            (release / "static/shop" / prefix.strip("/")).symlink_to(release / "code" / folder)
    yield named
    for folder in (release / "code", release / "static", root / "assets"):
        shutil.rmtree(folder)


@pytest.mark.parametrize("path", SERVED)
def test_a_static_file_is_served(shop: Front, path: str) -> None:
    answer = shop.get(path)
    assert (answer.status, answer.body.decode()) == (200, SERVED[path])


@pytest.mark.parametrize("path", REFUSED)
def test_dotfiles_and_folders_are_not(shop: Front, path: str) -> None:
    assert shop.get(path).status in (400, 404)


def test_a_switch_shows_in_static_files_within_a_second(shop: Front) -> None:
    root = shop.top / "srv/shop"
    page, added = "/shop/static/a.css", "/shop/static/added.css"
    tree, published = root / "releases/b/static/shop/static", root / "assets/shop/static/added.css"
    tree.mkdir(parents=True)
    for name in ("a.css", "added.css"):
        (tree / name).write_text("second")
    (root / "current.new").symlink_to("releases/b")
    try:
        until(lambda: round(time.time() % 1, 1) == 0.2)  # the rest of this second would show an old entry
        for _ in range(40):  # each of nginx's workers
            assert (shop.get(page).body, shop.get(added).status) == (b"a", 404)
        # A switch publishes the files among those of all releases first, where nginx remembers nothing.
        published.parent.mkdir(parents=True, exist_ok=True)
        published.write_text("second")
        (root / "current.new").rename(root / "current")
        switched = time.monotonic()
        assert shop.get(added).body == b"second"
        in_a_row = 0
        while in_a_row < 100:
            asked = time.monotonic()
            if shop.get(page).body == b"second":
                in_a_row += 1
            else:
                in_a_row = 0
                assert asked - switched <= 1.05, "a client got an earlier file for longer than a second"
    finally:
        published.unlink(missing_ok=True)
        (root / "current.new").unlink(missing_ok=True)
        (root / "current.new").symlink_to("releases/a")
        (root / "current.new").rename(root / "current")
        shutil.rmtree(root / "releases/b")
        until(lambda: all((shop.get(page).body, shop.get(added).status) == (b"a", 404) for _ in range(40)))


VISIT, KEPT = "X-Slipway-Visit", "Keep-Alive"


def test_a_location_tells_who_it_is_to_who_knows_it_already(named: Front) -> None:
    text = (named.top / "etc/nginx/slipway/shop.conf").read_text()
    match = re.search(r'slipway_visit = "(shop [0-9a-f]{16})"', text)
    assert match
    key = key_of("shop")
    answer = named.get("/shop/", "shop.test", f"{KEPT}: {match[1]} {key}")
    assert f"{VISIT}: {match[1]}" in answer.head
    assert answer.values(KEPT.lower()) == []
    for header in (f"{KEPT}: shop {key}", f"{KEPT}: shop {'0' * 16} {key}", f"{KEPT}: {match[1]}", "X-Other: 1"):
        assert VISIT not in named.get("/shop/", "shop.test", header).head
    assert VISIT not in named.get("/", "shop.test", f"{KEPT}: {match[1]} {key}").head  # another app's location
    with closing(socket.create_connection(("127.0.0.1", named.port), 10, ("127.0.0.2", 0))) as elsewhere:
        asked = (
            f"GET /shop/ HTTP/1.1\r\nHost: shop.test\r\nX-Forwarded-For: 127.0.0.1\r\n{KEPT}: {match[1]} {key}\r\n\r\n"
        )
        elsewhere.sendall(asked.encode())
        assert VISIT.encode() not in elsewhere.recv(65536).partition(b"\r\n\r\n")[0]
