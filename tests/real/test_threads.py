"""The kit's own worker: what it must not lose, and what must not delay others."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.patience import patience

from .conftest import until
from .test_workers import (
    APP,
    THREADS,
    TIMEOUT,
    WORKERS,
    answered,
    ask,
    empty,
    read,
    running,
    starting,
    write_configuration,
)

__all__ = ["empty"]
pytestmark = pytest.mark.real

WEB = APP.replace(
    "    def app(",
    """\
    import ctypes, os, resource, socket, sys, threading
    LEAKED = []
    open(f"loaded-{os.getpid()}", "w").close()
    def app(""",
).replace(
    '        if path == "/note":',
    """\
        if path == "/hold":  # as C code that does not let other threads run
            sys.setswitchinterval(3600)  # it is held from before the file is there
            ctypes.PyDLL(None).system(b"touch held")
            ctypes.PyDLL(None).sleep(int(environ["QUERY_STRING"]))
        if path == "/long":
            open(f"begun-{os.getpid()}-{threading.get_ident()}", "w").close()
            while not os.path.exists("enough"):
                time.sleep(0.02)
        if path == "/name":
            start_response("200 OK", [])
            return [f"{os.getpid()} {threading.current_thread().name}".encode()]
        if path == "/later":
            threading.Thread(target=lambda: (time.sleep(1), open("later", "w").close())).start()
        if path == "/impatient":
            socket.setdefaulttimeout(0.2)
        if path == "/leak":
            resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
            while True:
                LEAKED.append(open("/dev/null"))
        if path == "/note":""",
)
LOAD = 4
"""Clients that send one request after another."""


@contextmanager
def serving(folder: Path, extra: str = "", **changes: int | str) -> Iterator[int]:
    """gunicorn with the kit's own workers; the block gets the master's process id."""
    write_configuration(folder, extra, worker_class="threads", **changes)
    with running(folder, WEB) as master:
        until(lambda: len(list(folder.glob("loaded-*"))) == changes.get("workers", WORKERS))
        yield master


def workers(master: int) -> list[int]:
    """The process ids of a master's workers."""
    return [int(number) for number in Path(f"/proc/{master}/task/{master}/children").read_text().split()]


def end(worker: int) -> None:
    """Ask a worker to stop, unless it has just ended."""
    with suppress(ProcessLookupError):
        os.kill(worker, signal.SIGTERM)


@contextmanager
def load(folder: Path, path: str = "/") -> Iterator[tuple[list[str], list[str]]]:
    """Clients that ask without a pause; the block gets the answers and the failures."""
    answers: list[str] = []
    failures: list[str] = []
    over = threading.Event()

    def client() -> None:
        while not over.is_set():
            try:
                status, body = read(folder, path)
                (answers if status == 200 and body else failures).append(f"{status} {body!r}")
            except (OSError, http.client.HTTPException) as error:
                failures.append(repr(error))

    threads = [threading.Thread(target=client) for _ in range(LOAD)]
    for thread in threads:
        thread.start()
    try:
        yield answers, failures
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_a_worker_whose_interpreter_is_held_takes_no_requests(empty: Path) -> None:
    """While C code holds one worker's interpreter, the other one answers everything."""
    with serving(empty), ExitStack() as stack:
        ask(empty, "/hold?4", stack)
        until((empty / "held").exists)
        begin = time.monotonic()
        late = [number for number in range(40) if not answered(empty, seconds=min(patience(0.5), 3))]
        assert time.monotonic() - begin < 4, "the other worker's time was over"
    assert not late


def test_a_worker_whose_interpreter_is_held_is_ended(empty: Path) -> None:
    """It cannot tell the master that it lives, though its requests are not the watchdog's."""
    with serving(empty) as master, ExitStack() as stack:
        before = set(workers(master))
        connection = ask(empty, "/hold?3600", stack, seconds=patience(20))
        assert connection.recv(1) == b""
        until(lambda: len(set(workers(master)) - before) == 1)
    assert "WORKER TIMEOUT" in (empty / "log").read_text()


@pytest.mark.parametrize(
    "disturb",
    [
        pytest.param(lambda master: [end(worker) for worker in workers(master)], id="recycled"),
        pytest.param(lambda master: os.kill(master, signal.SIGHUP), id="reloaded"),
        pytest.param(lambda master: os.kill(master, signal.SIGTTIN), id="one more"),
        pytest.param(lambda master: os.kill(master, signal.SIGTTOU), id="one less"),
        pytest.param(lambda master: os.kill(master, signal.SIGUSR1), id="logs reopened"),
    ],
)
def test_no_accepted_request_is_lost(empty: Path, disturb: Callable[[int], object]) -> None:
    with serving(empty) as master, load(empty) as (answers, failures):
        for _ in range(6):
            count = len(answers)
            disturb(master)
            until(lambda count=count: len(answers) > count + 50)
    assert not failures


def test_max_requests_loses_none(empty: Path) -> None:
    with serving(empty, "max_requests, max_requests_jitter = 50, 20") as master:
        first = set(workers(master))
        with load(empty) as (_, failures):
            until(lambda: not first & set(workers(master)))
    assert not failures


def test_a_stop_finishes_what_is_in_flight(empty: Path) -> None:
    with serving(empty, request_timeout=30) as master, ExitStack() as stack:
        connections = [ask(empty, "/long", stack) for _ in range(WORKERS * THREADS)]
        until(lambda: len(list(empty.glob("begun-*"))) == len(connections))
        os.kill(master, signal.SIGTERM)
        until(lambda: "Handling signal: term" in (empty / "log").read_text())
        (empty / "enough").touch()
        for connection in connections:
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert (answer.status, answer.read()) == (200, b"ok")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_instance_stops_at_once(empty: Path, number: int) -> None:
    with serving(empty) as master:
        before = workers(master)
        time.sleep(1)  # all threads are idle
        begin = time.monotonic()
        os.kill(master, number)
        until(lambda: not any(Path(f"/proc/{worker}/exe").exists() for worker in before))
        assert time.monotonic() - begin < patience(0.8)


def test_a_thread_of_the_app_outlives_the_stop(empty: Path) -> None:
    """As under gthread: it sends a mail, for example."""
    with serving(empty) as master:
        read(empty, "/later")
        os.kill(master, signal.SIGTERM)
        until((empty / "later").exists)


@pytest.mark.parametrize("size", [100, 200_000, 20_000_000])
def test_an_unread_body_does_not_cost_the_answer(empty: Path, size: int) -> None:
    with serving(empty), closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(patience(5))
        connection.connect(str(empty / "app.sock"))
        connection.sendall(f"POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: {size}\r\n\r\n".encode())
        connection.sendall(bytes(size))
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert (answer.status, answer.read()) == (200, b"ok")


def test_connections_without_a_request_are_ended(empty: Path) -> None:
    """They would each occupy a thread for as long as they are open."""
    with serving(empty), ExitStack() as stack:
        silent = []
        for _ in range(WORKERS * THREADS):
            connection = stack.enter_context(closing(socket.socket(socket.AF_UNIX)))
            connection.settimeout(patience(10))
            connection.connect(str(empty / "app.sock"))
            connection.sendall(b"GET /")
            silent.append(connection)
        assert [connection.recv(1) for connection in silent] == [b""] * len(silent)
        assert answered(empty, patience(1))
    assert "hang" not in (empty / "log").read_text()


def test_no_more_threads_than_requests_in_parallel(empty: Path) -> None:
    """Each thread may hold a connection to a database."""
    with serving(empty, workers=1, threads=24, request_timeout=10):
        used = {read(empty, "/name")[1] for _ in range(50)}
        assert len(used) <= 8  # one waits, and on a busy machine some just close their connections
        with ExitStack() as stack:
            for _ in range(8):
                ask(empty, "/slow", stack)
            until(lambda: len({read(empty, "/name")[1] for _ in range(5)} - used) > 0)


def test_the_first_thread_may_have_a_request_at_once(empty: Path) -> None:
    """A request that waits when the worker begins must not keep the others waiting until it is answered."""
    slow = """
    def begin_slowly(thread, start=threading.Thread.start):
        start(thread)
        time.sleep(0.3)  # as on a busy machine: the new thread runs, the one that began it does not
    threading.Thread.start = begin_slowly
    """
    write_configuration(empty, worker_class="threads", workers=1, request_timeout=30)
    with starting(empty, WEB + slow), ExitStack() as stack:
        until(lambda: "Listening at" in (empty / "log").read_text())
        for _ in range(THREADS):
            ask(empty, "/long", stack)
        until(lambda: len(list(empty.glob("begun-*"))) == THREADS)


def test_the_apps_default_timeout_is_not_the_connections(empty: Path) -> None:
    with serving(empty, workers=1, request_timeout=10), ExitStack() as stack:
        read(empty, "/impatient")
        answer = http.client.HTTPResponse(ask(empty, "/slow", stack))
        answer.begin()
        assert answer.status == 200
        connection = stack.enter_context(closing(socket.socket(socket.AF_UNIX)))
        connection.settimeout(patience(5))
        connection.connect(str(empty / "app.sock"))
        connection.sendall(b"GET / HTTP/1.1\r\n")
        time.sleep(0.6)  # longer than the app's default
        connection.sendall(b"Host: shop.example\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"


def test_a_worker_that_cannot_accept_any_more_is_replaced(empty: Path) -> None:
    """An app that leaks files must not leave a worker that answers nothing."""
    with serving(empty, workers=1, request_timeout=10) as master, ExitStack() as stack:
        before = workers(master)
        with suppress(OSError, http.client.HTTPException):
            read(empty, "/leak")
        slow = http.client.HTTPResponse(ask(empty, "/slow", stack))  # over the last free descriptor
        assert answered(empty, patience(10)), "no other worker has taken the request"
        assert workers(master) != before
        slow.begin()
        assert slow.status == 200
    assert "retires" in (empty / "log").read_text()


def test_gthread_serves_under_a_gunicorn_that_is_not_proved(empty: Path) -> None:
    write_configuration(empty, worker_class="threads")
    path = empty / "gunicorn.conf.py"
    text = path.read_text()
    assert 'proved="' in text
    path.write_text(text.replace('proved="', 'proved="20.1.0", hidden="').replace(', hidden="', " # "))
    with running(empty):
        assert answered(empty, patience(1))
    assert ".gthread_worker" in (empty / "log").read_text()


def test_a_logger_of_the_users_need_not_take_the_settings(empty: Path) -> None:
    extra = """
        from gunicorn.glogging import Logger

        class logger_class:
            __slots__ = ("_log",)

            def __init__(self, cfg):
                self._log = Logger(cfg)

            def __getattr__(self, name):
                return getattr(self._log, name)
        """
    write_configuration(empty, textwrap.dedent(extra), worker_class="threads")
    with running(empty):
        assert answered(empty, patience(1))
    assert "Exception in worker" not in (empty / "log").read_text()


def test_the_kernel_prefers_a_worker_to_the_master(empty: Path) -> None:
    """When memory runs out: the master would take all workers with it."""
    with serving(empty) as master:
        score = int(Path(f"/proc/{master}/oom_score_adj").read_text())
        assert all(int(Path(f"/proc/{worker}/oom_score_adj").read_text()) > score for worker in workers(master))


def test_a_hung_request_delays_only_its_own_thread(empty: Path) -> None:
    """And its worker is replaced, when nginx has answered its client."""
    with serving(empty) as master, ExitStack() as stack:
        before = set(workers(master))
        ask(empty, "/hang", stack)
        until(lambda: len(set(workers(master)) - before) == 1, 3 * TIMEOUT + 5)
        assert answered(empty, patience(1))
    assert "1 request hangs: worker" in (empty / "log").read_text()
