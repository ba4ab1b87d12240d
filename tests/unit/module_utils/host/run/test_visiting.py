"""Asking through nginx: whose answers count."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.manifest import Health
from ansible_collections.slipway.kit.plugins.module_utils.host.base.outcome import Failure
from ansible_collections.slipway.kit.plugins.module_utils.host.run import switch, verdicts, visiting, way_back
from ansible_collections.slipway.kit.plugins.module_utils.host.run.verdicts import Fault

from tests.patience import patience

OURS = "shop 0123456789abcdef"
CREDENTIALS = visiting.credentials
HEAD = f"X-Slipway-Visit: {OURS}\r\n"


@contextlib.contextmanager
def listening(answer: bytes) -> Iterator[tuple[Any, list[bytes]]]:
    """A program on a port that gives every client this answer, the manifest of an app behind it, and the requests."""
    asked: list[bytes] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                with listener.accept()[0] as connection:
                    asked.append(connection.recv(65536))
                    connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        rule = Health("/", ((200, 299),), None, "shop.test", "http", 1, 0.1, 0.1, follow=False)
        place = SimpleNamespace(port=listener.getsockname()[1], host="shop.test", path="/")
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield (
            SimpleNamespace(
                app="shop", health=rule, visit=place, mount="/", timeouts=SimpleNamespace(request=2, boot=60), socket=""
            ),
            asked,
        )
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=patience(5))


@pytest.fixture(autouse=True)
def locations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of nginx's files, with the app's."""
    (tmp_path / "shop.conf").write_text(f'location / {{\n    if ($slipway_visit = "{OURS}") {{\n')
    monkeypatch.setattr(visiting, "LOCATIONS", str(tmp_path))
    monkeypatch.setattr(visiting, "credentials", lambda app: ("X-Slipway-Visit", ""))  # this machine may have some
    return tmp_path


def test_the_app_s_own_location_is_believed() -> None:
    with listening(f"HTTP/1.1 200 OK\r\nX-Slipway-Visit: {OURS}\r\nContent-Length: 0\r\n\r\n".encode()) as (app, asked):
        assert visiting.visit(app, 0.1) is None
    assert f"\r\nX-Slipway-Visit: {OURS}\r\n".encode() in asked[0]


@pytest.mark.parametrize(
    "more", [b"", b"X-Slipway-Visit: shop fedcba9876543210\r\n", b"X-Slipway-Visit: blog 0123456789abcdef\r\n"]
)
def test_another_program_is_not_and_is_named(more: bytes) -> None:
    server = b"Server: Apache/2.4\x1b[31m " + b"x" * 300 + b"\r\n"
    with listening(b"HTTP/1.1 200 OK\r\n" + server + more + b"Content-Length: 0\r\n\r\n") as (app, _asked):
        fault = visiting.visit(app, 0.1)
    assert fault is not None
    assert "was answered 200 by Apache/2.4\\x1b[31m xxx" in fault.reason
    assert len(fault.reason) < 300
    assert "\x1b" not in fault.reason
    assert f"port {app.visit.port}" in fault.hint


