"""gunicorn with the kit's configuration: which requests get an answer while others are slow, or never end."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import programs
from ansible_collections.slipway.kit.plugins.module_utils.contract import names
from ansible_collections.slipway.kit.plugins.module_utils.contract.names import THREADED
from ansible_collections.slipway.kit.plugins.module_utils.model import artefacts, releases, resolve
from ansible_collections.slipway.kit.plugins.module_utils.model.types import Host

from tests.patience import patience
from tests.releases import release
from tests.render.conftest import template

from .conftest import until

pytestmark = pytest.mark.real

WORKERS = THREADS = TIMEOUT = 2
APP = """
    import base64, hashlib, json, logging, os, tempfile, time
    BIG = 4 << 20
    def app(environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/slow":
            time.sleep(2)
        while path == "/hang":
            time.sleep(3600)
        if path == "/worker":
            time.sleep(0.1)
            start_response("200 OK", [])
            return [str(os.getpid()).encode()]
        if path == "/note":
            open("notes", "a").write("asked\\n")
        if path == "/boom":
            raise RuntimeError("boom")
        if path == "/unwritable":
            raise PermissionError(13, "Permission denied", "/nowhere")
        if path == "/handled":
            quiet = logging.getLogger("quiet")
            quiet.propagate = False
            quiet.addHandler(logging.NullHandler())
            try:
                raise RuntimeError("handled")
            except RuntimeError:
                quiet.exception("the framework's word")
            start_response("500 Internal Server Error", [])
            return [b"sorry"]
        if path == "/who":
            start_response("200 OK", [])
            names = ("REMOTE_ADDR", "wsgi.url_scheme", "HTTP_X_REQUEST_ID", "HTTP_X_SLIPWAY_TIMEOUT")
            return [json.dumps([environ.get(name) for name in names]).encode()]
        if path in ("/file", "/pieces"):
            start_response("200 OK", [("Content-Length", str(BIG))])
            if path == "/pieces":
                return [bytes(BIG)]
            file = tempfile.TemporaryFile()
            file.truncate(BIG)
            return environ["wsgi.file_wrapper"](file)
        if path == "/events":
            start_response("200 OK", [("Content-Type", "text/event-stream")])
            return (time.sleep(pause) or b"data: x\\n\\n" for pause in (0, 5))
        if path == "/talk":
            connection = environ["gunicorn.socket"]
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\\r\\n\\r\\n")
            while data := connection.recv(10):
                connection.sendall(data)
            return []
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]
"""


def write_configuration(folder: Path, extra: str = "", **changes: Any) -> None:
    """Write the kit's files for a small app into the folder, with paths within it."""
    entry = {
        "module": "web:app",
        "workers": WORKERS,
        "threads": THREADS,
        "request_timeout": TIMEOUT,
        "timeouts": {"stream": 20},
        "gunicorn_extra": extra,
        **changes,
    }
    (app,) = resolve.resolve_all({"apps": {"shop": entry}}, Host.assumed())
    made = release(app)
    for name, (src, values) in artefacts.release(made).items():
        if name.endswith(".py"):
            text = template(src, name, values).replace(f'"{made.paths.code}', f'"{folder}')
            text = text.replace(f'"{made.paths.path}/', f'"{folder}/').replace(made.paths.socket, f"{folder}/app.sock")
            (folder / name).write_text(text)
    for name, text in programs.of_release(log_reader=False).items():
        if name.startswith("serving/"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)


@contextmanager
def running(folder: Path, app: str = APP, **environment: str) -> Iterator[int]:
    """gunicorn, with the configuration in the folder, once all its workers serve; the block gets the master's process id."""
    workers = re.search(r"^workers = (\d+)$", (folder / "gunicorn.conf.py").read_text(), re.MULTILINE)
    with starting(folder, app, **environment) as master:
        until(lambda: served(folder, "/") >= (int(workers[1]) if workers else 1), 20)
        yield master


def served(folder: Path, path: str = "/count") -> int:
    """How many workers serve, as the health gate asks."""
    with ExitStack() as stack:
        try:
            answer = http.client.HTTPResponse(ask(folder, path, stack, seconds=patience(1)))
            answer.begin()
        except (OSError, http.client.HTTPException):
            return 0
        return int(answer.headers["X-Slipway-Workers"])


@contextmanager
def starting(folder: Path, app: str = APP, **environment: str) -> Iterator[int]:
    """The same, at once."""
    (folder / "web.py").write_text(textwrap.dedent(app))
    command = [sys.executable, "-m", "gunicorn", "-c", str(folder / "gunicorn.conf.py")]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env={**os.environ, **environment})
        try:
            yield process.pid
        finally:
            process.kill()  # its workers notice that their parent has gone
            process.wait()


