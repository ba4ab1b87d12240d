"""Runs the load generators next to what happens on the hosts, and the site of the control."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.patience import patience

from .generator import CONTROL, CONTROL_TEXT

ROOT = Path(__file__).parents[2]
CONTROL_SITE = (
    "sh",
    "-ec",
    'mkdir -p /srv/control; printf %s "$1" > /srv/control/control.txt'
    '; echo "$2" > /etc/nginx/conf.d/control.conf; nginx -s reload',
    "sh",
    CONTROL_TEXT.decode(),
    f"server {{ listen 80; server_name {CONTROL.host}; root /srv/control; access_log off; }}",
)
"""The command by which a host's nginx serves a plain file, as the load's control."""


@dataclass(frozen=True)
class Target:
    """What one generator loads."""

    address: str
    domain: str
    notes: Path
    """Where it writes what happened to each request."""
    kind: str = "http"
    """One of generator.KINDS."""


@contextlib.contextmanager
def load(targets: Sequence[Target]) -> Iterator[Callable[[], None]]:
    """Run a generator for each target; yields a function that raises when one of them has ended. Their notes are complete after it."""
    running = []
    for target in targets:
        words = [target.address, target.domain, str(target.notes), target.kind]
        command = [sys.executable, "-m", "tests.load.generator", *words]
        running.append(subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE))

    def look() -> None:
        if any(process.poll() is not None for process in running):
            raise AssertionError("a load generator has ended early: the events took too long for it")

    try:
        yield look
    finally:
        for process in running:
            assert process.stdin
            process.stdin.close()
        for process in running:
            process.wait(patience(60))
