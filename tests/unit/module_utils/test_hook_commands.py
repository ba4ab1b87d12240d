"""A file of tasks is no command of a hook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import hook_commands

WHY = "is hooks/good.yml, a file beside the inventory and no command; write {tasks: hooks/good.yml}"


def faults(place: Path, hook: Any, name: str = "migrate") -> list[str]:
    (place / "hooks").mkdir(exist_ok=True)
    (place / "hooks/good.yml").write_text("- ansible.builtin.debug:\n")
    (place / "hooks/run.sh").write_text("true\n")
    apps = {"shop": {"hooks": {name: hook}}, "blog": {}, "wiki": {"hooks": None}}
    return [f"{'.'.join(fault.path[2:])} {fault.message}" for fault in hook_commands.faults(apps, place)]


@pytest.mark.parametrize("command", ["hooks/good.yml", ["hooks/good.yml"], "'hooks/good.yml'"])
def test_a_file_of_tasks_is_refused_as_a_command(tmp_path: Path, command: Any) -> None:
    assert faults(tmp_path, command) == [f"hooks.migrate {WHY}"]
    assert faults(tmp_path, {"command": command}) == [f"hooks.migrate.command {WHY}"]


def test_each_of_several_commands_counts(tmp_path: Path) -> None:
    assert faults(tmp_path, ["flask db upgrade", "hooks/good.yml"]) == [f"hooks.migrate {WHY}"]


def test_tasks_cannot_run_in_setup(tmp_path: Path) -> None:
    (why,) = faults(tmp_path, "hooks/good.yml", "setup")
    assert why.endswith("tasks cannot run in setup, so write before_prepare: {tasks: hooks/good.yml}")


@pytest.mark.parametrize(
    "hook", [{"tasks": "hooks/good.yml"}, "hooks/bad.yml", "hooks/run.sh", "python hooks/good.yml", "flask db upgrade"]
)
def test_any_other_command_is_let_through(tmp_path: Path, hook: Any) -> None:
    assert faults(tmp_path, hook) == []
