"""Inventories of several environments in one run are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import environments


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("production",), None),
        (("production", "staging"), "production and staging both have variables of the group web"),
        (("demo", "production", "staging"), "demo, production and staging all have variables of the group web"),
    ],
)
def test_environments_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], message: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in names:
        (tmp_path / name / "group_vars/web").mkdir(parents=True)
    fault = environments.mixed(names, "web")
    assert fault is None if message is None else str(fault).startswith(f"{message}, ")
