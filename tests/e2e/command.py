"""Runs a playbook on an inventory that a test writes, as a user at a terminal would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.patience import patience

ROOT = Path(__file__).parents[2]
HOSTS = """\
web:
  hosts:
    web1: {ansible_host: 192.0.2.1}
    web2: {ansible_host: 192.0.2.2}
"""
"""Addresses without a host (RFC 5737): a run that touches a host hangs, or says UNREACHABLE."""
QUICK = 30.0
"""The limit in seconds for a run that touches no host. It takes two seconds on a quiet machine."""
SSH = "#!/bin/sh\necho touched >> {note}\nexit 255\n"
"""Takes the place of ssh and records that the run would have touched a host."""


@dataclass(frozen=True)
class Run:
    """The output of a run, and how it ended."""

    status: int
    out: str
    err: str
    seconds: float
    touched: bool
    """Whether a connection to any host was tried."""

    @property
    def lines(self) -> list[str]:
        return self.out.strip("\n").splitlines()


def write(folder: Path, files: dict[str, str]) -> Path:
    """An inventory folder with `files`, and the two hosts unless it has its own."""
    for name, text in {"hosts.yml": HOSTS, **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def environment(folder: Path) -> dict[str, str]:
    """The environment of a run whose programs and cache are in `folder`."""
    ssh = folder / "bin/ssh"
    ssh.parent.mkdir(exist_ok=True)
    ssh.write_text(SSH.format(note=folder / "touched"))
    ssh.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return {
        **kept,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "SLIPWAY_CACHE": str(folder / "cache"),
        "PATH": f"{ssh.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


def play(inventory: Path, *options: str, playbook: str = "site.yml", **settings: str) -> Run:
    """Run the playbook from the folder above the inventory's, so that messages name short paths.

    Args:
        inventory: the inventory's folder.
        options: those of `ansible-playbook`.
        playbook: a playbook of the kit, or the path of another one.
        settings: further variables of the environment.
    """
    folder = Path(tempfile.mkdtemp(prefix="slipway-e2e-"))
    started = time.monotonic()
    result = subprocess.run(
        ["ansible-playbook", "-i", inventory.name, str(ROOT / playbook), *options],
        cwd=inventory.parent,
        env={**environment(folder), **settings},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=patience(120),
        check=False,
    )
    seconds = time.monotonic() - started
    touched = (folder / "touched").exists()
    shutil.rmtree(folder)
    return Run(result.returncode, result.stdout, result.stderr, seconds, touched)
