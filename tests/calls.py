"""Counts the calls that a playbook makes to a test host, and fails when there are more than docs/architecture.md says.

`python -m tests.calls INVENTORY HOST [APP]`: on a host on which every app of the inventory was deployed. APP takes the place of
the page's app: processes and timers cost no call.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/architecture.md"
PAGES_APP = "app=probe"
"""The app with which the page's playbooks are run."""
REPORTS = ("playbooks/status.yml", "playbooks/drift.yml")
CALL = re.compile(r"^<\S+> EXEC ", re.MULTILINE)
"""A line that the test hosts' connection prints at -vvv: with pipelining, one for each module call."""
ROW = re.compile(r"^\| `(?P<playbook>\S+?)(?: -e (?P<variables>[^`]+))?` \|.*\| (?P<calls>\d+) \|$", re.MULTILINE)
"""A line of the page's table: the playbook, variables with which it is run here, and its calls."""


def calls(inventory: str, host: str, playbook: str, variables: str | None) -> int:
    """Run a playbook on the host and count."""
    argv = [f"{Path(sys.executable).parent}/ansible-playbook", "-vvv", f"--inventory={inventory}", f"--limit={host}"]
    argv += [playbook, *(["--extra-vars", variables] if variables else [])]
    # A test runner's own settings of Ansible would hide or colour the counted lines.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment = {**inherited, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    result = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    # A report fails when something is not well: this counts its calls.
    if result.returncode and playbook not in REPORTS:
        raise SystemExit(f"{playbook} failed:\n{result.stdout[-3000:]}{result.stderr[-1000:]}")
    return len(CALL.findall(result.stdout))


def main(inventory: str, host: str, app: str = "probe") -> int:
    """Run every playbook of the table for an app; 1 when one of them makes more or fewer calls than it says."""
    rows = list(ROW.finditer(PAGE.read_text(encoding="utf-8")))
    assert rows, f"{PAGE} has no table of calls"
    calls(inventory, host, rows[0]["playbook"], rows[0]["variables"])  # a first run puts in order what tests have left
    wrong = 0
    for row in rows:
        variables = row["variables"] and row["variables"].replace(PAGES_APP, f"app={app}")
        number = calls(inventory, host, row["playbook"], variables)
        print(f"{row['playbook']} {variables or ''}: {number} calls; the page says {row['calls']}")
        wrong += number != int(row["calls"])
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