def test_a_file_of_an_older_kit_asks_for_no_more_than_an_answer(locations: Path) -> None:
    (locations / "shop.conf").write_text("location / {\n}\n")
    with listening(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (app, _asked):
        assert visiting.visit(app, 0.1) is None


def answer(status: str, led: str | None = None, ours: bool = True, reached: str = "0.000", more: str = "") -> bytes:
    """An answer of nginx's, with what it tells of itself."""
    upstream = "" if led is None else f"X-Slipway-Upstream: to {reached if led else ''} at {led}\r\n"
    return f"HTTP/1.1 {status}\r\n{more}{HEAD if ours else ''}{upstream}Content-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize(("variable", "header"), [("keep_alive", "keep-alive"), ("x_slipway_visit", "x-slipway-visit")])
def test_an_app_s_key_is_sent_as_its_nginx_expects_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, header: str
) -> None:
    key = "0123456789abcdef" * 2
    file = tmp_path / "visit"
    line = '"~^(?<slipway_asked>{} [^ ]+) {}$" $slipway_visit_from_here;'
    head = f"map $http_{variable} $slipway_visit {{\n"
    (tmp_path / "shop.visit").write_text(line.format("shop", key))

    def credentials(app: str, name: str = "visit") -> tuple[str, str]:
        return CREDENTIALS(app, str(tmp_path / name), lambda app: str(tmp_path / f"{app}.visit"))

    file.write_text(f"{head}    include {tmp_path}/*.visit;\n}}\n")
    assert credentials("shop") == (header, key)
    assert credentials("blog") == (header, "")
    assert credentials("blog", "none") == ("X-Slipway-Visit", "")
    file.write_text(f"{head}    {line.format('[^ ]+', key[::-1])}\n}}\n")  # of an older kit
    assert credentials("shop") == credentials("blog") == (header, key[::-1])
    file.write_text(f"{head}    include {tmp_path}/*.visit;\n}}\n")
    monkeypatch.setattr(visiting, "credentials", credentials)
    with listening(answer("200 OK", "0.003")) as (app, asked):
        assert visiting.visit(app, 0.1) is None
    assert f"\r\n{header}: {OURS} {key}\r\n".encode() in asked[0]
    (tmp_path / "shop.visit").unlink()  # another environment of the host has a newer kit
    assert visiting.location_of("shop") == ""


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "500 Oops"])
def test_what_nginx_answers_by_itself_is_final(status: str) -> None:
    """By `return 200` in nginx_extra, for example: clients reach no app, and waiting changes nothing."""
    with listening(answer(status, "")) as (app, asked):
        begin = time.monotonic()
        fault = visiting.visit(app, 60)
        assert time.monotonic() - begin < patience(5)
        assert fault and visiting.misled(app, 60)
    assert len(asked) == 2
    assert f"was answered {status[:3]} by nginx itself" in fault.reason
    assert "apps.shop.nginx_extra" in fault.hint
    failed = Failure("shop", "v1-00000001", fault.reason)
    assert way_back._is_of_nginx(failed), "the release is not marked bad"


def test_a_redirect_of_nginx_s_own_may_be_meant() -> None:
    with listening(answer("301 Moved", "")) as (app, _asked):
        fault = visiting.visit(app, 0.1)
    assert fault and "a redirect" in fault.reason


def test_a_try_that_got_no_answer_before_one_that_did_counts_as_an_answer() -> None:
    with listening(answer("500 Oops", "-, 0.002")) as (app, _asked):
        assert visiting.misled(app, 0.1) is None
    with listening(answer("502 Bad Gateway", "-", reached="-")) as (app, _asked):
        fault = visiting.visit(app, 0.1)
    assert fault and "nginx cannot reach" in fault.hint


@pytest.mark.parametrize("status", ["200 OK", "302 Found", "404 Not Found", "500 Oops", "502 Oops", "503 Closed"])
def test_what_an_app_answers_does_not_undo_a_change_of_nginx_s_files(status: str) -> None:
    with listening(answer(status, "0.001")) as (app, _asked):
        assert visiting.misled(app, 0.1) is None
        assert visiting.answers_now(app) == (status == "200 OK")


