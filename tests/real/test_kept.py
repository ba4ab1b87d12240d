"""Connections that nginx keeps to an instance: no switch, stop or recycling of a worker loses a request on one."""

from __future__ import annotations

import http.client
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.base import atomic
from ansible_collections.slipway.kit.plugins.module_utils.host.run import backlog

from tests.patience import patience
from tests.render.conftest import key_of, nginx_below

from .conftest import _free_port, until
from .test_workers import WORKERS, write_configuration

pytestmark = pytest.mark.real

APP = """
import asyncio, os
KEPT = []
RELEASE = __file__.split("/")[-2].encode()
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        return
    body, more = b"", scope["path"] != "/unread"
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    if scope["path"] == "/grow":
        KEPT.append(b"x" * (1 << 20))
    if scope["path"] == "/slow":
        await asyncio.sleep(1)
    headers = [(b"content-type", b"text/plain"), (b"release", RELEASE), (b"pid", b"%d" % os.getpid())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["path"] == "/stream":
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        await asyncio.sleep(1)
    await send({"type": "http.response.body", "body": body})
"""
SHOP: dict[str, Any] = {"module": "web:app", "source": {"path": "."}, "domains": ["shop.test"], "interface": "asgi"}
LONGEST = 1.0
"""Seconds after a switch within which nginx may still send a request to the previous release."""
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: shop.test\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PATHS = ("/", "/", "/", "/", "/unread", "/stream", "/slow")
"""What the clients of the load ask for, each another one."""


@dataclass(frozen=True)
class Note:
    """One answer."""

    sent: float
    release: str
    worker: str


@dataclass
class Load:
    """What clients got."""

    notes: list[Note] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@dataclass
