"""Programs by others judge the sites; normal clients are timed while slow ones and many requests press them."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from judged import AUTHORITY, HOSTS, JUDGE, SCENARIO, known, site

from tests.judges import encryption, observatory, pressure
from tests.patience import patience

pytestmark = pytest.mark.parametrize("host", HOSTS)


def judge(*argv: str, limit: float = 300) -> str:
    """Run a judge; returns its output."""
    argv = ("podman", "exec", SCENARIO.container(JUDGE), *argv)
    result = subprocess.run(
        argv, env=SCENARIO.environment, capture_output=True, text=True, timeout=patience(limit), check=False
    )
    return result.stdout + result.stderr


@contextmanager
def timed(host: str) -> Iterator[list[float]]:
    """Meanwhile, a normal client asks again and again; its waits, in seconds."""
    waits: list[float] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            waits.append(site(host).seconds("/"))
            ended.wait(0.1)

    client = threading.Thread(target=ask)
    client.start()
    try:
        yield waits
    finally:
        ended.set()
        client.join()


def test_encryption(host: str) -> None:
    known(host)
    faults = encryption.faults(judge(*encryption.command(site(host), AUTHORITY)))
    assert faults == []


def test_headers(host: str) -> None:
    report = observatory.scan(site(host))
    assert observatory.score(report) >= observatory.LEAST, observatory.losses(report)


@pytest.mark.parametrize("kind", pressure.ATTACKS)
def test_slow_clients_hold_up_no_other(host: str, kind: str) -> None:
    known(host)
    with timed(host) as waits:
        output = judge(*pressure.slow(site(host), kind, "/"))
    assert pressure.opened(output) >= pressure.LEAST, output[-2000:]
    assert len(waits) > pressure.SECONDS, "the client got no answer"
    assert max(waits) < patience(pressure.PATIENCE), sorted(waits)[-5:]


def test_no_request_of_many_is_lost(host: str) -> None:
    with timed(host) as waits:
        output = judge(*pressure.many(site(host), "/static/shop.css"))
    assert pressure.lost(output) == 0, output
    assert max(waits) < patience(pressure.PATIENCE), sorted(waits)[-5:]
