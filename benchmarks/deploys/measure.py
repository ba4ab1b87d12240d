"""Measures one operation of a contender: its seconds, its tasks on the host, and the requests that were lost meanwhile."""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.hosts import CACHE, ROOT, Host
from tests.load import figures

from .contenders import Contender

SETTLE = 1.0
"""Seconds of load before the operation begins."""
LIMIT = 600.0
"""Seconds that an operation may take."""


@dataclass(frozen=True)
class Run:
    """What one operation cost."""

    contender: str
    operation: str
    seconds: float
    tasks: int | None
    """Tasks that ran on the host; the floor has none."""
    requests: int
    lost: int


def run(contender: Contender, operation: str, clients: bool = True, phase: float = 0.0) -> Run:
    """Run one operation and check its result.

    Args:
        contender: The contender.
        operation: The operation.
        clients: Whether clients send requests meanwhile.
        phase: Seconds by which the operation begins later in the clients' rhythm of a second. Two slow requests begin in
            each second, so the wait for the last of them depends on it.
    """
    contender.app.change(operation)
    contender.ready()
    command = contender.command(operation)
    record = CACHE / "tasks.jsonl"
    record.unlink(missing_ok=True)
    count = {
        "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/plugins"),
        "ANSIBLE_CALLBACKS_ENABLED": "kill",
        "KILL_RECORD": str(record),
    }
    host = contender.hosts[0]
    with load(host, SETTLE + phase) if clients and operation != "first" else contextlib.nullcontext() as notes:
        begin = time.monotonic()
        result = subprocess.run(
            command, cwd=contender.root, env={**_environment(), **count, **contender.environment}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT, check=False,
        )  # fmt: skip
        end = time.monotonic()
    if result.returncode:
        raise RuntimeError(f"{contender.name}: {operation} ended with {result.returncode}:\n{result.stdout[-4000:]}")
    for one in contender.hosts:
        serves(one)
    tally = figures.Tally()
    if notes:
        tally = figures.tally(figures.read(notes), figures.Span(operation, begin, begin, end))
    tasks = len(record.read_text(encoding="utf-8").splitlines()) if record.exists() else None
    return Run(contender.name, operation, end - begin, tasks, tally.requests, tally.lost.total())


def _environment() -> dict[str, str]:
    """This process's, in which Python keeps the bytecode of what it loads, as it does by default."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@contextlib.contextmanager
def load(host: Host, settle: float) -> Iterator[Path]:
    """Run clients at a constant rate from `settle` seconds before the block. Their notes are complete after the block."""
    notes = CACHE / f"{host.name}.jsonl"
    notes.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.load.generator", host.address, host.address, str(notes)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as process:
        try:
            time.sleep(settle)
            yield notes
        finally:
            assert process.stdin
            process.stdin.close()
            process.wait(60)


def serves(host: Host) -> None:
    """Check that the app answers through nginx."""
    end = time.monotonic() + 10
    while True:
        connection = http.client.HTTPConnection(host.address, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/release", headers={"Connection": "close"})
            if connection.getresponse().status == 200:
                return
        if time.monotonic() > end:
            raise RuntimeError(f"{host.name} does not serve the app")
        time.sleep(0.1)
