"""The load generator notes what clients get, from servers that misbehave in one way each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from tests.load.generator import CONTROL, CONTROL_TEXT, Load, Note, Stream, judge, schedule
from tests.patience import patience

Answer = Callable[[bytes, bytes], bytes]
"""From a request's first line and body to the whole answer; an empty one closes the connection."""

KEPT = Stream("kept", 50, "/fast")
NEW = Stream("new", 50, "/fast", keep=False)
POST = Stream("kept post", 50, "/echo", "POST")


def http(body: bytes, status: str = "200 OK", head: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body


def expected(line: bytes, body: bytes) -> bytes:
    """The expected answer."""
    if line.startswith(b"POST"):
        return http(body)
    return http(json.dumps({"token": line.split()[1].decode().partition("token=")[2], "release": "r1"}).encode())


def load(answer: Answer, stream: Stream, seconds: float = 0.3, stalls: float = 0.0, asks: int = 1000) -> list[Note]:
    """Run one stream against a server that begins to answer after `stalls` seconds, and return its notes.

    The server closes a connection after `asks` requests, without notice.
    """

    async def run() -> list[Note]:
        begin = asyncio.get_running_loop().time()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for _ in range(asks):
                if not (line := await reader.readline()):
                    break
                length = 0
                while header := (await reader.readline()).strip():
                    if header.startswith(b"Content-Length"):
                        length = int(header.split(b":")[1])
                body = await reader.readexactly(length)
                await asyncio.sleep(begin + stalls - asyncio.get_running_loop().time())
                writer.write(answer(line, body))
                if not answer(line, body).count(b"\r\n\r\n") or answer(line, body).endswith(b"cut"):
                    break
            else:
                await reader.readline()  # the next request is on its way
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        sender = Load("127.0.0.1", server.sockets[0].getsockname()[1], "loss.test")
        await sender.run((stream,), asyncio.Event(), seconds)
        server.close()
        return sender.notes

    return asyncio.run(run())


@pytest.mark.parametrize("stream", [KEPT, NEW, POST], ids=lambda stream: stream.name)
def test_good_answers_are_ok(stream: Stream) -> None:
    notes = load(expected, stream)
    assert {note.outcome for note in notes} == {"ok"}
    assert len(notes) == 15  # 50 a second for 0.3 s
    assert {note.release for note in notes} == ({""} if stream is POST else {"r1"})


@pytest.mark.parametrize(
    ("answer", "stream", "outcome"),
    [
        (http(b"", "502 Bad Gateway"), NEW, "502"),
        (http(b"", "204 No Content"), NEW, "204"),
        (http(b"<p>hello"), NEW, "another body"),
        (http(b"hello"), POST, "another body"),
        (http(b'{"token": "0", "release": "r1"}'), NEW, "another's answer"),
        (b"", NEW, "connection closed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\ncut", NEW, "IncompleteReadError"),
        (b"HTTP/1.1 200 OK\r\n\r\n", NEW, "ValueError"),
        (b"what?\r\n\r\n", NEW, "IndexError"),
    ],
)
def test_every_other_answer_is_reported(answer: bytes, stream: Stream, outcome: str) -> None:
    notes = load(lambda line, body: answer, stream, 0.1)
    assert notes
    assert {note.outcome.partition(":")[0] for note in notes} == {outcome}


def test_a_kept_connection_closed_under_a_request_is_distinguished() -> None:
    outcomes = [note.outcome for note in load(expected, KEPT, asks=3)]
    assert outcomes.count("ok") + outcomes.count("closed") == len(outcomes)
    assert outcomes.count("closed") >= 3


def test_a_server_that_says_it_closes_is_not_asked_again() -> None:
    assert {
        note.outcome for note in load(lambda *r: expected(*r).replace(b"\r\n", b"\r\nConnection: close\r\n", 1), KEPT)
    } == {"ok"}


def test_nobody_there() -> None:
    sender = Load("127.0.0.1", 9, "loss.test")
    asyncio.run(sender.run((NEW,), asyncio.Event(), 0.1))
    assert {note.outcome for note in sender.notes} == {"connection refused"}


def test_requests_go_on_while_the_server_stalls_and_their_time_counts_from_when_they_were_due() -> None:
    notes = sorted(load(expected, KEPT, 0.4, stalls=0.6), key=lambda note: note.sent)
    assert len(notes) == 20  # a loop that waits for answers would have sent one
    assert all(note.outcome == "ok" and note.late < patience(0.2) for note in notes)
    assert notes[0].seconds > notes[-1].seconds + 0.3 > 0.4


def test_only_private_addresses_are_asked() -> None:
    with pytest.raises(SystemExit, match="not a private address"):
        Load("8.8.8.8", 80, "loss.test")


def test_streams_are_sent_at_their_rates_and_never_two_at_once() -> None:
    wanted = (Stream("a", 10, "/"), Stream("b", 5, "/"), Stream("c", 1, "/"))
    due = [item for item, _ in zip(schedule(wanted), range(160), strict=False)]
    times = [moment for moment, _ in due]
    assert times == sorted(set(times))
    for stream in wanted:
        assert sum(1 for moment, one in due if one is stream and moment < 5) == 5 * stream.rate


@pytest.mark.parametrize(
    ("status", "text", "outcome"),
    [(200, CONTROL_TEXT, "ok"), (200, b"Welcome to nginx!", "another body"), (404, CONTROL_TEXT, "404")],
)
def test_the_control_is_a_plain_file(status: int, text: bytes, outcome: str) -> None:
    assert judge(CONTROL, "7", b"", status, text) == (outcome, "")
