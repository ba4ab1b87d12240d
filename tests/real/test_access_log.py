"""nginx's logs under clients and apps that want to spoil them: a real nginx with the kit's files."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import passwords
from ansible_collections.slipway.kit.plugins.module_utils.contract import names, queries
from ansible_collections.slipway.kit.plugins.module_utils.host.run import access
from ansible_collections.slipway.kit.plugins.module_utils.model import manners
from hpack import Encoder
from hyperframe.frame import ContinuationFrame, HeadersFrame, SettingsFrame

from tests.patience import patience

from .conftest import _free_port, until
from .test_front import Scripted, script, sent
from .test_requests import Front, run

pytestmark = pytest.mark.real

APP: dict[str, Any] = {"module": "web:app", "source": {"path": "."}}
VARIABLES: dict[str, Any] = {
    "apps": {
        "plain": {
            **APP,
            "domains": ["plain.test"],
            "nginx_extra": "add_header X-Cache $slipway_cache always;\n",
            "static": {"/static/": "static"},
        },
        "closed": {**APP, "domains": ["closed.test"], "basic_auth": {"guest": "open sesame"}},
        "slow": {**APP, "domains": ["slow.test"], "rate_limit": {"requests": "1/m", "burst": 0}},
    },
}
TEXTS = {"/etc/nginx/slipway/closed.users": passwords.line("closed", "guest", "open sesame")}
WORDS = sorted({word for part in (queries.ANYWHERE, queries.AT_END) for word in re.findall("[a-z]{2,}", part)})
LONGEST = 15_000
"""Bytes of a hostile value: nearly what nginx accepts."""
HOSTILE = {
    **{f"{word} again and again": word * 5000 for word in WORDS},
    **{f"names with {word}": f"{word}x&" * 5000 for word in ("otp", "key")},
    **{f"values of {word}": f"&{word}=" * 5000 for word in ("otp", "key")},
    "masked already": "otp=***&" * 3000,
    "after two secrets": "otp=1&key=2&" + "otp" * 5000,
    "separators": "?" * LONGEST,
    "encoded separators": "%3F" * 5000,
    "encoded several times": "%" + "25" * 7000,
    "encoded letters": "%6f" * 5000,
    "ends of names": "key_" * 4000,
    "brackets": "[key]" * 3000,
    "extensions": ".01234567" * 1500,
    "hashes": "-Aa345678" * 1500,
    "hyphens": "-" * LONGEST,
    "types": "application/" * 1200,
    "suffixes": "application/" + "a+" * 7000,
    "streams": "," * 7000 + " " * 7000,
}
SECONDS = 0.004
"""What nginx may compute for one request. An ordinary one takes less than a tenth of it."""
REQUESTS = 10


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    yield from run(VARIABLES, TEXTS, Scripted)


@pytest.fixture(scope="module")
def json_front() -> Iterator[Front]:
    yield from run({**VARIABLES, "access_log": "json"}, TEXTS, Scripted)


def log(front: Front, site: str) -> Path:
    return front.top / f"var/log/nginx/slipway-{site}.access.log"


def logged(front: Front, site: str, *lines: str) -> bytes:
    """What one request adds to the access log."""
    path = log(front, site)
    before = path.stat().st_size
    front.send(*lines, f"Host: {site}", "Connection: close")
    until(lambda: path.read_bytes()[before:].endswith(b"\n"))
    return path.read_bytes()[before:]


def basic(user: str, password: str = "wrong") -> str:
    return f"Authorization: Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


# What nginx computes


def computed(front: Front) -> float:
    """The seconds of processor that nginx's workers have used."""
    master = (front.top / "run/nginx.pid").read_text().strip()
    workers = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return sum(int(Path(f"/proc/{worker}/schedstat").read_text().split()[0]) for worker in workers) / 1e9


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_text_of_a_client_makes_nginx_compute_for_long(front: Front, kind: str) -> None:
    text = HOSTILE[kind][:LONGEST]
    target = f"/?{text}".replace(" ", "+")
    headers = [f"Referer: https://x/?{text}", f"Accept: {text}", f"User-Agent: {text}"]
    path = text.replace(" ", "+").replace("?", "!")
    for request in ((f"GET {target} HTTP/1.1", *headers), (f"GET /{path}! HTTP/1.1",)):
        before, lines = computed(front), log(front, "plain.test").read_bytes().count(b"\n")
        for _ in range(REQUESTS):
            front.send(*request, "Host: plain.test", "Connection: close")
        until(lambda: log(front, "plain.test").read_bytes().count(b"\n") == lines + REQUESTS)  # noqa: B023
        assert (computed(front) - before) / REQUESTS < SECONDS
    errors = (front.top / "var/log/nginx/slipway-plain.test.error.log").read_text()
    assert "pcre" not in errors, "a pattern needs too much memory"


