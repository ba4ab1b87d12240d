"""An app that cannot run twice: its clients wait a little while one instance ends and the next one begins."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reports import HOSTS, SCENARIO, ask, within

ROOT = Path(__file__).parents[2]
INVENTORY = Path(__file__).parent / "inventory"
CLIENTS = 4
"""Of each host."""
LONGEST = 29.0
"""Seconds that a client may wait, less than nginx allows: an instance ends, a broken one has 10 s to answer, the old one starts."""

Answers = list[tuple[int, str, float]]
"""Of each request the status, the release that answered, and the seconds it took."""


def play(playbook: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Run a playbook for the app on both hosts."""
    return SCENARIO.play(playbook, app="single", **variables)


@contextmanager
def clients() -> Iterator[dict[str, Answers]]:
    """Ask all hosts until the block ends; the answers are complete then."""
    answers: dict[str, Answers] = {host: [] for host in HOSTS}
    over = threading.Event()

    def client(host: str) -> None:
        while not over.is_set():
            begun = time.monotonic()
            status, body = ask(host, "single", "/", timeout=60)
            answers[host].append((status, body.decode(), time.monotonic() - begun))
            time.sleep(0.02)

    with ThreadPoolExecutor(CLIENTS * len(HOSTS)) as pool:
        asked = [pool.submit(client, host) for host in HOSTS for _ in range(CLIENTS)]
        try:
            yield answers
        finally:
            over.set()
    for each in asked:
        each.result()


def test_requests_wait_while_one_instance_ends_and_the_next_one_begins() -> None:
    """A deploy, a broken one that is taken back, and a rollback. An instance that met another one would have left a file."""
    assert play("deploy").returncode == 0
    with clients() as answers:
        deployed = play("deploy", single_release="two")
        after_deploy = {host: ask(host, "single", "/")[1] for host in HOSTS}
        broken = play("deploy", single_release="broken", single_boot="10")
        after_broken = {host: ask(host, "single", "/")[1] for host in HOSTS}
        rolled_back = play("rollback")
        after_rollback = {host: ask(host, "single", "/")[1] for host in HOSTS}
    assert deployed.returncode == 0, deployed.stdout
    assert set(after_deploy.values()) == {b"two"}
    assert broken.returncode != 0
    assert "was answered 500" in broken.stdout
    assert "was started again" in broken.stdout
    assert set(after_broken.values()) == {b"two"}, broken.stdout
    assert rolled_back.returncode == 0, rolled_back.stdout
    assert set(after_rollback.values()) == {b"one"}
    for host in HOSTS:
        assert len(answers[host]) > 100
        assert {status for status, *_ in answers[host]} == {200}, host
        assert {release for _, release, _ in answers[host]} == {"one", "two"}, host
        longest = max(seconds for *_, seconds in answers[host])
        print(host, len(answers[host]), "answers, the longest wait", round(longest, 1), "s")
        assert longest < LONGEST, host
        assert within(host, "sh", "-c", "ls /srv/single/shared").split() == ["lock"], "two instances met"
