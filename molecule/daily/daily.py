"""What the tests of this scenario share."""

from __future__ import annotations

import json
from typing import Any

from tests.hosts.scenario import Scenario

SCENARIO = Scenario("daily")
SYSTEMD, SUPERVISOR = "bookworm", "supervised"
HOSTS = (SYSTEMD, SUPERVISOR)


def rows(playbook: str, **variables: Any) -> tuple[int, list[dict[str, Any]]]:
    """The exit status of a playbook, and its result for programs."""
    completed = SCENARIO.play(playbook, format="json", **variables)
    lines = [line for line in completed.stdout.splitlines() if line.startswith(("[", "{"))]
    assert lines, completed.stdout
    return completed.returncode, json.loads(lines[-1])
