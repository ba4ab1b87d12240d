"""One deadline holds for connection, head and body, whatever the other side sends."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.run.asking import ENOUGH, ask

from tests.patience import patience

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
Script = Callable[[socket.socket, threading.Event], None]


@contextlib.contextmanager
def serving(folder: Path, script: Script) -> Iterator[str]:
    """A server on a unix socket that reads one request and then runs `script` until the end of the test."""
    path, over = str(folder / "s"), threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError), listener.accept()[0] as connection:
            connection.recv(65536)
            script(connection, over)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield path
        finally:
            over.set()
            with contextlib.suppress(OSError):  # wakes accept() where no client has connected
                socket.socket(socket.AF_UNIX).connect(path)
            thread.join()


def drip(data: bytes) -> Script:
    """Sends a byte every 10 ms, without end."""

    def script(connection: socket.socket, over: threading.Event) -> None:
        number = 0
        while not over.wait(0.01):
            connection.sendall(data[number % len(data) : number % len(data) + 1])
            number += 1

    return script


def after(head: bytes, script: Script) -> Script:
    def both(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(head)
        script(connection, over)

    return both


def silence(_connection: socket.socket, over: threading.Event) -> None:
    over.wait()


@pytest.mark.parametrize(
    "script", [silence, drip(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100), after(b"HTTP/1.1", silence)]
)
def test_a_head_that_never_ends_is_given_up(tmp_path: Path, script: Script) -> None:
    with serving(tmp_path, script) as path:
        begin = time.monotonic()
        with pytest.raises(TimeoutError):
            ask(path, "/", {}, 0.5)
        assert 0.4 < time.monotonic() - begin < patience(5)


def test_the_head_is_enough_where_no_word_is_looked_for(tmp_path: Path) -> None:
    with serving(tmp_path, after(HEAD, silence)) as path:
        assert ask(path, "/", {}, 60).status == 200


def test_a_stream_is_read_until_the_word_comes(tmp_path: Path) -> None:
    with serving(tmp_path, after(HEAD, drip(b"data: ready\n\n"))) as path:
        body = ask(path, "/", {}, 60, "ready").body
    # What came together with the word was read, too; on a busy machine that may be some bytes.
    assert "ready" in body and len(body) < 5 * len("data: ready\n\n")


def test_a_body_without_the_word_is_read_until_the_deadline(tmp_path: Path) -> None:
    with serving(tmp_path, after(HEAD, drip(b"data: tick\n\n"))) as path:
        begin = time.monotonic()
        answer = ask(path, "/", {}, 0.5, "ready")
        assert answer.status == 200 and "tick" in answer.body and "ready" not in answer.body
        assert time.monotonic() - begin < patience(5)


def test_a_body_is_read_up_to_a_limit(tmp_path: Path) -> None:
    def flood(connection: socket.socket, over: threading.Event) -> None:
        while not over.is_set():
            connection.sendall(b"x" * 65536)

    with serving(tmp_path, after(HEAD, flood)) as path:
        assert len(ask(path, "/", {}, 60, "ready").body) == ENOUGH


def test_waiting_ends_when_the_look_says_so(tmp_path: Path) -> None:
    def look() -> None:
        raise RuntimeError("the instance is gone")

    with serving(tmp_path, silence) as path, pytest.raises(RuntimeError, match="gone"):
        ask(path, "/", {}, 60, look=look)
