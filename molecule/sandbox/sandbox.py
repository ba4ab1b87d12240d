"""The scenario's hosts, seen from the controller."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.hosts.scenario import Scenario

SCENARIO = Scenario("sandbox")
SYSTEMD, SUPERVISOR = HOSTS = ("bookworm", "trixie")
ENVIRONMENT = SCENARIO.environment
within, python, play = SCENARIO.within, SCENARIO.python, SCENARIO.play


@contextlib.contextmanager
def without_systemd(host: str) -> Iterator[None]:
    """Let a host look to the kit as one that has no systemd."""
    within(host, "mv", "/run/systemd/system", "/run/systemd/system.away")
    try:
        yield
    finally:
        within(host, "mv", "/run/systemd/system.away", "/run/systemd/system")
