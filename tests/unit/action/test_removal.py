"""The name of an app to remove, before a host gets it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.callback.test_concise import ROOT, environment

INVENTORY = """
web:
  hosts: {nowhere.invalid: {}}
  vars:
    apps: {shop: {module: "web:app", source: {path: .}, domains: [shop.test]}}
"""


@pytest.mark.parametrize("name", ["../etc", "*", "Shop", "/srv/shop", "shop,../etc"])
def test_a_name_that_no_app_can_have_reaches_no_host(tmp_path: Path, name: str) -> None:
    (tmp_path / "hosts.yml").write_text(INVENTORY)
    (tmp_path / "web.py").write_text("")
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(tmp_path / "hosts.yml")]
    result = subprocess.run(
        [*command, "playbooks/remove.yml", "-e", f"app={name}"],
        env=environment(), cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    bad = name.rpartition(",")[2]
    assert f"-e: app is '{bad}', which is no name for an app; " in result.stdout
    assert "No host was touched." in result.stdout
    assert "nowhere.invalid" not in result.stdout
