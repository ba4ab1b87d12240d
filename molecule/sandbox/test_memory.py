"""Memory runs out: only what the ended worker was answering is lost. And a worker that grows is replaced before that."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import pytest
from sandbox import HOSTS, SCENARIO, SYSTEMD, within

from tests.patience import patience
from tests.real.conftest import until

LIMIT = 300 << 20
"""As in the inventory."""
KILLS = 3
CLIENTS = 6
GROUP = "/sys/fs/cgroup/memory/greedy"
BEGUN = "/srv/greedy/shared/begun"
REPORTED = re.compile(
    r"slipway: the kernel has ended (\d+) of the app's processes, since together they needed more than limits\.memory"
)


def get(host: str, path: str, number: int = 0) -> tuple[int, str]:
    """Ask the app through nginx."""
    connection = http.client.HTTPConnection(SCENARIO.address(host), timeout=patience(30))
    with closing(connection):
        connection.request("GET", f"{path}?{number}", headers={"Host": "greedy.test", "Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


@dataclass
class Load:
    """What clients got."""

    good: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)
    begun: int = 0


@contextmanager
def load(host: str, path: str) -> Iterator[Load]:
    """Clients that ask without a pause."""
    result, over, lock = Load(), threading.Event(), threading.Lock()

    def client() -> None:
        while not over.is_set():
            with lock:
                result.begun += 1
                number = result.begun
            status = get(host, path, number)[0]
            (result.good if status == 200 else result.lost).add(number)

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield result
    finally:
        over.set()
        for thread in threads:
            thread.join()


def workers(host: str, master: str) -> set[str]:
    """The processes of the workers. There is always one: where none is listed, the list could not be made."""
    return set(within(host, "pgrep", "--parent", master).split())


def log() -> str:
    """The instance's log."""
    return within(SYSTEMD, "cat", "/srv/greedy/current/log")


def unit(name: str) -> str:
    """A property of the instance's unit."""
    release = within(SYSTEMD, "readlink", "/srv/greedy/current").strip().rpartition("/")[2]
    return within(
        SYSTEMD, "systemctl", "show", "--value", "--property", name, f"slipway-greedy-{release}.service"
    ).strip()


@pytest.fixture
def enforced() -> Iterator[None]:
    """The unit's memory limit, also where its systemd knows no control groups of version 1 and this machine no others."""
    _, master = get(SYSTEMD, "/")[1].split()
    group = within(SYSTEMD, "sh", "-c", f"grep -m1 ^0:: /proc/{master}/cgroup | cut -d: -f3").strip()
    limit = SCENARIO.attempt(SYSTEMD, "cat", f"/sys/fs/cgroup{group}/memory.max").stdout.strip()
    if limit == str(LIMIT):
        yield
        return
    assert unit("MemoryMax") == str(LIMIT)
    script = f"mkdir -p {GROUP}; echo {LIMIT} > {GROUP}/memory.limit_in_bytes"
    within(
        SYSTEMD,
        "sh",
        "-ec",
        f"{script}; for p in {master} $(pgrep --parent {master}); do echo $p > {GROUP}/cgroup.procs; done",
    )
    yield
    within(
        SYSTEMD,
        "sh",
        "-ec",
        f"for p in $(cat {GROUP}/cgroup.procs); do echo $p > {GROUP}/../cgroup.procs; done; rmdir {GROUP}",
    )


@pytest.mark.usefixtures("enforced")
def test_the_kernel_ends_a_worker_and_the_instance_continues() -> None:
    _, master = get(SYSTEMD, "/")[1].split()
    within(SYSTEMD, "rm", BEGUN)
    logged = len(log())
    with load(SYSTEMD, "/slow") as result:
        for kill in range(KILLS):
            until(lambda: len(workers(SYSTEMD, master)) == 2)
            answered, before = len(result.good), workers(SYSTEMD, master)
            until(lambda answered=answered: len(result.good) > answered + 2 * CLIENTS)
            assert get(SYSTEMD, "/eat", -1 - kill)[0] == 502
            until(lambda before=before: workers(SYSTEMD, master) - before)
        answered = len(result.good)
        until(lambda: len(result.good) > answered + 2 * CLIENTS)
    begun = dict(line.split() for line in within(SYSTEMD, "cat", BEGUN).splitlines())
    written = log()[logged:]
    ended = re.findall(r"Worker \(pid:(\d+)\) was sent SIGKILL", written)
    greedy = {begun[str(-1 - kill)] for kill in range(KILLS)}
    # The kernel may end another worker while the memory of the first one is not free yet: once in 70 times on a busy machine.
    # It never ends all of them each time, and never the master.
    assert KILLS == len(greedy) <= len(ended) < 2 * KILLS, written
    assert greedy <= set(ended)
    assert {begun.get(str(number), "not begun") for number in result.lost} <= set(ended)
    assert get(SYSTEMD, "/")[1].split()[1] == master
    assert unit("NRestarts") == "0"
    assert sum(map(int, REPORTED.findall(written))) == len(ended), written


@pytest.mark.parametrize("host", HOSTS)
def test_a_worker_that_grows_is_replaced(host: str) -> None:
    worker, master = get(host, "/")[1].split()
    first = workers(host, master)
    assert worker in first
    with load(host, "/grow") as result:
        until(lambda: not first & workers(host, master), 60)
    assert not result.lost
    assert get(host, "/")[1].split()[1] == master
    assert "more than recycle.memory (100 MiB)" in within(host, "cat", "/srv/greedy/current/log")