@pytest.fixture
def empty() -> Iterator[Path]:
    """A folder whose path is short enough for a socket's."""
    # Workers that notice late that their master was killed may still write here.
    with tempfile.TemporaryDirectory(prefix="w", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture(params=THREADED)
def folder(empty: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder with a running app, its socket in it."""
    write_configuration(empty, worker_class=request.param)
    with running(empty):
        until(lambda: len(answering(empty)) == WORKERS, 20)
        yield empty


def ask(folder: Path, path: str, stack: ExitStack, seconds: float = 10, heads: str = "") -> Any:
    """Send a request as nginx does: over a new connection, without a `Connection: close`."""
    connection = stack.enter_context(closing(socket.socket(socket.AF_UNIX)))
    connection.settimeout(seconds)
    connection.connect(str(folder / "app.sock"))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: shop.example\r\n{heads}\r\n".encode())
    return connection


def answered(folder: Path, seconds: float) -> bool:
    """Whether a quick request is answered within the time."""
    with ExitStack() as stack, suppress(OSError, http.client.HTTPException):
        begin = time.monotonic()
        answer = http.client.HTTPResponse(ask(folder, "/", stack, seconds))
        answer.begin()
        return answer.read() == b"ok" and time.monotonic() - begin < seconds
    return False


def answering(folder: Path) -> set[bytes]:
    """The workers that answer as many requests at once as they have threads: a worker that still starts is none of them."""
    with ExitStack() as stack:
        answers = [http.client.HTTPResponse(ask(folder, "/worker", stack)) for _ in range(WORKERS * THREADS)]
        for answer in answers:
            answer.begin()
        return {answer.read() for answer in answers}


def test_the_connection_ends_with_the_answer(folder: Path) -> None:
    """At once, so that it occupies no place: nginx sends one request over each connection."""
    with ExitStack() as stack:
        connection = ask(folder, "/", stack, seconds=patience(1))
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
        late = [number for number in range(40) if not answered(folder, seconds=min(patience(1), 1.8))]
    assert not late


def test_who_has_left_is_not_served(folder: Path) -> None:
    """Requests that timed out behind a hung thread do not delay the next ones."""
    with ExitStack() as stack:
        for _ in range(WORKERS * THREADS):
            ask(folder, "/hang", stack)
        for _ in range(6 * WORKERS * THREADS):
            ask(folder, "/hang", stack)
            ask(folder, "/note", stack)
        assert not answered(folder, seconds=TIMEOUT)
    # Their clients have a 504 now. One round of the watchdog, not one for each of their waves:
    until(lambda: answered(folder, seconds=patience(0.5)), 3 * TIMEOUT)
    assert not (folder / "notes").exists()


def read(folder: Path, path: str, heads: str = "") -> tuple[int, bytes]:
    """Status and body of one answer."""
    with ExitStack() as stack:
        answer = http.client.HTTPResponse(ask(folder, path, stack, heads=heads))
        answer.begin()
        return answer.status, answer.read()


def quiet(folder: Path) -> bool:
    """Whether no worker has retired."""
    return " hang" not in (folder / "log").read_text()


@pytest.mark.parametrize("path", ["/file", "/pieces"])
def test_a_client_that_reads_slowly_is_waited_for(folder: Path, path: str) -> None:
    """Also a client that reads nothing for longer than an answer may take: nginx has a limit for it."""
    with ExitStack() as stack:
        connection = ask(folder, path, stack)
        time.sleep(3 * TIMEOUT)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert len(answer.read()) == 4 << 20
    assert quiet(folder)


def test_a_body_that_comes_slowly_is_waited_for(folder: Path) -> None:
    """nginx has a limit for that, too."""
    with ExitStack() as stack:
        ask(folder, "/", stack, heads="Content-Length: 5\r\n")
        time.sleep(3 * TIMEOUT)
        assert quiet(folder)


def test_websockets_and_event_streams_may_be_quiet(folder: Path) -> None:
    with ExitStack() as stack:
        events = http.client.HTTPResponse(ask(folder, "/events", stack))
        talk = ask(folder, "/talk", stack, heads="Upgrade: websocket\r\nConnection: upgrade\r\n")
        assert talk.recv(100).startswith(b"HTTP/1.1 101")
        time.sleep(2.5 * TIMEOUT)
        talk.sendall(b"hello")
        assert talk.recv(100) == b"hello"
        events.begin()
        assert events.read() == b"data: x\n\n" * 2
    assert quiet(folder)


def test_a_hung_request_is_reported_so_where_nginx_is_patient(folder: Path) -> None:
    begin = time.monotonic()
    assert read(folder, "/hang")[0] == 504
    assert TIMEOUT <= time.monotonic() - begin < TIMEOUT + patience(2)


@pytest.mark.parametrize("seconds", [1, 3 * TIMEOUT])
def test_a_path_has_its_own_limit(folder: Path, seconds: int) -> None:
    """nginx states it with each request."""
    begin = time.monotonic()
    assert read(folder, "/hang", f"X-Slipway-Timeout: {seconds}\r\n")[0] == 504
    assert seconds <= time.monotonic() - begin < seconds + patience(2)


def headers(folder: Path, path: str, heads: str = "") -> dict[str, str]:
    """The headers for nginx in an answer."""
    with ExitStack() as stack:
        answer = http.client.HTTPResponse(ask(folder, path, stack, heads=heads))
        answer.begin()
        return {name.lower(): value for name, value in answer.getheaders() if name.lower().startswith("x-")}


STREAM = "Accept: text/event-stream\r\n"
UPGRADE = "Upgrade: websocket\r\nConnection: upgrade\r\n"


def test_nginx_learns_what_answered_and_whether_to_collect_it(folder: Path) -> None:
    release_id = headers(folder, "/")["x-slipway-release"]
    assert re.fullmatch(names.RELEASE, release_id) or release_id == releases.RELEASE
    for heads in ("", STREAM, UPGRADE):
        assert headers(folder, "/events", heads)["x-accel-buffering"] == "no"
        assert headers(folder, "/", heads).get("x-accel-buffering") == ("yes" if heads else None)


ASYNC = """
    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        kind = b"Text/Event-Stream; charset=utf-8" if scope["path"] == "/events" else b"text/plain"
        seen = b",".join(name for name, _ in scope["headers"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"Content-Type", kind)]})
        await send({"type": "http.response.body", "body": b"ok" if scope["path"] == "/" else seen})
