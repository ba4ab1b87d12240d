"""Workers that answer before they serve, workers that grow, and what the kernel ends."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.patience import patience

from .conftest import until
from .test_threads import load, workers
from .test_workers import empty, read, running, served, starting, write_configuration

__all__ = ["empty"]
pytestmark = pytest.mark.real

WSGI = ["threads", "gthread", "sync"]
NOTES = """
    import json, os, time
    def note(kind, **what):
        line = json.dumps({"kind": kind, "pid": os.getpid(), "time": time.monotonic(), **what}) + "\\n"
        descriptor = os.open("notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, line.encode())
        os.close(descriptor)
    time.sleep(float(os.environ.get("BOOT", 0)) if os.path.exists("slow") else 0)
    note("loaded")
"""
APP = (
    NOTES
    + """
    import ctypes
    KEPT = []
    def app(environ, start_response):
        path, status = environ["PATH_INFO"], "200 OK"
        note(path, client=environ["REMOTE_ADDR"], host=environ["HTTP_HOST"], scheme=environ["wsgi.url_scheme"])
        if path == "/hang":
            time.sleep(3600)
        if path == "/raises":
            raise RuntimeError("not today")
        if path == "/absent":
            status = "404 Not Found"
        if path == "/grow":
            KEPT.append(b"x" * (8 << 20))
            time.sleep(0.05)
        if path == "/late":
            status = "500 Late" if not any(one["kind"] == "/late" for one in map(json.loads, open("notes"))) else status
        if path == "/endless":
            start_response(status, [("Content-Type", "text/event-stream")])
            return (time.sleep(0.1) or b"data: x\\n\\n" for _ in iter(int, 1))
        start_response(status, [("Content-Length", "2")])
        return [b"ok"]
"""
)
ASGI = (
    NOTES
    + """
    KEPT = []
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            if os.path.exists("unknown"):
                raise ValueError("which scope is that?")
            await receive()
            scope["state"]["answer"] = b"42"
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        note(scope["path"], state=scope.get("state", {}).get("answer", b"").decode(), query=scope["query_string"].decode())
        if scope["path"] == "/raises":
            raise RuntimeError("not today")
        if scope["path"] == "/grow":
            KEPT.append(b"x" * (8 << 20))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
        if scope["path"] == "/listens":
            note(json.dumps([(await receive())["type"], (await receive())["type"]]))
"""
)


def notes(folder: Path, kind: str = "") -> list[dict[str, Any]]:
    """What the app has noted, or what it has noted of one kind."""
    path = folder / "notes"
    noted = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [one for one in noted if kind in ("", one["kind"])]


def log(folder: Path) -> str:
    return (folder / "log").read_text()


@contextmanager
def serving(folder: Path, app: str = APP, env: dict[str, str] | None = None, **changes: Any) -> Iterator[int]:
    write_configuration(folder, changes.pop("extra", ""), **changes)
    with running(folder, app, **(env or {})) as master:
        yield master


@pytest.mark.parametrize("kind", WSGI)
def test_each_worker_has_answered_before_its_first_client(empty: Path, kind: str) -> None:
    health = {"path": "/healthz", "host": "shop.example", "scheme": "https"}
    with serving(
        empty, worker_class=kind, health=health, workers=3, **({} if kind != "sync" else {"threads": 1})
    ) as master:
        until(lambda: served(empty) == 3)
        before = set(workers(master))
        asked = notes(empty, "/healthz")
        assert {one["pid"] for one in asked} == before
        assert len(asked) == 3
        assert {(one["client"], one["host"], one["scheme"]) for one in asked} == {
            ("127.0.0.1", "shop.example", "https")
        }
        # One that replaces another is warm, too.
        os.kill(min(before), signal.SIGKILL)
        # In this order: until the killed one has ended, it is counted.
        until(lambda: len(set(workers(master)) - before) == 1 and served(empty) == 3)
        assert {one["pid"] for one in notes(empty, "/healthz")} == before | set(workers(master))
    assert "slipway:" not in log(empty)


def test_a_worker_that_is_not_ready_gets_no_request_and_is_not_counted(empty: Path) -> None:
    """The health gate waits for it."""
    with serving(empty, worker_class="threads", env={"BOOT": str(patience(2))}) as master:
        until(lambda: served(empty) == 2)
        (empty / "slow").touch()
        first = workers(master)[0]
        os.kill(first, signal.SIGKILL)
        until(lambda: len(workers(master)) == 2 and first not in workers(master))
        assert served(empty) == 1
        until(lambda: served(empty) == 2)


def test_what_fails_is_reported_and_the_worker_serves(empty: Path) -> None:
    paths = ["/raises", "/absent", "/endless", "/fine"]
    with serving(empty, worker_class="threads", workers=1, warm_up=paths):
        until(lambda: served(empty) == 1)
        assert [one["kind"] for one in notes(empty)][1:5] == paths
    assert "slipway: warm-up: GET /raises raised RuntimeError" in log(empty)
    assert "slipway: warm-up: GET /absent was answered 404" in log(empty)
    assert "RuntimeError: not today" in log(empty)
    assert log(empty).count("slipway:") == 2


@pytest.mark.parametrize("kind", WSGI)
def test_an_app_that_hangs_delays_a_worker_for_its_limit_only(empty: Path, kind: str) -> None:
    with serving(empty, worker_class=kind, workers=1, threads=1 if kind == "sync" else 2, warm_up=["/hang"]) as master:
        until(lambda: len(workers(master)) == 1)
        (first,) = workers(master)
        until(lambda: served(empty) == 1)
        assert workers(master) == [first]
    assert "slipway: warm-up: no answer after 2 s" in log(empty)


def test_a_stop_does_not_wait_for_it(empty: Path) -> None:
    write_configuration(empty, worker_class="threads", workers=1, warm_up=["/hang"], request_timeout=60)
    with starting(empty, APP) as master:
        until(lambda: bool(notes(empty, "/hang")))
        (worker,) = workers(master)
        begin = time.monotonic()
        os.kill(master, signal.SIGTERM)
        until(lambda: not Path(f"/proc/{worker}/exe").exists())
        assert time.monotonic() - begin < patience(3)


@contextmanager
def three(folder: Path, kind: str, **recycle: Any) -> Iterator[int]:
    """Three workers of a kind that are replaced. A new one takes a while, so that two at a time would be seen."""
    if kind == "uvicorn":
        pytest.importorskip("uvicorn")
    is_asgi = kind in ("asgi", "uvicorn")
    changes = {"threads": 2 if kind in ("threads", "gthread") else 1, **({"interface": "asgi"} if is_asgi else {})}
    with serving(
        folder,
        ASGI if is_asgi else APP,
        worker_class=kind,
        workers=3,
        recycle=recycle,
        request_timeout=20,
        env={"BOOT": "0.5"},
        **changes,
    ) as master:
        yield master


@pytest.mark.parametrize("kind", [*WSGI, "asgi", "uvicorn"])
def test_workers_that_grow_are_replaced_one_at_a_time_and_lose_nothing(empty: Path, kind: str) -> None:
    with three(empty, kind, memory="100M") as master:
        until(lambda: served(empty) == 3)
        (empty / "slow").touch()
        first = set(workers(master))
        fewest = 3
        with load(empty, "/grow") as (_, failures):
            end = time.monotonic() + patience(60)
            while first & set(workers(master)) and time.monotonic() < end:
                fewest = min(fewest, served(empty) or 3)
        assert not first & set(workers(master))
    assert not failures
    assert fewest == 2
    assert log(empty).count("more than recycle.memory (100 MiB)") >= 3
    assert "slipway:" not in log(empty)


def test_a_worker_that_is_too_large_from_the_start_stays(empty: Path) -> None:
    large = APP + "    KEPT.append(b'x' * (64 << 20))\n"
    with serving(empty, large, worker_class="threads", recycle={"memory": "50M"}) as master:
        until(lambda: log(empty).count("no worker is recycled") == 2)
        first = workers(master)
        read(empty, "/grow")
        time.sleep(2)
        assert workers(master) == first
    assert "recycle.memory is 50 MiB" in log(empty)


@pytest.mark.parametrize("kind", [*WSGI, "asgi", "uvicorn"])
def test_one_worker_at_a_time_leaves_for_whatever_reason(empty: Path, kind: str) -> None:
    """Workers that have answered so many requests, and those that have grown."""
    with three(empty, kind, requests=25, memory="150M") as master:
        until(lambda: served(empty) == 3)
        (empty / "slow").touch()
        seen, fewest = set(workers(master)), 3
        with load(empty, "/grow") as (_, failures):
            end = time.monotonic() + patience(60)
            while len(seen) < 6 and time.monotonic() < end:
                fewest = min(fewest, served(empty) or 3)
                seen |= set(workers(master))
        assert len(seen) >= 6
    assert not failures
    assert fewest == 2
    assert "Autorestarting worker" in log(empty)
    assert "slipway:" not in log(empty)


@pytest.mark.parametrize("kind", ["asgi", "uvicorn"])
@pytest.mark.parametrize("known", [True, False], ids=["lifespan", "no lifespan"])
def test_an_asgi_app_answers_before_its_first_client(empty: Path, kind: str, known: bool) -> None:
    if kind == "uvicorn":
        pytest.importorskip("uvicorn")
    if not known:
        (empty / "unknown").touch()
    paths = ["/listens?a=b", "/raises", "/fine"]
    with serving(empty, ASGI, worker_class=kind, interface="asgi", threads=1, warm_up=paths) as master:
        until(lambda: served(empty) == 2)
        asked = [one for one in notes(empty) if one["kind"] in ("/listens", "/fine")]
        assert {one["pid"] for one in asked} == set(workers(master))
        assert len(asked) == 4
        assert {one["state"] for one in asked} == ({"42"} if known else {""})
        assert {one["query"] for one in asked if one["kind"] == "/listens"} == {"a=b"}
        assert len(notes(empty, '["http.request", "http.disconnect"]')) == 2
        first_client = min(one["time"] for one in notes(empty, "/count"))
        # Of one worker at least it is sure that it was asked before.
        assert min(one["time"] for one in asked) < first_client
    assert "slipway: warm-up: GET /raises raised RuntimeError" in log(empty)
