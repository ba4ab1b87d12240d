"""One connection of HTTP/2 that knows what a server says when it goes away.

It reads and writes frames itself. The library h2 takes a GOAWAY for the end of the connection. The requests that the server
still answers would then count as lost.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from .connections import IDLE, Answer, NotProcessed, Request, context

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""RFC 9113, section 3.4."""
WIDEST, FIRST = 2**31 - 1, 2**16 - 1
"""The widest window, and the first one (RFC 9113, section 6.9)."""
REFUSED = 7
"""The code of a stream that was not begun (RFC 9113, section 8.7)."""


@dataclass
class Exchange:
    """A request that waits for its answer, on its own stream."""

    answer: asyncio.Future[Answer]
    status: int = 0
    location: str = ""
    body: list[bytes] = field(default_factory=list)
    is_complete: bool = False


class Http2:
    """HTTP/2: any number of requests at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._encoder, self._decoder = Encoder(), Decoder()
        self._block = b""  # header fields that are not complete; no other frame comes between their parts
        self._exchanges: dict[int, Exchange] = {}
        self._next = 1
        self._window = FIRST
        self._leaving = False
        self._answered = asyncio.get_running_loop().time()
        settings = SettingsFrame(settings={SettingsFrame.ENABLE_PUSH: 0, SettingsFrame.INITIAL_WINDOW_SIZE: WIDEST})
        self._writer.write(PREFACE)
        self._send(settings, WindowUpdateFrame(0, window_increment=WIDEST - FIRST))
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, address: str, port: int, name: str) -> Http2:
        """Connect to a site.

        Raises:
            ValueError: the server does not speak HTTP/2.
        """
        reader, writer = await asyncio.open_connection(address, port, ssl=context("h2"), server_hostname=name)
        if writer.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            writer.close()
            raise ValueError("the server speaks no HTTP/2")
        return cls(reader, writer)

    @property
    def stale(self) -> bool:
        """Whether the server takes no more requests on it, or may close it at any moment since it was idle for long."""
        idle = asyncio.get_running_loop().time() - self._answered
        return self._leaving or self._reading.done() or (not self._exchanges and idle > IDLE)

    async def ask(self, request: Request) -> Answer:
        """Send a request; its answer.

        Raises:
            NotProcessed: the server said that it has not begun with it.
            ConnectionError: the connection or the stream ended without such a word.
        """
        number, self._next = self._next, self._next + 2
        exchange = self._exchanges[number] = Exchange(asyncio.get_running_loop().create_future())
        fields = [(":method", request.method), (":scheme", "https"), (":authority", request.host)]
        head = HeadersFrame(
            number, data=self._encoder.encode([*fields, (":path", request.path)]), flags=["END_HEADERS"]
        )
        self._window -= len(request.body)
        if self._window < 0:
            raise ValueError("the server takes no more")  # nginx never says so
        if request.body:
            self._send(head, DataFrame(number, data=request.body, flags=["END_STREAM"]))
        else:
            head.flags.add("END_STREAM")
            self._send(head)
        try:
            return await exchange.answer
        finally:
            self._exchanges.pop(number, None)
            self._answered = asyncio.get_running_loop().time()

    def close(self) -> None:
        """End it."""
        self._reading.cancel()
        self._writer.close()

    def _send(self, *frames: Frame) -> None:
        self._writer.write(b"".join(frame.serialize() for frame in frames))

    async def _read(self) -> None:
        """Take frames until the server closes the connection."""
        ended: Exception = ConnectionResetError("the connection was closed under a request, without a GOAWAY for it")
        try:
            while True:
                frame, length = Frame.parse_frame_header(memoryview(await self._reader.readexactly(9)))
                frame.parse_body(memoryview(await self._reader.readexactly(length)))
                self._take(frame)
        except (OSError, EOFError):
            pass
        except Exception as error:  # a server that speaks another language: no request gets its answer
            ended = error
        finally:
            self._leaving = True
            for exchange in self._exchanges.values():
                _settle(exchange.answer, ended)
            self._writer.close()

    def _take(self, frame: Any) -> None:
        exchange = self._exchanges.get(frame.stream_id)
        match frame:
            case SettingsFrame() if "ACK" not in frame.flags:
                self._send(SettingsFrame(flags=["ACK"]))
            case PingFrame() if "ACK" not in frame.flags:
                self._send(PingFrame(opaque_data=frame.opaque_data, flags=["ACK"]))
            case WindowUpdateFrame() if not frame.stream_id:
                self._window += frame.window_increment
            case GoAwayFrame():
                self._leaving = True
                for number, waiting in self._exchanges.items():
                    if number > frame.last_stream_id:  # RFC 9113, section 6.8
                        _settle(waiting.answer, NotProcessed())
            case HeadersFrame() | ContinuationFrame():
                self._head(frame, exchange)
            case DataFrame() if exchange:
                exchange.body.append(frame.data)
            case RstStreamFrame() if exchange:
                why = NotProcessed() if frame.error_code == REFUSED else ConnectionError(f"reset {frame.error_code}")
                _settle(exchange.answer, why)
        if exchange:
            exchange.is_complete |= "END_STREAM" in frame.flags
            if exchange.is_complete and not self._block and not exchange.answer.done():
                exchange.answer.set_result(Answer(exchange.status, b"".join(exchange.body), exchange.location))

    def _head(self, frame: Any, exchange: Exchange | None) -> None:
        """Read header fields, also those that no request waits for any more: the next ones build on them."""
        self._block += frame.data
        if "END_HEADERS" in frame.flags:
            fields = {str(name): str(value) for name, value in self._decoder.decode(self._block)}
            self._block = b""
            if exchange:
                exchange.status = int(fields.get(":status", exchange.status))
                exchange.location = fields.get("location", exchange.location)


def _settle(answer: asyncio.Future[Answer], why: Exception) -> None:
    if not answer.done():
        answer.set_exception(why)