class Stage:
    """nginx with the kit's files, and the instances of an app."""

    top: Path
    port: int
    stack: ExitStack
    masters: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(
        self, number: int, extra: str = "", kept: bool = True, workers: int = WORKERS, app: str = APP, **changes: Any
    ) -> str:
        """Start an instance of a new release; returns the release's id."""
        name = f"v{number}-{number:08x}"
        folder, run = self.top / "srv/shop/releases" / name, self.top / "run/shop" / name
        folder.mkdir(parents=True)
        run.mkdir(parents=True)
        (folder / "run").symlink_to(run)
        write_configuration(folder, extra, workers=workers, threads=1, request_timeout=10, **SHOP, **changes)
        (folder / "web.py").write_text(app)
        conf = folder / "gunicorn.conf.py"
        text = conf.read_text().replace(f"{folder}/app.sock", f"{run}/app.sock")
        text = re.sub(r'release="[^"]*"', f'release="{name}"', text)
        text = text.replace('current="/srv/', f'current="{self.top}/srv/')
        if not kept:  # as a release of an older kit
            text = re.sub(r"keepalive = \d+", "keepalive = 0", re.sub(r"\n *current=.*", "", text))
        conf.write_text(text)
        self._run(name, 0o766 if kept else 0o666, workers)
        return name

    def restart(self, name: str, conf: str) -> None:
        """Start an instance again, with another configuration."""
        self.stop(name)
        (self.top / "srv/shop/releases" / name / "gunicorn.conf.py").write_text(conf)
        self._run(name, 0o766, WORKERS)

    def _run(self, name: str, mode: int, workers: int) -> None:
        folder, place = self.top / "srv/shop/releases" / name, Path(self.socket(name))
        log = self.stack.enter_context((folder / "log").open("a"))
        command = [sys.executable, "-m", "gunicorn", "-c", str(folder / "gunicorn.conf.py")]
        master = self.masters[name] = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        self.stack.callback(master.wait)
        self.stack.callback(master.kill)
        until(place.exists, 20)
        place.chmod(mode)
        until(lambda: self.serving(name) == workers, 20)

    def serving(self, name: str) -> int:
        """How many workers serve, as the health gate asks; 0 without an answer."""
        with closing(socket.socket(socket.AF_UNIX)) as connection, suppress(OSError, http.client.HTTPException):
            connection.settimeout(patience(5))
            connection.connect(self.socket(name))
            connection.sendall(b"GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return int(answer.headers["X-Slipway-Workers"])
        return 0

    def workers(self, name: str) -> list[int]:
        master = self.masters[name].pid
        return [int(number) for number in Path(f"/proc/{master}/task/{master}/children").read_text().split()]

    def socket(self, name: str) -> str:
        return str(self.top / "run/shop" / name / "app.sock")

    def switch(self, name: str) -> float:
        """Make a release current; returns when."""
        atomic.point(str(self.top / "srv/shop/current"), f"releases/{name}")
        return time.monotonic()

    def stop(self, name: str, linger: float = 10) -> None:
        """Retire an instance as the kit does."""
        assert backlog.drained(self.socket(name), 10)
        if linger:
            assert backlog.idle(self.socket(name), linger), "connections are left"
        self.masters[name].terminate()
        self.masters[name].wait(20)

    def log(self, name: str) -> str:
        return (self.top / "srv/shop/releases" / name / "log").read_text()

    def visit(self) -> str:
        """The release that answers the request after a switch."""
        text = (self.top / "etc/nginx/slipway/shop.conf").read_text()
        [digest] = set(re.findall(r'if \(\$slipway_visit = "([^"]+)"\)', text))
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", "/", headers={"Host": "shop.test", "Keep-Alive": f"{digest} {key_of('shop')}"})
            answer = connection.getresponse()
            assert answer.getheader("X-Slipway-Visit") == digest
            return str(answer.getheader("Release"))

    @contextmanager
    def load(self, paths: Sequence[str] = PATHS) -> Iterator[Load]:
        """Clients that post one request after another over kept connections."""
        load, over = Load(), threading.Event()

        def client(path: str) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            for number in itertools.count():
                if over.is_set():
                    break
                body, sent = b"%d " % number * (number % 300), time.monotonic()
                try:
                    connection.request("POST", path, body, {"Host": "shop.test"})
                    answer = connection.getresponse()
                    text = answer.read()
                    wanted = b"" if path == "/unread" else body
                    if (answer.status, text) != (200, wanted):
                        load.failures.append(f"{path}: {answer.status} {text[:100]!r}")
                    else:
                        heads = answer.headers
                        load.notes.append(Note(sent, heads["Release"], heads["Pid"]))
                except (OSError, http.client.HTTPException) as error:
                    load.failures.append(f"{path}: {error!r}")
                    connection.close()
            connection.close()

        threads = [threading.Thread(target=client, args=(path,)) for path in paths]
        for thread in threads:
            thread.start()
        try:
            yield load
        finally:
            over.set()
            for thread in threads:
                thread.join()


@pytest.fixture
def stage() -> Iterator[Stage]:
    with (
        tempfile.TemporaryDirectory(prefix="k", dir="/tmp", ignore_cleanup_errors=True) as folder,
        ExitStack() as stack,
    ):
        top, port = Path(folder), _free_port()
        command = nginx_below(top, {"apps": {"shop": SHOP}, "nginx_http_port": port})
        (top / "srv/shop/releases").mkdir(parents=True)
        nginx = subprocess.Popen([*command, "-g", "daemon off;"])
        stack.callback(nginx.wait)
        stack.callback(nginx.terminate)
        until(lambda: answers(port))
        yield Stage(top, port, stack)


def answers(port: int) -> bool:
    with closing(socket.socket()) as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def end(workers: Sequence[int]) -> Sequence[int]:
    """Ask workers to stop, unless they have just ended; returns them."""
    for worker in workers:
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGTERM)
    return workers


def reload(stage: Stage, name: str) -> Sequence[int]:
    """Have an instance replace its workers; returns them."""
    workers = stage.workers(name)
    os.kill(stage.masters[name].pid, signal.SIGHUP)
    return workers


def previous(load: Load, name: str, since: float) -> list[float]:
    """When requests were sent that an earlier release answered, in seconds since a switch."""
    return sorted(note.sent - since for note in load.notes if note.release == name and note.sent > since)


@pytest.mark.parametrize("linger", [pytest.param(10, id="drained"), pytest.param(0, id="stopped at once")])
def test_a_switch_loses_no_request(stage: Stage, linger: float) -> None:
    """And the previous release answers no request that was sent a second later, on whatever connection."""
    current = stage.start(0)
    stage.switch(current)
    with stage.load() as load:
        for number in range(1, 5):
            name = stage.start(number)
            switched = stage.switch(name)
            visited = stage.visit()
            stage.stop(current, linger)
            count = len(load.notes)
            until(lambda count=count: len(load.notes) > count + 300)
            assert visited == name
            assert all(late < LONGEST for late in previous(load, current, switched))
            current = name
    assert not load.failures
    assert len(load.notes) > 2000


def test_the_request_after_a_switch_never_reaches_the_previous_release(stage: Stage) -> None:
    """Though nginx still has connections to it, and both instances run."""
    names = [stage.start(number) for number in (0, 1)]
    stage.switch(names[0])
    with stage.load(["/"] * 4) as load:
        for number in range(30):
            count = len(load.notes)
            until(lambda count=count: len(load.notes) > count + 50)
            stage.switch(names[number % 2])
            assert stage.visit() == names[number % 2]
    assert not load.failures


