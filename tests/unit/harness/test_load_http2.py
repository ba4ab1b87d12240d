"""The load generator over HTTP/2: what a server says about a request decides whether it is lost."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hpack import Decoder, Encoder
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, HeadersFrame, RstStreamFrame, SettingsFrame

from tests.authority import Authority
from tests.load.generator import Load, Note, Stream

KEPT = Stream("h2 kept", 50, "/fast", tls=True, http2=True)
POST = Stream("h2 post", 50, "/echo", "POST", tls=True, http2=True)
NEW = Stream("h2 new", 50, "/fast", keep=False, tls=True, http2=True)
Reply = Callable[[int, bytes], list[Frame]]
"""From a stream's number and the expected body to what the server sends."""
CLOSE = GoAwayFrame(0, last_stream_id=99, error_code=99)
"""Stands for a server that closes the connection without any frame."""


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    issued = Authority().issue("loss.test")
    path = tmp_path_factory.mktemp("tls") / "pair.pem"
    path.write_text(issued.chain + issued.private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    context.set_alpn_protocols(["h2"])
    return context


def good(number: int, body: bytes) -> list[Frame]:
    head = HeadersFrame(number, data=Encoder().encode([(":status", "200")]), flags=["END_HEADERS"])
    return [head, DataFrame(number, data=body, flags=["END_STREAM"])]


async def requests(reader: asyncio.StreamReader) -> Any:
    """The stream's number and the expected body of each request on a connection."""
    decoder, paths = Decoder(), {}
    await reader.readexactly(24)
    while True:
        frame, length = Frame.parse_frame_header(memoryview(await reader.readexactly(9)))
        frame.parse_body(memoryview(await reader.readexactly(length)))
        if isinstance(frame, HeadersFrame):
            path = dict(decoder.decode(frame.data))[":path"]
            paths[frame.stream_id] = path
            if "END_STREAM" in frame.flags:
                answer = {"token": path.partition("token=")[2], "release": "r1"}
                yield frame.stream_id, json.dumps(answer).encode()
        elif isinstance(frame, DataFrame):
            yield frame.stream_id, frame.data


def load(certified: ssl.SSLContext, stream: Stream, reply: Reply, plain: bytes = b"") -> list[Note]:
    """Run one stream for 0.3 seconds; over http, the server always answers `plain`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SettingsFrame().serialize())
        try:
            async for number, body in requests(reader):
                frames = reply(number, body)
                writer.write(b"".join(frame.serialize() for frame in frames if frame is not CLOSE))
                if CLOSE in frames:
                    break
        except (OSError, EOFError):
            pass
        writer.close()

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            while (await reader.readline()).strip():
                pass
            writer.write(plain.replace(b"TARGET", line.split()[1]))
        writer.close()

    async def run() -> list[Note]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=certified)
        leading = await asyncio.start_server(lead, "127.0.0.1", 0)
        port, https_port = (one.sockets[0].getsockname()[1] for one in (leading, server))
        sender = Load("127.0.0.1", port, "loss.test", https_port)
        await sender.run((stream,), asyncio.Event(), 0.3)
        server.close()
        leading.close()
        return sender.notes

    return asyncio.run(run())


def outcomes(notes: list[Note]) -> Counter[tuple[str, int]]:
    return Counter((note.outcome.partition(":")[0], note.again) for note in notes)


@pytest.mark.parametrize("stream", [KEPT, POST, NEW], ids=lambda stream: stream.name)
def test_good_answers_are_ok(certified: ssl.SSLContext, stream: Stream) -> None:
    assert outcomes(load(certified, stream, good)) == {("ok", 0): 15}


def test_a_request_that_the_server_did_not_begin_is_sent_again(certified: ssl.SSLContext) -> None:
    connections = iter(range(2))

    def leaves(number: int, body: bytes) -> list[Frame]:
        leaving = number == 5 and next(connections, None) is not None
        return [GoAwayFrame(0, last_stream_id=3)] if leaving else good(number, body)

    notes = load(certified, KEPT, leaves)
    assert {note.outcome for note in notes} == {"ok"}
    assert sum(note.again for note in notes) >= 2


def test_a_request_before_the_goaway_still_gets_its_answer(certified: ssl.SSLContext) -> None:
    connections = iter(range(2))

    def leaves(number: int, body: bytes) -> list[Frame]:
        word = [GoAwayFrame(0, last_stream_id=number)] if next(connections, None) is not None else []
        return [*word, *good(number, body)]

    # A request that was on its way when the word came is sent again.
    assert {note.outcome for note in load(certified, KEPT, leaves)} == {"ok"}


def test_a_refused_stream_is_sent_again(certified: ssl.SSLContext) -> None:
    refused: Iterator[bool] = iter([False, True])

    def refuses(number: int, body: bytes) -> list[Frame]:
        return [RstStreamFrame(number, error_code=7)] if next(refused, False) else good(number, body)

    assert outcomes(load(certified, KEPT, refuses)) == {("ok", 0): 14, ("ok", 1): 1}


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (lambda number, _: [RstStreamFrame(number, error_code=2)], "ConnectionError"),
        (lambda number, _: [CLOSE], "ConnectionResetError"),
        (lambda number, _: [GoAwayFrame(0, last_stream_id=number), CLOSE], "ConnectionResetError"),
        (lambda number, body: [*good(number, body)[:1], CLOSE], "ConnectionResetError"),
        (lambda number, _: good(number, b"hello"), "another body"),
        (lambda number, _: [RstStreamFrame(number, error_code=7)], "NotProcessed"),
    ],
)
def test_every_other_request_is_lost(certified: ssl.SSLContext, reply: Reply, outcome: str) -> None:
    notes = load(certified, KEPT, reply)
    # A request that was on its way when the word of the one before came is lost, too: it was sent again in vain.
    assert {note.outcome.partition(":")[0] for note in notes} - {"NotProcessed"} == {outcome} - {"NotProcessed"}
    assert len(notes) == 15


def test_http_leads_to_https(certified: ssl.SSLContext) -> None:
    plain = b"HTTP/1.1 308 x\r\nLocation: https://loss.test%sTARGET\r\nContent-Length: 0\r\n\r\n"
    stream = Stream("kept, then h2", 50, "/fast", http2=True)
    notes = load(certified, stream, good, plain.replace(b"%s", b""))
    assert outcomes(notes) == {("ok", 0): 15}
    assert all(note.moved for note in notes)
    lost = load(certified, stream, good, plain.replace(b"%s", b":444"))
    assert outcomes(lost) == {("308", 0): 15}
