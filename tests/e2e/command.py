"""Runs a playbook on an inventory that a test writes, as a person at a terminal would."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOSTS = """\
web:
  hosts:
    web1: {ansible_host: 192.0.2.1}
    web2: {ansible_host: 192.0.2.2}
"""
"""Addresses that nobody answers (RFC 5737): whoever touches a host hangs, or says UNREACHABLE."""
QUICK = 10.0
"""Seconds in which a run ends that touches no host, on a slow and busy machine."""


@dataclass(frozen=True)
class Run:
    """What a run printed, and how it ended."""

    status: int
    out: str
    err: str
    seconds: float

    @property
    def lines(self) -> list[str]:
        return self.out.strip("\n").splitlines()


def write(folder: Path, files: dict[str, str]) -> Path:
    """An inventory folder with `files`, and the two hosts unless it has its own."""
    for name, text in {"hosts.yml": HOSTS, **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def environment(cache: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return {
        **kept,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "SLIPWAY_CACHE": str(cache),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


def play(inventory: Path, *options: str, playbook: str = "site.yml") -> Run:
    """Run the playbook from the folder above the inventory's, so that messages name short paths."""
    started = time.monotonic()
    done = subprocess.run(
        ["ansible-playbook", "-i", inventory.name, str(ROOT / playbook), *options],
        cwd=inventory.parent,
        env=environment(inventory.parent / "cache"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr, time.monotonic() - started)