# Secrets


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/?next=/verify%3Ftoken%3DSECRET", "/?next=/verify%3Ftoken%3D***"),
        ("/?next=/verify%3Fa%3D1%26token%3DSECRET&b=2", "/?next=/verify%3Fa%3D1%26token%3D***&b=2"),
        ("/?next=/in%3Fnext%3D%252Fin%253fkey%253dSECRET", "/?next=/in%3Fnext%3D%252Fin%253fkey%253d***"),
        ("/?to%6ben=SECRET", "/?to%6ben=***"),
        ("/?api%5Fkey=SECRET&x=1", "/?api%5Fkey=***&x=1"),
        ("/?%256bey=SECRET", "/?%256bey=***"),
        ("/?pass=SECRET&pw=SECRET", "/?pass=***&pw=***"),
        ("/?db_pass=SECRET", "/?db_pass=***"),
        ("/?user[pin]=SECRET&user%5Bkey%5D=SECRET", "/?user[pin]=***&user%5Bkey%5D=***"),
        ("/a;token=SECRET", "/a;token=***"),
        ("/a;token=SECRET/b?x=1", "/a;token=***"),
        ("/?a=1&key=SECRET&sig=SECRET", "/?a=1&key=***&sig=***"),
        ("/?a=1%26b&passenger=2&c=%C3%A9", "/?a=1%26b&passenger=2&c=%C3%A9"),
    ],
)
def test_no_secret_is_in_the_log(front: Front, target: str, shown: str) -> None:
    line = logged(front, "plain.test", f"GET {target} HTTP/1.1", f"Referer: https://plain.test{target}").decode()
    assert f'"GET {shown} HTTP/1.1"' in line
    assert f'"https://plain.test{shown}"' in line
    assert queries.masked(f"GET {target} HTTP/1.1") == f"GET {shown} HTTP/1.1"


def test_the_log_shows_the_begin_of_a_long_request(front: Front) -> None:
    long = "/" + "x" * 8000
    line = logged(front, "plain.test", f"GET {long}?token=SECRET HTTP/1.1", f"Referer: https://x{long}").decode()
    assert f'"{"GET " + long:.1024}..." 200' in line
    assert f'"{"https://x" + long:.1024}..."' in line
    line = logged(front, "plain.test", f"GET {long[:1000]}?token=SECRET{long} HTTP/1.1").decode()
    assert "?token=*** " in line.replace('"', " ")
    assert "SECRET" not in line


# Lines that are read again


@pytest.mark.parametrize("user", ["a [x", "x" * 300, 'a" b', "a\nb", "a] [2000-01-01T00:00:00+00:00] x", "é", ""])
def test_no_user_name_hides_a_request(front: Front, user: str) -> None:
    line = logged(front, "closed.test", "GET /hidden HTTP/1.1", basic(user)).decode()
    assert " - - [" in line
    request = access.parse(line)
    assert request and (request.path, request.status) == ("/hidden", 401)


