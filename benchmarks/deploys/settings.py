"""Slipway under other settings of Ansible: how it connects, its strategy, its forks. The default comes first in every round."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks import hosts

from .app import App
from .contenders import Slipway
from .measure import Run, run

DEFAULT = "the defaults"
HOSTS = 10
"""How many hosts forks are tried on."""
OPERATIONS = ("nothing", "code")


def variants() -> Mapping[str, Mapping[str, str]]:
    """What is tried on one host: its name, and Ansible's environment variables."""
    import ansible_mitogen

    strategies = Path(ansible_mitogen.__file__).parent / "plugins/strategy"
    return {
        DEFAULT: {},
        "no pipelining": {"ANSIBLE_PIPELINING": "False", "ANSIBLE_SSH_PIPELINING": "False"},
        "a connection for each call": {"ANSIBLE_SSH_ARGS": "-o ControlMaster=no -o ControlPath=none"},
        "strategy free": {"ANSIBLE_STRATEGY": "ansible.builtin.free"},
        "mitogen": {"ANSIBLE_STRATEGY_PLUGINS": str(strategies), "ANSIBLE_STRATEGY": "mitogen_linear"},
    }


def forks() -> Mapping[str, Mapping[str, str]]:
    """What is tried on many hosts."""
    return {DEFAULT: {}, **{f"forks = {number}": {"ANSIBLE_FORKS": str(number)} for number in (5, 10)}}


class Tuned(Slipway):
    """Slipway with further environment variables."""

    def __init__(self, fresh_hosts: Any, app: App) -> None:
        super().__init__("slipway", fresh_hosts, app)
        self.extra: Mapping[str, str] = {}

    def command(self, operation: str) -> list[str]:
        """The same command."""
        command = super().command(operation)
        self.environment = {**self.environment, **self.extra}
        return command


def measure(rounds: int) -> Iterator[dict[str, Any]]:
    """Every operation under every setting, by turns."""
    for count, settings, operations in ((1, variants(), OPERATIONS), (HOSTS, forks(), OPERATIONS[:1])):
        with hosts.fresh(count) as fresh_hosts:
            one = Tuned(fresh_hosts, App.new("slipway"))
            run(one, "first", clients=False)
            for number in range(rounds):
                for name, extra in settings.items():
                    one.extra = extra
                    for operation in operations:
                        result: Run = replace(run(one, operation, clients=False), contender=name)
                        print(f"{name:28} {operation:10} {result.seconds:6.1f} s", flush=True)
                        yield {"round": number, "hosts": count, **asdict(result)}
