"""What a connection sends at once: the head of an answer, and the first bytes of its body."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.programs.serving import connections

HEAD = b"HTTP/1.1 200 OK\r\nServer: gunicorn\r\nContent-Length: 4\r\n\r\n"
Pair = tuple[Any, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A worker's connection and the other end, which sees where each of its messages ends."""
    ours, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection = connections.counted(ours)
    connection.holds = True
    other.settimeout(0.2)
    with connection, other:
        yield connection, other


def test_a_head_waits_for_its_body(pair: Pair) -> None:
    connection, other = pair
    connection.sendall(HEAD)
    with pytest.raises(TimeoutError):
        other.recv(4096)
    connection.sendall(b"body")
    assert other.recv(4096) == HEAD + b"body"
    connection.sendall(b"more")
    assert other.recv(4096) == b"more"


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nServer: gunicorn\r\nTransfer-Encoding: chunked\r\n\r\n", id="a stream"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", id="events"),
        pytest.param(b"HTTP/1.1 200 OK\r\nServer: gunicorn\r\nContent-Length: 0\r\n\r\n", id="an empty body"),
        pytest.param(b"HTTP/1.1 304 Not Modified\r\nServer: gunicorn\r\nContent-Length: 4\r\n\r\n", id="no body"),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", id="an upgrade"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", id="no answer yet"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", id="an app's own, by its socket"),
        pytest.param(HEAD + b"body", id="an answer in one piece"),
        pytest.param(HEAD[:-2] + b"Content-Type: text/event-stream\r\n\r\n", id="events of a known length"),
    ],
)
def test_a_head_without_a_body_that_follows_at_once_is_sent_at_once(pair: Pair, head: bytes) -> None:
    connection, other = pair
    connection.sendall(head)
    assert other.recv(4096) == head


def test_other_workers_send_each_head_at_once(pair: Pair) -> None:
    connection, other = pair
    connection.holds = False
    connection.sendall(HEAD)
    assert other.recv(4096) == HEAD


def test_a_large_body_is_not_copied(pair: Pair) -> None:
    connection, other = pair
    connection.sendall(HEAD)
    connection.sendall(b"x" * (connections.TOGETHER + 1))
    assert other.recv(4096) == HEAD
    assert len(other.recv(2 * connections.TOGETHER)) == connections.TOGETHER + 1


@pytest.mark.parametrize("how", ["flush", "close", "shutdown", "send", "sendfile", "recv"])
def test_a_head_is_sent_before_whatever_comes_next(pair: Pair, how: str, tmp_path: Any) -> None:
    connection, other = pair
    connection.sendall(HEAD)
    if how == "shutdown":
        connection.shutdown(socket.SHUT_WR)
    elif how == "recv":  # the app waits for its client
        other.send(b"x")
        assert connection.recv(1) == b"x"
    elif how == "send":
        assert connection.send(b"body") == 4
    elif how == "sendfile":
        (tmp_path / "file").write_bytes(b"body")
        with (tmp_path / "file").open("rb") as file:
            connection.sendfile(file)
    else:
        getattr(connection, how)()
    assert other.recv(4096) == HEAD


def test_a_client_that_has_left_breaks_no_close(pair: Pair) -> None:
    connection, other = pair
    connection.sendall(HEAD)
    other.close()
    connection.close()