def test_a_file_has_no_id_and_its_error_has_one(front: Front, json_front: Front) -> None:
    for one, pattern, none in ((front, rb" - - - (.*)\n$", b"-"), (json_front, rb'"request_id":"(.*?)"', b"")):
        folder = one.top / "srv/plain/current/static/static"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "a.txt").write_text("a")
        for name, wanted in (("a.txt", none), ("missing", rb"[0-9a-f]{32}")):
            match = re.search(pattern, logged(one, "plain.test", f"GET /static/{name} HTTP/1.1"))
            assert match and re.fullmatch(wanted, match[1])
        assert "x-request-id" not in sent(one.get("/static/a.txt", "plain.test"))
        assert "x-request-id" in sent(one.get("/static/missing", "plain.test"))


def test_the_log_names_a_user(front: Front) -> None:
    assert " - guest [" in logged(front, "closed.test", "GET / HTTP/1.1", basic("guest", "open sesame")).decode()


@pytest.mark.parametrize(
    "release_id", ["evil x y", 'v1-00000000" 9 9', "v1-00000000 x", "../v1-00000000", "v" * 500, "v1-0000000g"]
)
def test_an_app_names_no_other_text_as_its_release(front: Front, json_front: Front, release_id: str) -> None:
    target = script(headers=[f"X-Slipway-Release: {release_id}"])
    assert re.search(rb" 200 - [0-9a-f]{32}\n$", logged(front, "plain.test", f"GET {target} HTTP/1.1"))
    assert json.loads(logged(json_front, "plain.test", f"GET {target} HTTP/1.1"))["release"] == ""


def test_no_header_of_the_kit_s_reaches_clients(front: Front) -> None:
    mine = [f"X-Slipway-{name}: its-own" for name in ("Visit", "Timeout", "Release", "Workers")]
    headers = sent(front.get(script(headers=mine), "plain.test"))
    assert not [name for name in headers if name.startswith("x-slipway")]


# JSON

ODD = [
    "\udcff\udcfe",
    "a\udcc3",
    "\udced\udca0\udc80",  # half of a pair
    "\x80\x85\x9b31m",
    "\u2028\u202e",
    "\x7f\x1b[31m",
    'x"\\',
    "\t",
    "é€😀",
    "é" * 1500,
    "x" * 1023 + "é" * 9,
]


@pytest.mark.parametrize("text", ODD)
def test_each_line_of_json_is_one(json_front: Front, text: str) -> None:
    word = re.sub(r"[\s\x1b\x7f]", "+", text)
    for method, target, host in (
        ("GET", f"/{word}?{word}", "plain.test"),
        ("GET", "/", f"plain.test\r\nX-Other: {word}"),
        ("GET" * 2000, "/", "plain.test"),
    ):
        path = log(json_front, "plain.test")
        before = path.stat().st_size
        headers = [f"Referer: https://x/{text}", f"User-Agent: {text}", basic("a")]
        json_front.send(f"{method} {target} HTTP/1.1", f"Host: {host}", *headers, "Connection: close")
        until(lambda: path.read_bytes()[before:].endswith(b"\n"))  # noqa: B023
        line = path.read_bytes()[before:].decode()
        assert len(line.splitlines()) == 1
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e]", line)
        fields = json.loads(line)
        assert fields["request_id"]
        assert all(len(fields[name].encode()) <= manners.LOGGED + 6 for name in ("request", "referer"))


