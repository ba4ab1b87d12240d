"""Sends requests at a constant rate, whatever happens to them, and notes every answer that is not the expected one.

`python -m tests.load.generator ADDRESS HOST NOTES [KIND]` sends until its standard input ends, and then waits for the last
answers. It is bounded in time and number, and asks private addresses only. KIND is one of `KINDS`.

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
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tests.patience import slowness

from .connections import Answer, ClosedBeforeAnswer, Http1, NotProcessed, Request
from .http2 import Http2

LONGEST = 3600.0
"""Seconds after which it ends by itself."""
MOST = 180_000
"""Requests after which it ends by itself."""
PATIENCE = 20.0 * slowness()
"""Seconds until a request without an answer is given up: more than nginx gives an app."""
MOVED = 308
"""The status by which http leads to https."""
AGAIN = 3
"""How often a request is sent that the server has not begun with. A reload says so once."""
PADDING = b"x" * 2000
"""Makes a posted body as long as a form's."""


@dataclass(frozen=True)
class Stream:
    """Requests of one kind: `rate` a second, over kept-alive connections or over new ones."""

    name: str
    rate: float
    path: str
    method: str = "GET"
    keep: bool = True
    host: str = ""
    """The site of the requests, where it is not the app's."""
    tls: bool = False
    http2: bool = False
    """How it asks by TLS."""
    pool: str = ""
    """Streams of one pool share their connections: with HTTP/2, one at a time. By default each stream has its own."""


CONTROL_TEXT = b"a plain file\n"
CONTROL = Stream("control", 5, "/control.txt", keep=False, host="control.test")
"""A plain file from the same nginx, without the kit: it is late when the machine itself is slow."""
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
SECURED = (
    Stream("https kept", 8, "/fast", tls=True),
    Stream("https new", 3, "/fast", keep=False, tls=True),
    Stream("https kept post", 4, "/echo", "POST", tls=True),
    Stream("https kept slow", 1, "/slow?seconds=1", tls=True),
    Stream("h2 kept", 8, "/fast", tls=True, http2=True),
    Stream("h2 new", 3, "/fast", keep=False, tls=True, http2=True),
    Stream("h2 post", 4, "/echo", "POST", tls=True, http2=True),
    # This connection always has a request in flight when a reload comes. The other ones often have none.
    Stream("h2 slow", 2, "/slow?seconds=1", tls=True, http2=True, pool="h2 busy"),
    Stream("h2 beside slow", 8, "/fast", tls=True, http2=True, pool="h2 busy"),
    CONTROL,
)
"""41 requests a second by TLS, more than half of them by HTTP/2."""
MOVING = (
    Stream("kept", 8, "/fast"),
    Stream("new", 4, "/fast", keep=False),
    Stream("kept post", 4, "/echo", "POST"),
    Stream("new post", 4, "/echo", "POST", keep=False),
    Stream("kept slow", 1, "/slow?seconds=1"),
    Stream("kept, then h2", 8, "/fast", http2=True),
    Stream("kept post, then h2", 4, "/echo", "POST", http2=True),
    CONTROL,
)
"""33 requests a second by http, which follow a 308 to https."""
KINDS = {"http": STREAMS, "https": SECURED, "moving": MOVING}


@dataclass(frozen=True)
class Note:
    """One request and its outcome.

    `sent` is the moment at which it was due, on the clock that all processes of the machine share (time.monotonic).
    `outcome` is one of three:

    - "ok";
    - "closed": a kept-alive connection of HTTP/1.1 was closed before the first byte of the answer. A browser sends such a
      request again, unless it is a POST, which the server may have processed;
    - what arrived in place of the answer.
    """

    stream: str
    sent: float
    seconds: float
    outcome: str
    release: str = ""
    late: float = 0.0
    number: int = 0
    """The token in its path, which finds it in logs."""
    again: int = 0
    """How often it was sent again, since the server said by HTTP/2 that it had not begun with it."""
    moved: bool = False
    """Whether http led it to https."""


