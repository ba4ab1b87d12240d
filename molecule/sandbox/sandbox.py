"""The scenario's hosts, seen from the controller."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator

from tests.hosts.scenario import Scenario
from tests.patience import patience

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


def exposure(host: str, unit: str) -> float:
    """The exposure that the host's `systemd-analyze security` gives to a unit."""
    report = within(host, "systemd-analyze", "security", "--no-pager", unit)
    match = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
    assert match, report
    return float(match[1])


def wait_for(host: str, unit: str) -> None:
    """Wait until a unit that a deploy starts is active."""
    end = time.monotonic() + patience(60)
    while within(host, "sh", "-c", f"systemctl is-active {unit} || true").strip() != "active":
        assert time.monotonic() < end, f"{host}: {unit} does not start"
        time.sleep(0.2)