"""


def test_nginx_learns_the_same_from_an_asgi_app(empty: Path) -> None:
    write_configuration(empty, interface="asgi", worker_class="asgi", threads=1)
    with running(empty, ASYNC):
        assert "x-slipway-release" in headers(empty, "/")
        for heads in ("", STREAM):
            assert headers(empty, "/events", heads)["x-accel-buffering"] == "no"
            assert headers(empty, "/", heads).get("x-accel-buffering") == ("yes" if heads else None)
        assert b"x-slipway-timeout" not in read(empty, "/seen", "X-Slipway-Timeout: 9\r\n")[1]


def test_the_client_is_the_one_that_nginx_tells(folder: Path) -> None:
    heads = "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Request-ID: id-1\r\n"
    assert json.loads(read(folder, "/who", heads)[1]) == ["203.0.113.7", "https", "id-1", None]
    assert json.loads(read(folder, "/who", "X-Slipway-Timeout: 9\r\n")[1]) == ["127.0.0.1", "http", None, None]


def test_what_made_a_500_is_logged_once_with_its_request(folder: Path) -> None:
    assert read(folder, "/boom?token=hunter2", "X-Request-ID: id-1\r\n")[0] == 500
    assert read(folder, "/handled", "X-Request-ID: id-2\r\n")[0] == 500
    assert read(folder, "/boom", "X-Request-ID: no id;\r\n")[0] == 500
    log = (folder / "log").read_text()
    assert log.count("\nRuntimeError: boom\n") == 2
    assert log.count("\nRuntimeError: handled\n") == 1
    assert "Error handling request GET /boom [request id-1]" in log
    assert "the framework's word [request id-2]" in log
    assert "[request -]" in log
    assert "hunter2" not in log


def test_an_error_of_the_system_in_the_app_is_a_500_too(folder: Path) -> None:
    """gunicorn treats it as an error of the connection, and would close that without an answer: a 502 to the client."""
    assert read(folder, "/unwritable", "X-Request-ID: id-3\r\n")[0] == 500
    log = (folder / "log").read_text()
    assert log.count("\nPermissionError: [Errno 13] Permission denied: '/nowhere'\n") == 1
    assert "[request id-3]" in log


HOOKS = """
from os.path import *
def post_worker_init(worker):
    worker.log.info("theirs: %s", max_requests)
class Answers:
    def __call__(self, worker, req, environ, resp):
        worker.log.info("answered %s", resp.status)
post_request = Answers()
when_ready = lambda server: server.log.info("ready")
pre_fork = None
del pre_fork, timeout
max_requests = workers * 500
"""


def test_hooks_of_the_users_run_beside_the_kit(empty: Path) -> None:
    write_configuration(empty, HOOKS)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{empty}/notify")
        manager.settimeout(10)
        with running(empty, NOTIFY_SOCKET=f"{empty}/notify"):
            assert manager.recv(100).startswith(b"READY=1")
            assert read(empty, "/hang")[0] == 504
    log = (empty / "log").read_text()
    for words in ("theirs: 1000", "answered 200 OK", "INFO] ready", "1 request hangs"):
        assert words in log


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("exec('bind = 5')", "gunicorn_extra must not set bind: it is the instance's own socket"),
        ("globals()['worker_class'] = 'sync'", "gunicorn_extra must not set worker_class: use `worker_class`"),
        ("max_requests = 5", ""),
    ],
)
def test_what_parsing_cannot_see_is_refused_when_the_configuration_is_checked(
    empty: Path, extra: str, message: str
) -> None:
    write_configuration(empty, extra)
    (empty / "web.py").write_text(textwrap.dedent(APP))
    result = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", str(empty / "gunicorn.conf.py"), "--check-config"],
        cwd=empty, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stderr.strip()) == (1 if message else 0, message)
