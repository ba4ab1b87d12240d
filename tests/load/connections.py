"""One connection of HTTP/1.1, with or without TLS, as much as is needed to check answers."""

from __future__ import annotations

import asyncio
import functools
import ssl
from dataclasses import dataclass

IDLE = 30.0
"""Seconds after which an idle connection is not used again, as clients do. nginx closes it after 65 s, and a request at
that very moment is lost with any server."""


@dataclass(frozen=True)
class Request:
    """What a client wants."""

    method: str
    host: str
    path: str
    body: bytes = b""
    keep: bool = True
    """Whether the connection is to stay open."""


@dataclass(frozen=True)
class Answer:
    """What it gets."""

    status: int
    body: bytes
    location: str = ""


class ClosedBeforeAnswer(Exception):
    """The connection ended where an answer should begin."""


class NotProcessed(Exception):
    """The server has said that it did not begin with the request. Every client sends such a one again."""


@functools.cache
def context(protocol: str) -> ssl.SSLContext:
    """What a client offers that speaks one protocol. Whether certificates are good is checked elsewhere."""
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.set_alpn_protocols([protocol])
    return made


class Http1:
    """HTTP/1.1: one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._reusable = True
        self._answered = 0.0

    @classmethod
    async def open(cls, address: str, port: int, name: str = "") -> Http1:
        """Connect; by TLS if there is the name of a site."""
        secured = context("http/1.1") if name else None
        return cls(*await asyncio.open_connection(address, port, ssl=secured, server_hostname=name or None))

    @property
    def stale(self) -> bool:
        """Whether the server has closed it, or may close it at any moment since it was idle for long."""
        idle = asyncio.get_running_loop().time() - self._answered
        return not self._reusable or self._reader.at_eof() or self._writer.is_closing() or idle > IDLE

    async def ask(self, request: Request) -> Answer:
        """Send a request; its answer."""
        lines = [f"{request.method} {request.path} HTTP/1.1", f"Host: {request.host}"]
        lines += [f"Content-Length: {len(request.body)}"] if request.body else []
        lines += [] if request.keep else ["Connection: close"]
        try:
            self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + request.body)
            await self._writer.drain()
            line = await self._reader.readline()
        except ConnectionError as error:
            raise ClosedBeforeAnswer from error
        if not line:
            raise ClosedBeforeAnswer
        status, length, location, chunked = int(line.split()[1]), -1, "", False
        while line := (await self._reader.readline()).strip():
            name, _, value = line.decode("latin-1").partition(":")
            match name.lower(), value.strip():
                case "content-length", size:
                    length = int(size)
                case "transfer-encoding", coding:
                    chunked = coding.lower() == "chunked"
                case "location", place:
                    location = place
                case "connection", "close":
                    self._reusable = False
        if chunked:
            body = await self._chunks()
        elif length < 0:
            raise ValueError(f"an answer {status} without a length")
        else:
            body = await self._reader.readexactly(length)
        self._answered = asyncio.get_running_loop().time()
        return Answer(status, body, location)

    async def _chunks(self) -> bytes:
        """A body of unknown length, as that of an error page into which nginx writes the request's id."""
        body = b""
        while length := int(await self._reader.readline(), 16):
            body += (await self._reader.readexactly(length + 2))[:-2]
        await self._reader.readline()
        return body

    def close(self) -> None:
        """End it."""
        self._writer.close()
