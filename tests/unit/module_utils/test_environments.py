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


def test_the_folder_of_environments_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ansible would read all of their hosts, and none of their variables."""
    monkeypatch.chdir(tmp_path)
    for name in ("production", "staging"):
        (tmp_path / "inventories" / name / "group_vars/web").mkdir(parents=True)
    (tmp_path / "inventories/.old/group_vars").mkdir(parents=True)
    assert environments.refusal(["inventories"], "web") == (
        "inventories is no environment, but the folder of production and staging; no host was touched. "
        "Name one environment: -i inventories/production"
    )
    for source in ("inventories/staging", "web1,", "inventories/missing", "inventories/staging/group_vars"):
        assert environments.refusal([source], "web") is None


def test_an_environment_may_have_folders(tmp_path: Path) -> None:
    (tmp_path / "apps/shop/group_vars").mkdir(parents=True)
    (tmp_path / "more").mkdir()
    (tmp_path / "more/hosts.yml").write_text("")
    assert environments.parent([str(tmp_path)]) is not None
    (tmp_path / "hosts.yml").write_text("")
    assert environments.parent([str(tmp_path)]) is None
