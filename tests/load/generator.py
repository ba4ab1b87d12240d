"""Sends requests at a constant rate, whatever happens to them, and notes every answer that is not the expected one.

`python -m tests.load.generator ADDRESS HOST NOTES` sends until its standard input ends, and then waits for the last
answers. It is bounded in time and number, and asks private addresses only.

The rate does not depend on the answers (an open loop): a server that stalls gets as many requests as any other. A
request's time counts from the moment at which it was due.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.patience import slowness

LONGEST = 3600.0
"""Seconds after which it ends by itself."""
MOST = 180_000
"""Requests after which it ends by itself."""
PATIENCE = 20.0 * slowness()
"""Seconds until a request without an answer is given up: more than nginx gives an app."""
IDLE = 30.0
"""Seconds after which an idle connection is not used again, as clients do. nginx closes it after 65 s, and a request at
that very moment is lost with any server."""
PADDING = b"x" * 2000
"""What makes a posted body as long as a form's."""


@dataclass(frozen=True)
class Stream:
    """Requests of one kind: `rate` a second, over kept-alive connections or over new ones."""

    name: str
    rate: float
    path: str
    method: str = "GET"
    keep: bool = True
    host: str = ""
    """The site that is asked, where it is not the app's."""


CONTROL_TEXT = b"a plain file\n"
CONTROL = Stream("control", 5, "/control.txt", keep=False, host="control.test")
"""A plain file of the same nginx, in which nothing of the kit has a part: late when the machine itself is."""
STREAMS = (
    Stream("kept", 16, "/fast"),
    Stream("new", 16, "/fast", keep=False),
    Stream("kept post", 7, "/echo", "POST"),
    Stream("new post", 7, "/echo", "POST", keep=False),
    Stream("kept slow", 1, "/slow?seconds=2"),
    Stream("new slow", 1, "/slow?seconds=2", keep=False),
    CONTROL,
)
"""48 requests a second, and the control. Four of the slow ones are in flight at any time."""


@dataclass(frozen=True)
class Note:
    """One request and its outcome.

    `sent` is the moment at which it was due, on the clock that all processes of the machine share (time.monotonic).
    `outcome` is one of three:

    - "ok";
    - "closed": a kept-alive connection was closed before the first byte of the answer. A browser sends such a request
      again, unless it is a POST, which the server may have processed;
    - what arrived in place of the answer.
    """

    stream: str
    sent: float
    seconds: float
    outcome: str
    release: str = ""
    late: float = 0.0
    number: int = 0
    """The token in its path, by which it is found in logs."""


class ClosedBeforeAnswer(Exception):
    """The connection ended where an answer should begin."""


