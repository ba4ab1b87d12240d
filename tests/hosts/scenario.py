"""A scenario's hosts for its tests: runs commands on them, finds their addresses, and runs playbooks for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.patience import VARIABLE, patience, slowness

from . import containers, inside, machine
from .__main__ import CACHE

ROOT = Path(__file__).parents[2]


class Scenario:
    """The hosts of molecule/<name>, or of another scenario that was made by hand from its inventory.

    `SLIPWAY_SCENARIO` names that one, and `SLIPWAY_INVENTORY` the inventory by which playbooks find its hosts.
    """

    def __init__(self, name: str) -> None:
        self.name = os.environ.get("SLIPWAY_SCENARIO", name)
        self.inventory = os.environ.get("SLIPWAY_INVENTORY", str(ROOT / "molecule" / name / "inventory"))

    @cached_property
    def environment(self) -> dict[str, str]:
        """The environment of podman and Ansible, without the variables that a test runner sets for itself."""
        return {
            **machine.environment(machine.read(), CACHE),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "SLIPWAY_SCENARIO": self.name,
            VARIABLE: f"{slowness():g}",
        }

    def container(self, host: str) -> str:
        """The name of a host's container."""
        return containers.container(self.name, host)

    def attempt(self, host: str, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command on a host, whatever happens to the host's network."""
        return inside.attempt(self.container(host), argv, self.environment, stdin, patience(120))

    def within(self, host: str, *argv: str, stdin: str = "") -> str:
        """Run a command on a host, which must succeed; returns its output."""
        result = self.attempt(host, *argv, stdin=stdin)
        if result.returncode:
            raise AssertionError(f"{argv} on {host}: {result.stdout}{result.stderr}")
        return result.stdout

    def python(self, host: str, code: str, *arguments: str) -> Any:
        """Run a few lines of Python on a host; returns the JSON that they print."""
        return json.loads(self.within(host, "python3", "-", *arguments, stdin=code))

    def address(self, host: str) -> str:
        """The host's address; a reboot may change it."""
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        argv = ["podman", "inspect", self.container(host), "--format", form]
        return machine.run(argv, self.environment).strip()

    def command(self, playbook: str, *options: str, **variables: Any) -> list[str]:
        """The command that runs a playbook of this kit on the hosts."""
        program = f"{Path(sys.executable).parent}/ansible-playbook"
        return [program, "-i", self.inventory, f"playbooks/{playbook}.yml", *options, "-e", json.dumps(variables)]

    def play(
        self,
        playbook: str,
        *options: str,
        environment: Mapping[str, str] | None = None,
        stderr: int = subprocess.STDOUT,
        **variables: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run a playbook to its end; its output and errors are one text, except where `stderr` is a pipe."""
        return subprocess.run(
            self.command(playbook, *options, **variables),
            cwd=ROOT,
            env={**self.environment, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            timeout=patience(400),
            check=False,
        )