def test_json_keeps_what_is_text(json_front: Front) -> None:
    fields = json.loads(logged(json_front, "plain.test", "GET /é HTTP/1.1", 'User-Agent: "\\é€😀'))
    assert (fields["request"], fields["user_agent"]) == ("GET /é HTTP/1.1", '"\\é€😀')
    long = "é" * (LONGEST // 2)
    fields = json.loads(logged(json_front, "plain.test", "GET / HTTP/1.1", f"User-Agent: {long}"))
    assert fields["user_agent"] == long
    fields = json.loads(logged(json_front, "plain.test", "GET / HTTP/1.1", "User-Agent: a\udcffb"))
    assert fields["user_agent"] == "a..."


def test_a_request_that_nginx_could_not_read_is_json() -> None:
    """A head that is too long over HTTP/2: nginx knows no status for it."""
    variables = {"apps": {"plain": {**APP}}, "access_log": "json"}
    with closing(run(variables, {}, Scripted)) as fronts:
        front = next(fronts)
        port = _free_port()
        site = front.top / "etc/nginx/sites-enabled/slipway-site-default.conf"
        site = site if site.exists() else next((front.top / "etc/nginx").rglob("slipway-site-*.conf"))
        site.write_text(
            re.sub(r"( *)(listen .*;\n)", rf"\1\2\1listen 127.0.0.1:{port} http2;\n", site.read_text(), count=1)
        )
        master = int((front.top / "run/nginx.pid").read_text())
        os.kill(master, signal.SIGHUP)

        def ready() -> bool:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return True
            return False

        until(ready)
        block = Encoder().encode(
            [(":method", "GET"), (":scheme", "http"), (":authority", "x.test"), (":path", "/" + "|" * 40_000)],
            huffman=False,
        )
        first = HeadersFrame(1, block[:16_000], flags=["END_STREAM"])
        rest = [ContinuationFrame(1, block[at : at + 16_000]) for at in range(16_000, len(block), 16_000)]
        rest[-1].flags.add("END_HEADERS")
        with socket.create_connection(("127.0.0.1", port), timeout=patience(10)) as connection:
            frames = b"".join(frame.serialize() for frame in (SettingsFrame(), first, *rest))
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frames)
            with suppress(OSError):
                while connection.recv(65536):
                    pass
        path = next((front.top / "var/log/nginx").glob("slipway-*.access.log"))
        until(lambda: path.read_bytes().endswith(b"\n"))
        lines = path.read_text().splitlines()
    assert [json.loads(line)["client"] for line in lines] == ["127.0.0.1"] * len(lines)
    assert lines


# What fail2ban reads


def refused(front: Front) -> list[str]:
    path = front.top / names.NGINX_REFUSED_LOG.lstrip("/")
    return path.read_text().splitlines()


FORGED = 'x" user "a": password mismatch, client: 6.6.6.6, server: s, request: "GET / HTTP/1.1", host: "h'


@pytest.mark.parametrize(
    ("site", "target", "more", "number"),
    [
        ("closed.test", "/", [basic("guest")], 401),
        ("closed.test", "/", [basic("guest"), f"Referer: {FORGED}"], 401),
        ("closed.test", "/", [basic("guest"), "Referer: a b"], 401),
        ("closed.test", "/", [basic('a\n2026-01-01T00:00:00+00:00 6.6.6.6 401\nb "')], 401),
        ("closed.test", "/", [basic("")], 401),
        ("closed.test", "/", [basic("guest", "open sesame")], None),
        ("closed.test", "/", [], None),
        ("plain.test", script(status="401 Its own"), [basic("guest")], None),
        ("plain.test", script("/wp-login.php", status="404 Not Found"), [basic("a [x")], 404),
        ("plain.test", script("//phpMyAdmin/", status="404 Not Found"), [basic("a b")], 404),
        ("plain.test", script("/admin/pma", status="404 Not Found"), [], 404),
        ("plain.test", script("/wp-login.php"), [], None),
        ("plain.test", script("/a/wp-login.php", status="404 Not Found"), [], None),
        ("plain.test", script("/missing", status="404 Not Found"), ["Referer: /wp-login.php"], None),
    ],
)
def test_a_refused_request_is_an_address_and_a_number(
    front: Front, site: str, target: str, more: list[str], number: int | None
) -> None:
    before = len(refused(front))
    logged(front, site, f"GET {target} HTTP/1.1", *more)
    added = refused(front)[before:]
    wanted = [] if number is None else [f" 127.0.0.1 {number}"]
    assert [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+\d\d:\d\d", "", line) for line in added] == wanted


def test_a_client_that_asks_too_fast_is_refused(front: Front) -> None:
    before = len(refused(front))
    for _ in range(3):
        logged(front, "slow.test", "GET / HTTP/1.1")
    assert [line.split()[1:] for line in refused(front)[before:]] == [["127.0.0.1", "429"]] * 2
