"""The scenario's hosts, seen from the controller."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.hosts import containers, machine
from tests.hosts.__main__ import CACHE

ROOT = Path(__file__).parents[2]
INVENTORY = Path(__file__).parent / "inventory"
SYSTEMD, SUPERVISOR = HOSTS = ("bookworm", "trixie")
ENVIRONMENT = {
    **machine.environment(machine.read(), CACHE),
    "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
    "ANSIBLE_NOCOLOR": "1",
}


def within(host: str, *argv: str, stdin: str = "") -> str:
    """Run a command on a host; returns what it printed."""
    done = subprocess.run(
        ["podman", "exec", "-i", containers.container("sandbox", host), *argv],
        env=ENVIRONMENT, input=stdin, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def python(host: str, code: str, *arguments: str) -> Any:
    """Run a few lines of Python on a host; returns the JSON that they print."""
    return json.loads(within(host, "python3", "-", *arguments, stdin=code))


@contextlib.contextmanager
def without_systemd(host: str) -> Iterator[None]:
    """Let a host look to the kit as one that has no systemd."""
    within(host, "mv", "/run/systemd/system", "/run/systemd/system.away")
    try:
        yield
    finally:
        within(host, "mv", "/run/systemd/system.away", "/run/systemd/system")


def play(
    playbook: str, *options: str, environment: Mapping[str, str] | None = None, **variables: Any
) -> subprocess.CompletedProcess[str]:
    """Run a playbook on all hosts."""
    argv = [f"{Path(sys.executable).parent}/ansible-playbook", "-i", str(INVENTORY), f"playbooks/{playbook}.yml"]
    return subprocess.run(
        [*argv, *options, "-e", json.dumps(variables)],
        cwd=ROOT, env={**ENVIRONMENT, **(environment or {})}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=400, check=False,
    )  # fmt: skip