def test_nginx_alone_leaves_a_release_within_a_second(stage: Stage) -> None:
    """Even one that keeps its connections after a switch."""
    names = [stage.start(0), stage.start(1)]
    conf = stage.top / "srv/shop/releases" / names[0] / "gunicorn.conf.py"
    stage.restart(names[0], conf.read_text().replace("/current", "/nowhere"))
    stage.switch(names[0])
    with stage.load() as load:
        for number in range(1, 7):
            count = len(load.notes)
            until(lambda count=count: len(load.notes) > count + 300)
            switched = stage.switch(names[number % 2])
            until(lambda switched=switched: time.monotonic() > switched + LONGEST + 0.5)
            if number % 2:
                late = previous(load, names[0], switched)
                assert late, "nginx kept no connection"
                assert late[-1] < LONGEST
                assert backlog.idle(stage.socket(names[0]), 5)
    assert not load.failures


def test_a_release_of_an_older_kit_gets_a_connection_for_each_request(stage: Stage) -> None:
    """It ends a connection with its answer without a word: nginx could lose the next request on it."""
    names = [stage.start(0), stage.start(1, kept=False)]
    stage.switch(names[0])
    with stage.load() as load:
        for number in range(1, 11):
            count = len(load.notes)
            until(lambda count=count: len(load.notes) > count + 500)
            stage.switch(names[number % 2])
    assert not load.failures


@pytest.mark.parametrize(
    "disturb",
    [
        pytest.param(lambda stage, name: end(stage.workers(name)[:1]), id="one worker"),
        pytest.param(lambda stage, name: end(stage.workers(name)), id="all workers"),
        pytest.param(reload, id="reloaded"),
    ],
)
def test_a_worker_that_stops_loses_no_request(stage: Stage, disturb: Callable[[Stage, str], Sequence[int]]) -> None:
    name = stage.start(0)
    stage.switch(name)
    with stage.load() as load:
        for _ in range(5):
            before = set(stage.workers(name))
            # A uvicorn of an older version loses requests when it is stopped while it starts.
            until(lambda before=before: before <= {int(note.worker) for note in load.notes[-200:]}, 20)
            count = len(load.notes)
            stopped = set(disturb(stage, name))
            until(lambda stopped=stopped: not stopped & set(stage.workers(name)), 20)
            until(lambda count=count: len(load.notes) > count + 300)
    assert not load.failures
    assert "Error while" not in stage.log(name)


def test_recycled_workers_lose_no_request(stage: Stage) -> None:
    name = stage.start(0, "max_requests, max_requests_jitter = 300, 100")
    stage.switch(name)
    with stage.load() as load:
        until(lambda: len({note.worker for note in load.notes}) > 8, 60)
    assert not load.failures
    assert len(load.notes) > 2000


def test_workers_that_grow_leave_one_at_a_time_and_lose_no_request(stage: Stage) -> None:
    """Not even while nginx keeps connections to the one that leaves, which then ends."""
    name = stage.start(0, workers=3, recycle={"memory": "100M"})
    stage.switch(name)
    first, fewest = set(stage.workers(name)), 3
    with stage.load([*PATHS, "/grow"]) as load:
        end = time.monotonic() + patience(60)
        while first & set(stage.workers(name)) and time.monotonic() < end:
            fewest = min(fewest, stage.serving(name) or 3)
    assert not first & set(stage.workers(name)), "a worker did not leave"
    assert not load.failures
    assert fewest == 2
    assert stage.log(name).count("more than recycle.memory (100 MiB)") >= 3


def test_a_websocket_does_not_delay_a_stop(stage: Stage) -> None:
    name = stage.start(0)
    with closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(patience(5))
        connection.connect(stage.socket(name))
        connection.sendall(UPGRADE)
        assert connection.recv(100).startswith(b"HTTP/1.1 101")
        begin = time.monotonic()
        stage.masters[name].terminate()
        stage.masters[name].wait(patience(5))
        assert time.monotonic() - begin < patience(2)
        assert connection.recv(100)[-2:] == (1012).to_bytes(2, "big")  # the service restarts


def test_nginx_keeps_connections_and_ends_them_itself(stage: Stage) -> None:
    name = stage.start(0)
    stage.switch(name)
    with stage.load(["/"]) as load:
        until(lambda: len(load.notes) > 100)
    assert backlog.served(stage.socket(name)) > 0
    until(lambda: backlog.served(stage.socket(name)) == 0, LONGEST)