class Connection:
    """HTTP/1.1 on one connection, as much as is needed to check answers with a Content-Length."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.reusable = True
        self._answered = 0.0

    @classmethod
    async def open(cls, address: str, port: int) -> Connection:
        """Connect."""
        return cls(*await asyncio.open_connection(address, port))

    @property
    def stale(self) -> bool:
        """Whether the server has closed it already, or may do so at any moment since it was idle for long."""
        idle = asyncio.get_running_loop().time() - self._answered
        return self._reader.at_eof() or self._writer.is_closing() or idle > IDLE

    async def ask(self, head: bytes, body: bytes) -> tuple[int, bytes]:
        """Send a request; the status and the body of the answer."""
        try:
            self._writer.write(head + body)
            await self._writer.drain()
            line = await self._reader.readline()
        except ConnectionError as error:
            raise ClosedBeforeAnswer from error
        if not line:
            raise ClosedBeforeAnswer
        status, length = int(line.split()[1]), -1
        while line := (await self._reader.readline()).strip().lower():
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
            elif line == b"connection: close":
                self.reusable = False
        if length < 0:
            raise ValueError("an answer without a length")
        text = await self._reader.readexactly(length)
        self._answered = asyncio.get_running_loop().time()
        return status, text

    def close(self) -> None:
        """End it."""
        self._writer.close()


class Load:
    """Everything that is sent to one host."""

    def __init__(self, address: str, port: int, host: str) -> None:
        if not ipaddress.ip_address(address).is_private:
            raise SystemExit(f"{address} is not a private address: load is for test hosts only")
        self._address, self._port, self._host = address, port, host
        self._idle: dict[str, list[Connection]] = {}
        self._count = 0
        self.notes: list[Note] = []

    async def run(self, streams: tuple[Stream, ...], stop: asyncio.Event, seconds: float = LONGEST) -> None:
        """Send until `stop` is set, then wait for the requests in flight."""
        begin = asyncio.get_running_loop().time()
        tasks: set[asyncio.Task[None]] = set()
        for due, stream in schedule(streams):
            if due > seconds or self._count >= MOST:
                break
            pause = begin + due - asyncio.get_running_loop().time()
            if pause > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause)
            if stop.is_set():
                break
            self._count += 1
            task = asyncio.create_task(self._one(stream, self._count, begin + due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if tasks:
            await asyncio.wait(tasks)
        for connections in self._idle.values():
            for connection in connections:
                connection.close()

    async def _one(self, stream: Stream, number: int, due: float) -> None:
        clock = asyncio.get_running_loop().time
        late, release = clock() - due, ""
        try:
            outcome, release = await asyncio.wait_for(self._ask(stream, number), PATIENCE)
        except TimeoutError:
            outcome = f"no answer after {PATIENCE:g} s"
        except ClosedBeforeAnswer:
            outcome = "closed" if stream.keep else "connection closed"
        except ConnectionRefusedError:
            outcome = "connection refused"
        except Exception as error:  # whatever it was, the client did not get the answer
            outcome = f"{type(error).__name__}: {error}"
        self.notes.append(Note(stream.name, due, clock() - due, outcome, release, late, number))

    async def _ask(self, stream: Stream, number: int) -> tuple[str, str]:
        token = str(number)
        body = token.encode() + PADDING if stream.method == "POST" else b""
        path = f"{stream.path}{'&' if '?' in stream.path else '?'}token={token}"
        lines = [f"{stream.method} {path} HTTP/1.1", f"Host: {stream.host or self._host}"]
        lines += [f"Content-Length: {len(body)}"] if body else []
        lines += [] if stream.keep else ["Connection: close"]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        connection = await self._connection(stream)
        try:
            status, text = await connection.ask(head, body)
        except BaseException:
            connection.close()
            raise
        if stream.keep and connection.reusable:
            self._idle.setdefault(stream.name, []).append(connection)
        else:
            connection.close()
        return judge(stream, token, body, status, text)

    async def _connection(self, stream: Stream) -> Connection:
        idle = self._idle.get(stream.name, []) if stream.keep else []
        while idle:
            connection = idle.pop()
            if not connection.stale:
                return connection
            connection.close()
        return await Connection.open(self._address, self._port)


def judge(stream: Stream, token: str, body: bytes, status: int, text: bytes) -> tuple[str, str]:
    """The outcome of a request, and the release that answered it, if the answer names one."""
    if status != 200:
        return str(status), ""
    if stream is CONTROL:
        return "ok" if text == CONTROL_TEXT else "another body", ""
    if stream.method == "POST":
        return "ok" if text == body else "another body", ""
    try:
        answer: dict[str, Any] = json.loads(text)
        return ("ok" if answer["token"] == token else "another's answer"), str(answer["release"])
    except (ValueError, KeyError, TypeError):
        return "another body", ""


def schedule(streams: tuple[Stream, ...]) -> Iterator[tuple[float, Stream]]:
    """When each request is due, in seconds from the start: every stream at its own rate, and no two at once."""
    sent = [0] * len(streams)
    while True:
        # Streams begin one after the other, within their first interval.
        due = [(sent[i] + (i + 1) / (len(streams) + 1)) / stream.rate for i, stream in enumerate(streams)]
        first = min(range(len(streams)), key=due.__getitem__)
        yield due[first], streams[first]
        sent[first] += 1


async def main(address: str, host: str, notes: Path, port: int = 80) -> None:
    """Send until standard input ends; write the outcome of every request to `notes`, one JSON object a line."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), lambda: stop.set() if not os.read(sys.stdin.fileno(), 1024) else None)
    load = Load(address, port, host)
    await load.run(STREAMS, stop)
    notes.write_text("".join(json.dumps(asdict(note)) + "\n" for note in load.notes), encoding="utf-8")


if __name__ == "__main__":
    assert asyncio.new_event_loop().time() - time.monotonic() < 1, "the event loop keeps another clock"
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
