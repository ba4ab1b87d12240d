"""Programs by others judge the sites; normal clients are timed while slow ones and many requests press them."""

from __future__ import annotations

import http.client
import subprocess
import threading

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


class Client(threading.Thread):
    """A normal client that asks again and again until its block ends."""

    def __init__(self, host: str) -> None:
        super().__init__()
        self.site = site(host)
        self.waits: list[float] = []
        """How long it waited for each answer, in seconds."""
        self.failures: list[str] = []
        self.ended = threading.Event()

    def run(self) -> None:
        """Ask, with a short pause."""
        while not self.ended.wait(0.1):
            try:
                self.waits.append(self.site.seconds("/"))
            except (AssertionError, OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))

    def __enter__(self) -> Client:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.join()

    def judge(self) -> None:
        """Fail unless it got every answer, and in time."""
        assert self.failures == []
        assert self.waits, "the client sent no request"
        assert max(self.waits) < patience(pressure.PATIENCE), sorted(self.waits)[-5:]


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
    with Client(host) as client:
        output = judge(*pressure.slow(site(host), kind, "/"))
    assert pressure.opened(output) >= pressure.LEAST, output[-2000:]
    client.judge()


def test_no_request_of_many_is_lost(host: str) -> None:
    with Client(host) as client:
        output = judge(*pressure.many(site(host), "/static/shop.css"))
    assert pressure.lost(output) == 0, output
    client.judge()
