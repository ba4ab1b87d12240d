"""The Molecule scenarios run the playbooks of their folders."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

MOLECULE = Path(__file__).parents[3] / "molecule"
STEPS = ("create", "prepare", "converge", "side_effect", "destroy")
"""The steps with a shared playbook, which a scenario may replace."""
OWN = sorted(path for step in STEPS for path in MOLECULE.glob(f"*/{step}.yml") if path.parent.name != "shared")


@pytest.mark.parametrize("path", OWN, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_scenario_runs_its_own_playbook(path: Path) -> None:
    """Molecule would run the shared one without a word."""
    settings = yaml.safe_load((path.parent / "molecule.yml").read_text(encoding="utf-8"))
    assert settings.get("ansible", {}).get("playbooks", {}).get(path.stem) == path.name
