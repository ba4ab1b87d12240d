"""Answers on connections that nginx keeps: whatever an app and its clients do, the next request gets its own answer in time."""

from __future__ import annotations

import http.client
import itertools
import os
import signal
import socket
import threading
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.patience import patience

from .conftest import until
from .test_kept import Stage, stage
from .test_workers import WORKERS

__all__ = ["stage"]
pytestmark = pytest.mark.real

APP = """
import asyncio
TAILS = ("/tail", "/none/tail", "/unchanged/tail", "/head/tail")
async def watched(receive, send, file):
    # A stream that ends when its client leaves, as Starlette's do.
    async def stream():
        head = [(b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        for piece in (b"ab", b"cd"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await asyncio.sleep(0.1)
        open(file, "w").close()
        await send({"type": "http.response.body"})
    async def leaves():
        while (await receive())["type"] != "http.disconnect":
            pass
    tasks = [asyncio.ensure_future(one) for one in (stream(), leaves())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    [task.cancel() for task in tasks]
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    if scope["path"] == "/watched":
        return await watched(receive, send, scope["query_string"].decode())
    kind, query = scope["path"].split("/")[1], scope["query_string"]
    body, more = b"", kind not in ("unread", "half", "early")
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    if kind == "half":
        await receive()
    if kind == "raises":
        raise RuntimeError("not today")
    if kind in ("slow", "left"):
        await asyncio.sleep(0.1)
    status = {"none": 204, "unchanged": 304}.get(kind, 200)
    headers = [(b"content-type", b"text/plain"), (b"number", query)]
    size = {"dies": 100, "short": 100, "long": 1, "head": 7, "tail": 7 + len(query), "none": 7, "unchanged": 7}.get(kind)
    if size is not None:
        headers.append((b"content-length", b"%d" % size))
    if kind == "close":
        headers.append((b"connection", b"close"))
    if kind == "keep":
        headers.append((b"connection", b"keep-alive"))
        headers.append((b"keep-alive", b"timeout=3600"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if kind == "dies":
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        raise RuntimeError("in the middle")
    await send({"type": "http.response.body", "body": body or b"number " + query, "more_body": scope["path"] in TAILS})
    if scope["path"] in TAILS:
        await asyncio.sleep(3600)
    if kind == "after":
        await asyncio.sleep(0.03)
        raise RuntimeError("as in a background task")
    if kind == "more":
        await send({"type": "http.response.body", "body": b"HTTP/1.1 200 OK\\r\\nContent-Length: 3\\r\\n\\r\\nbad"})
    if kind == "again":
        await send({"type": "http.response.start", "status": 200, "headers": []})
"""
GOOD = ("plain", "slow", "unread", "half", "early", "close", "keep", "after", "more", "again")
"""What that app answers well, whatever it does besides."""
BAD = ("dies", "short", "long", "raises", "none", "unchanged", "head")
SMUGGLED = b"GET /plain?smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n" * 4000


@dataclass
class Clients:
    """Clients that ask for one kind of answer after another."""

    port: int
    over: threading.Event = field(default_factory=threading.Event)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*GOOD, *BAD, "left"), 0))
    """How often they asked for each."""
    failures: list[str] = field(default_factory=list)
    numbers: Any = field(default_factory=itertools.count)

    def run(self, first: int) -> None:
        """Be a client, until the end."""
        for turn in itertools.count(first):
            if self.over.is_set():
                return
            kind, size = list(self.counts)[turn % len(self.counts)], (0, 0, 300, len(SMUGGLED))[turn // 3 % 4]
            try:
                self._ask(kind, SMUGGLED[:size], is_chunked=turn % 5 == 0)
            except (OSError, http.client.HTTPException) as error:
                if kind in GOOD:
                    self.failures.append(f"{kind}: {error!r}")
            self.counts[kind] += 1

    def _ask(self, kind: str, body: bytes, is_chunked: bool) -> None:
        number = str(next(self.numbers))
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=patience(10))) as connection:
            sent: Any = iter([body]) if is_chunked else body
            method, heads = "HEAD" if kind == "head" else "POST", {"Host": "shop.test"}
            connection.request(method, f"/{kind}?{number}", sent, heads, encode_chunked=is_chunked)
            if kind == "left":
                return
            answer = connection.getresponse()
            if answer.headers["Number"] != number and (kind in GOOD or answer.headers["Number"]):
                self.failures.append(f"{kind}: {answer.status}, {answer.headers['Number']} instead of {number}")
            if kind in GOOD and answer.read() not in (body, b"number " + number.encode()):
                self.failures.append(f"{kind}: another body")


def test_no_answer_reaches_another_request(stage: Stage) -> None:
    stage.switch(stage.start(0, app=APP))
    clients = Clients(stage.port)
    threads = [threading.Thread(target=clients.run, args=(3 * number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    until(lambda: min(clients.counts.values()) > 30, 30)
    clients.over.set()
    for thread in threads:
        thread.join()
    assert not clients.failures


def test_what_an_app_does_after_its_answer_delays_no_request(stage: Stage) -> None:
    """Such as a background task before the app has marked the end of an answer that nginx already has."""
    name = stage.start(0, app=APP)
    with closing(http.client.HTTPConnection("shop.test", timeout=patience(5))) as connection:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(patience(5))
        connection.sock.connect(stage.socket(name))
        for path, text in (("tail", b"number x"), ("none/tail", b""), ("unchanged/tail", b""), ("head/tail", b"")):
            connection.request("HEAD" if path.startswith("head") else "GET", f"/{path}?x")
            assert connection.getresponse().read() == text
            connection.request("GET", "/plain?next")
            assert connection.getresponse().read() == b"number next"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_app_finishes_its_work_after_the_last_byte(stage: Stage, method: str) -> None:
    """To uvicorn the answer is over. The app must not hear that its client has left: it would end where it stands."""
    stage.switch(stage.start(0, app=APP))
    file = stage.top / method
    with closing(http.client.HTTPConnection("127.0.0.1", stage.port, timeout=patience(5))) as connection:
        connection.request(method, f"/watched?{file}", headers={"Host": "shop.test"})
        assert connection.getresponse().read() == (b"abcd" if method == "GET" else b"")
        until(file.exists)


def test_nginx_sends_nothing_to_a_worker_that_was_killed(stage: Stage) -> None:
    """As soon as the kernel has closed its connections, until which a request on one would be lost."""
    name = stage.start(0)
    stage.switch(name)
    with closing(http.client.HTTPConnection("127.0.0.1", stage.port, timeout=patience(10))) as connection:
        for _ in range(3):
            for ends in (False, True):
                connection.request("POST", "/", b"x", {"Host": "shop.test"})
                answer = connection.getresponse()
                assert (answer.status, answer.read()) == (200, b"x")
                if not ends:
                    with open(f"/proc/{answer.headers['Pid']}/stat") as state, suppress(ProcessLookupError):
                        os.kill(int(answer.headers["Pid"]), signal.SIGKILL)
                        until(lambda state=state: not state.seek(0) and state.read().split()[2] in "ZX")
            until(lambda: stage.serving(name) == WORKERS, 20)