def test_an_app_that_does_not_answer_does_not_undo_it_either(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(answer("502 Bad Gateway", "-", reached="-")) as (app, _asked):
        assert visiting.misled(app, 0.1) is None, "its socket does not answer either"
        monkeypatch.setattr(visiting, "answers", lambda *_: None)
        fault = visiting.misled(app, 0.1)
        assert fault and "nginx cannot reach" in fault.hint
    for stranger in (answer("200 OK", "0.001", ours=False), answer("200 OK", ours=False)):
        with listening(stranger) as (app, _asked):
            fault = visiting.misled(app, 0.1)
            assert fault and "not by the app's own site" in fault.reason


@pytest.mark.parametrize(
    "bad",
    [
        answer("502 Bad Gateway", "-"),  # the app has closed the connection
        answer("200 OK", "0.001", more="".join(f"X-{number}: 1\r\n" for number in range(150))),
        answer("200 OK", "0.001", more=f"X-Long: {'x' * 70_000}\r\n"),
        answer("302 Found", "0.001", more="Location: /\r\n"),  # a circle
        answer("302 Found", "0.001", more="Location: /\r\n", ours=False),  # one of a location in nginx_extra
        answer("200 OK", "0.001")[:-2] + b"Transfer-Encoding: chunked\r\n\r\nzz",
    ],
    ids=["closed", "headers", "long", "circle", "nested", "body"],
)
def test_no_form_of_an_app_s_answer_undoes_it(monkeypatch: pytest.MonkeyPatch, bad: bytes) -> None:
    monkeypatch.setattr(visiting, "answers", lambda *_: None)  # over its own socket the app answers well
    with listening(bad) as (app, _asked):
        app.health = Health("/", ((200, 299),), "a word", "shop.test", "http", 1, 0.1, 0.1, follow=True)
        assert visiting.misled(app, 0.1) is None
        assert visiting.visit(app, 0.1), "it is no good answer"


def test_another_program_in_nginx_s_place_is_no_app() -> None:
    for bad in (b"SSH-2.0-x\r\n", b""):
        with listening(bad) as (app, _asked):
            assert visiting.misled(app, 0.1)


def test_no_app_s_own_timeout_holds_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visiting, "SHORT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        rule = Health("/", ((200, 299),), None, "shop.test", "http", 1, 0.1, 0.1, follow=False)
        place = SimpleNamespace(port=silent.getsockname()[1], host="shop.test", path="/")
        times = SimpleNamespace(request=3600, boot=0.3)
        app: Any = SimpleNamespace(app="shop", health=rule, visit=place, mount="/", timeouts=times, socket="")
        begin = time.monotonic()
        assert not visiting.answers_now(app)
        assert visiting.misled(app, 0.1) is None
        fault = visiting.visit(app, 0.1)
        assert fault and "no answer from" in fault.reason
        assert time.monotonic() - begin < patience(3)


@pytest.mark.parametrize("status", ["200 OK", "302 Found", "404 Not Found", "500 Oops", "502 Oops", "504 Slow"])
def test_an_app_that_stays_is_in_its_place_whatever_it_answers(status: str) -> None:
    with listening(answer(status, "0.001")) as (app, asked):
        assert visiting.displaced(app) is None
    assert len(asked) == 1


def test_an_app_that_stays_is_displaced_where_another_site_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visiting, "AGAIN", 0.01)
    monkeypatch.setattr(verdicts, "named", lambda _host: ["/etc/nginx/conf.d/aaa.conf"])
    with listening(answer("200 OK", ours=False)) as (app, asked):
        fault = visiting.displaced(app)
    assert fault and fault.reason.endswith("Another site has the name shop.test: /etc/nginx/conf.d/aaa.conf")
    assert "reload nginx" in fault.hint
    assert len(asked) == 2, "nginx may just have been reloading"
    with listening(b"") as (app, _asked):  # a default server that refuses names it does not know
        fault = visiting.displaced(app)
    assert fault and "nginx closed the connection" in fault.reason
    fault = visiting.displaced(app)
    assert fault and fault.reason.startswith(visiting.UNHEARD)


def test_an_app_that_stays_may_be_slow_or_break_off(monkeypatch: pytest.MonkeyPatch, locations: Path) -> None:
    monkeypatch.setattr(visiting, "SHORT", 0.3)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        listening(b"HTTP/1.1 200 OK\r\n" + b"X" * 70_000) as (app, _asked),
    ):
        begin = time.monotonic()
        assert visiting.displaced(app) is None
        app.visit.port = silent.getsockname()[1]
        assert visiting.displaced(app) is None
        assert time.monotonic() - begin < patience(2)
    with listening(b"no HTTP") as (app, _asked):
        assert visiting.displaced(app), "another program is in nginx's place"
    (locations / "shop.conf").unlink()  # of an older kit: it names no app
    assert visiting.displaced(app) is None


def test_only_apps_that_stay_are_asked_about_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    apps = [
        SimpleNamespace(app=name, release_id="v1-00000001", serves=name != "worker", path="/nowhere", secrets=())
        for name in ("shop", "blog", "moved", "worker")
    ]
    asked: list[str] = []

    def displaced(manifest: Any) -> Fault | None:
        asked.append(manifest.app)
        return Fault("another site", "remove it") if manifest.app == "shop" else None

    monkeypatch.setattr(switch, "read_all", lambda _wishes, check: (apps, [], []))
    monkeypatch.setattr(visiting, "displaced", displaced)
    assert [(one.app, one.reason, one.hint) for one in switch._displaced([], {"moved"})] == [
        ("shop", "another site", "remove it")
    ]
    assert sorted(asked) == ["blog", "shop"]


@pytest.mark.parametrize(
    ("path", "shop", "bank"),
    [
        ("/etc/nginx/slipway/bank.extra.conf", False, True),
        ("/etc/nginx/slipway/errors/bank/504.html", False, True),
        ("/etc/nginx/slipway/errors/error.html", True, True),
        ("/etc/nginx/slipway/sites/bank.test.plain.conf", True, True),
        ("/etc/nginx/conf.d/slipway-site-bank.test.conf", True, True),
        ("/etc/nginx/conf.d/slipway-00-base.conf", True, True),
    ],
)
def test_an_app_is_asked_only_where_its_own_or_shared_files_change(path: str, shop: bool, bank: bool) -> None:
    assert (switch.concerns("shop", [path]), switch.concerns("bank", [path])) == (shop, bank)
    assert not switch.concerns("shop", [])
