"""Whose answers count, and whose end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.manifest import Health
from ansible_collections.slipway.kit.plugins.module_utils.host.files import reloading
from ansible_collections.slipway.kit.plugins.module_utils.host.run import health

from tests.patience import patience

OURS = "shop 0123456789abcdef"


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + patience(10)
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


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
                app="shop", health=rule, visit=place, mount="/", timeouts=SimpleNamespace(request=2), socket=""
            ),
            asked,
        )
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=patience(5))


@pytest.fixture(autouse=True)
def locations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of nginx's files, with the app's."""
    (tmp_path / "shop.conf").write_text(f'location / {{\n    if ($slipway_visit = "{OURS}") {{\n')
    monkeypatch.setattr(health, "LOCATIONS", str(tmp_path))
    return tmp_path


def test_the_app_s_own_location_is_believed() -> None:
    with listening(f"HTTP/1.1 200 OK\r\nX-Slipway-Visit: {OURS}\r\nContent-Length: 0\r\n\r\n".encode()) as (app, asked):
        assert health.visit(app, 0.1) is None
    assert f"\r\nX-Slipway-Visit: {OURS}\r\n".encode() in asked[0]


@pytest.mark.parametrize(
    "more", [b"", b"X-Slipway-Visit: shop fedcba9876543210\r\n", b"X-Slipway-Visit: blog 0123456789abcdef\r\n"]
)
def test_another_program_is_not_and_is_named(more: bytes) -> None:
    server = b"Server: Apache/2.4\x1b[31m " + b"x" * 300 + b"\r\n"
    with listening(b"HTTP/1.1 200 OK\r\n" + server + more + b"Content-Length: 0\r\n\r\n") as (app, _asked):
        fault = health.visit(app, 0.1)
    assert fault is not None
    assert "was answered 200 by Apache/2.4\\x1b[31m xxx" in fault.reason
    assert len(fault.reason) < 300
    assert "\x1b" not in fault.reason
    assert f"port {app.visit.port}" in fault.hint


def test_a_file_of_an_older_kit_asks_for_no_more_than_an_answer(locations: Path) -> None:
    (locations / "shop.conf").write_text("location / {\n}\n")
    with listening(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (app, _asked):
        assert health.visit(app, 0.1) is None


def test_only_a_child_that_ends_after_the_first_answer_is_a_worker_that_died() -> None:
    """The launcher forks in the process that becomes gunicorn: a good release was refused when that child ended late."""

    def kill() -> None:
        [child] = reloading.workers_of(master.pid) or ()
        os.kill(child, signal.SIGKILL)
        assert master.stdout and master.stdout.readline() == "ended\n"

    loop = "while :; do sleep 60 & wait; echo ended; done"
    with subprocess.Popen(["/bin/sh", "-c", loop], stdout=subprocess.PIPE, text=True, process_group=0) as master:
        try:
            until(lambda: reloading.workers_of(master.pid))
            state = SimpleNamespace(alive=True, pid=master.pid, detail="")
            manager: Any = SimpleNamespace(process=lambda unit: state)
            watch = health._Watch(manager, SimpleNamespace(unit="slipway-shop"))  # type: ignore[arg-type]
            watch()
            kill()
            until(lambda: reloading.workers_of(master.pid))
            watch.answered()
            watch()
            watch.answered()
            kill()
            with pytest.raises(health.NotHealthy, match="a worker died after the app had answered"):
                watch()
        finally:
            os.killpg(master.pid, signal.SIGKILL)