class Load:
    """Everything that is sent to one host."""

    def __init__(self, address: str, port: int, host: str, https_port: int = 443) -> None:
        if not ipaddress.ip_address(address).is_private:
            raise SystemExit(f"{address} is not a private address: load is for test hosts only")
        self._address, self._ports, self._host = address, {False: port, True: https_port}, host
        self._pools: dict[str, list[Http1 | Http2]] = {}
        self._opening: dict[str, asyncio.Lock] = {}
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
        for connections in self._pools.values():
            for connection in connections:
                connection.close()

    async def _one(self, stream: Stream, number: int, due: float) -> None:
        clock = asyncio.get_running_loop().time
        note = Note(stream.name, due, 0.0, "", "", clock() - due, number)
        try:
            note = await asyncio.wait_for(self._judged(stream, note), PATIENCE)
        except TimeoutError:
            outcome = f"no answer after {PATIENCE:g} s"
        except ClosedBeforeAnswer:
            outcome = "closed" if stream.keep else "connection closed"
        except ConnectionRefusedError:
            outcome = "connection refused"
        except Exception as error:  # whatever it was, the client did not get the answer
            outcome = f"{type(error).__name__}: {error}"
        else:
            outcome = note.outcome
        self.notes.append(replace(note, seconds=clock() - due, outcome=outcome))

    async def _judged(self, stream: Stream, note: Note) -> Note:
        """Send a request, follow http to https, and judge the answer."""
        token = str(note.number)
        body = token.encode() + PADDING if stream.method == "POST" else b""
        path = f"{stream.path}{'&' if '?' in stream.path else '?'}token={token}"
        request = Request(stream.method, stream.host or self._host, path, body, stream.keep)
        answer, again = await self._answer(stream, request)
        moved = answer.status == MOVED and answer.location == f"https://{request.host}{request.path}"
        if moved:
            answer, more = await self._answer(replace(stream, tls=True, pool=f"{stream.name}, moved"), request)
            again += more
        outcome, release = judge(stream, token, body, answer.status, answer.body)
        return replace(note, outcome=outcome, release=release, again=again, moved=moved)

    async def _answer(self, stream: Stream, request: Request) -> tuple[Answer, int]:
        """Send a request, and again while the server says that it has not begun with it; how often that was."""
        for again in range(AGAIN):
            try:
                return await self._ask(stream, request), again
            except NotProcessed:
                continue
        raise NotProcessed(f"{AGAIN} times")

    async def _ask(self, stream: Stream, request: Request) -> Answer:
        if stream.tls and stream.http2:
            return await self._ask_http2(stream, request)
        idle = self._pools.setdefault(stream.pool or stream.name, [])
        while (connection := idle.pop() if idle and stream.keep else None) and connection.stale:
            connection.close()
        connection = connection or await Http1.open(
            self._address, self._ports[stream.tls], request.host if stream.tls else ""
        )
        try:
            answer = await connection.ask(request)
        except BaseException:
            connection.close()
            raise
        if stream.keep and not connection.stale:
            idle.append(connection)
        else:
            connection.close()
        return answer

    async def _ask_http2(self, stream: Stream, request: Request) -> Answer:
        """Ask on the pool's only connection. One that takes no more requests still ends those that it has."""
        name = stream.pool or stream.name
        pool = self._pools.setdefault(name, [])
        if not stream.keep:
            alone = await Http2.open(self._address, self._ports[True], request.host)
            try:
                return await alone.ask(request)
            finally:
                alone.close()
        async with self._opening.setdefault(name, asyncio.Lock()):
            if not pool or pool[-1].stale:
                pool.append(await Http2.open(self._address, self._ports[True], request.host))
        return await pool[-1].ask(request)


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


async def main(address: str, host: str, notes: Path, kind: str = "http") -> None:
    """Send until standard input ends; write the outcome of every request to `notes`, one JSON object a line."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), lambda: stop.set() if not os.read(sys.stdin.fileno(), 1024) else None)
    load = Load(address, 80, host)
    await load.run(KINDS[kind], stop)
    notes.write_text("".join(json.dumps(asdict(note)) + "\n" for note in load.notes), encoding="utf-8")


if __name__ == "__main__":
    assert asyncio.new_event_loop().time() - time.monotonic() < 1, "the event loop keeps another clock"
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), *sys.argv[4:]))
