"""gunicorn with the configuration that the kit writes: who is answered while requests are slow, or never end."""

from __future__ import annotations

import http.client
import re
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.model import artefacts, resolve
from ansible_collections.slipway.kit.plugins.module_utils.model.resolve import Host

from tests.render.conftest import template

from .conftest import until

pytestmark = pytest.mark.real

WORKERS = THREADS = TIMEOUT = 2
APP = """
    import os, time
    def app(environ, start_response):
        if environ["PATH_INFO"] == "/slow":
            time.sleep(2)
        while environ["PATH_INFO"] == "/hang":
            time.sleep(3600)
        if environ["PATH_INFO"] == "/note":
            open("notes", "a").write("asked\\\\n")
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]
"""


def configuration() -> str:
    """What the kit writes for a small app."""
    entry = {"module": "web:app", "workers": WORKERS, "threads": THREADS, "request_timeout": TIMEOUT}
    (app,) = resolve.resolve_all({"apps": {"shop": entry}}, Host())
    app = resolve.with_release(resolve.with_venv(app, ""), "v1-00000000")
    app = resolve.for_interface(app, "wsgi", entry, Host(), 0.5)
    files = {dest: template(src, dest, names) for dest, (src, names) in artefacts.release(app).items()}
    (text,) = [text for dest, text in files.items() if dest.endswith("gunicorn.conf.py")]
    return text


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a running app, its socket in it."""
    with tempfile.TemporaryDirectory(prefix="w", dir="/tmp") as name:
        here = Path(name)
        (here / "web.py").write_text(textwrap.dedent(APP))
        text = re.sub(r'"/(srv|run)/[^"]*/code"', f'"{here}"', configuration())
        (here / "conf.py").write_text(f"{text}\nbind = 'unix:{here}/app.sock'\n")
        command = [sys.executable, "-m", "gunicorn", "-c", str(here / "conf.py")]
        with (here / "log").open("w") as log:
            process = subprocess.Popen(command, cwd=here, stdout=log, stderr=log)
            try:
                until(lambda: answered(here, seconds=1), 20)
                yield here
            finally:
                process.kill()  # its workers see that their parent has gone
                process.wait()


def ask(folder: Path, path: str, stack: ExitStack, seconds: float = 10) -> Any:
    """Send a request as nginx does: over a connection of its own, that says nothing of closing."""
    connection = stack.enter_context(closing(socket.socket(socket.AF_UNIX)))
    connection.settimeout(seconds)
    connection.connect(str(folder / "app.sock"))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n".encode())
    return connection


def answered(folder: Path, seconds: float) -> bool:
    """Whether a quick request is answered within the time."""
    with ExitStack() as stack, suppress(OSError, http.client.HTTPException):
        begin = time.monotonic()
        answer = http.client.HTTPResponse(ask(folder, "/", stack, seconds))
        answer.begin()
        return answer.read() == b"ok" and time.monotonic() - begin < seconds
    return False


def test_the_connection_ends_with_the_answer(folder: Path) -> None:
    """At once, so that it takes no place from others: nginx asks only once over each."""
    with ExitStack() as stack:
        connection = ask(folder, "/", stack, seconds=1)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.will_close
        assert answer.read() == b"ok"
        assert connection.recv(1) == b""


def test_one_free_thread_of_all_workers_is_enough(folder: Path) -> None:
    """No quick request waits in a worker whose threads are all busy, while another one has a free thread."""
    with ExitStack() as stack:
        for _ in range(WORKERS * THREADS - 1):
            ask(folder, "/slow", stack)
        late = [number for number in range(40) if not answered(folder, seconds=1)]
    assert not late


def test_who_has_left_is_not_served(folder: Path) -> None:
    """Requests that waited for a hung thread, and were given up, do not make the next ones wait."""
    with ExitStack() as stack:
        for _ in range(WORKERS * THREADS):
            ask(folder, "/hang", stack)
        for _ in range(6 * WORKERS * THREADS):
            ask(folder, "/hang", stack)
            ask(folder, "/note", stack)
        assert not answered(folder, seconds=TIMEOUT)
    # They have been told 504 now. One round of the watchdog, not one for each of their waves:
    until(lambda: answered(folder, seconds=0.5), 3 * TIMEOUT)
    assert not (folder / "notes").exists()
