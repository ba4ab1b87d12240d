"""Who deploys: Slipway, the floor, and the two rivals. Each says with which command it does an operation."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.hosts import CACHE, ROOT, Host, options

from .app import App

HERE = Path(__file__).parent
OPERATIONS = ("first", "nothing", "code", "configuration", "dependency", "rollback")
"""In this order, on one host."""
ANSIBLE = str(ROOT / ".venv/bin/ansible-playbook")


@dataclass
class Contender:
    """One way to deploy the app onto the hosts."""

    name: str
    hosts: Sequence[Host]
    app: App
    environment: dict[str, str] = field(default_factory=dict)
    apps: int = 1
    """How many apps like this one are deployed together."""
    root: Path = ROOT
    """Where its command runs."""
    workers: int = 2
    """How many each of Slipway's apps has; the others' are in their files."""

    def command(self, operation: str) -> list[str]:
        """The command that does it; the app was changed before."""
        raise NotImplementedError

    def ready(self) -> None:
        """What is done before an operation and is no part of its time."""

    def inventory(self, variables: dict[str, object]) -> str:
        """The folder of an inventory with the hosts and these variables; ssh as every contender uses it."""
        folder = CACHE / f"inventory-{self.name}"
        folder.mkdir(parents=True, exist_ok=True)
        common = {
            "ansible_user": "root",
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_common_args": shlex.join(options()),
        }
        hosts = {host.name: {"ansible_host": host.address} for host in self.hosts}
        web = {"web": {"hosts": hosts, "vars": {**common, **variables}}}
        (folder / "hosts.json").write_text(json.dumps(web), encoding="utf-8")
        return str(folder)


class Slipway(Contender):
    """This kit, with its defaults."""

    def command(self, operation: str) -> list[str]:
        """Run site.yml at first, deploy.yml afterwards; a run that finds nothing to do is site.yml again."""
        self.environment = {"ANSIBLE_CONFIG": str(self.root / "ansible.cfg")}
        entry = {
            "module": "web:app",
            "source": {"path": str(self.app.folder)},
            "workers": self.workers,
            "threads": 6,
            "environment": {"ROUND": str(self.app.value)},
            "health": {"path": "/release"},
        }
        others = {f"app-{number}": {**entry, "domains": [f"app-{number}.test"]} for number in range(1, self.apps)}
        inventory = self.inventory({"apps": {"app": entry, **others}})
        playbook = {"first": "site.yml", "nothing": "site.yml", "rollback": "playbooks/rollback.yml"}
        return [ANSIBLE, "-i", inventory, playbook.get(operation, "playbooks/deploy.yml")]


class Floor(Contender):
    """floor.sh: what any deploy must do, and nothing else."""

    def command(self, operation: str) -> list[str]:
        """Hand it what it needs; a rollback goes to the release before."""
        number = self.app.number - 1 if operation == "rollback" else self.app.number
        self.environment = {
            "SSH": shlex.join(self.hosts[0].ssh),
            "APP": str(self.app.folder),
            "NUMBER": str(number),
            "VALUE": str(self.app.value),
        }
        return ["sh", str(HERE / "floor.sh"), operation]


class Rival(Contender):
    """A playbook of benchmarks/deploys/rivals, with the same ansible-core, ssh settings and pipelining."""

    def ready(self) -> None:
        """Let the new version be fetched from nearby."""
        for host in self.hosts:
            self.app.publish(host)

    def command(self, operation: str) -> list[str]:
        """A rollback is a deploy of the version before."""
        self.environment = {"ANSIBLE_CONFIG": str(HERE / "rivals/ansible.cfg")}
        number = self.app.number - 1 if operation == "rollback" else self.app.number
        inventory = self.inventory({"version": f"v{number}", "value": self.app.value})
        return [ANSIBLE, "-i", inventory, str(HERE / "rivals" / self.name / "site.yml")]


def contender(name: str, hosts: Sequence[Host], app: App) -> Contender:
    """The contender of that name."""
    return {"slipway": Slipway, "floor": Floor}.get(name, Rival)(name, hosts, app)


CONTENDERS = ("slipway", "floor", "restart", "folders")
