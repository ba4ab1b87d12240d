"""The rule of a removed app goes, and those of all others stay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.files import written
from ansible_collections.slipway.kit.plugins.module_utils.host.run import sudoers

RULES = """\
# /usr/local/bin/slipway-run shop *
Defaults!/usr/local/bin/slipway-run env_reset, !setenv
%blog, !blog ALL = (root) NOPASSWD: /usr/local/bin/slipway-run blog *
%shop, !shop ALL = (root) NOPASSWD: /usr/local/bin/slipway-run shop *
%shop-admin, !shop-admin ALL = (root) NOPASSWD: /usr/local/bin/slipway-run shop-admin *
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "slipway"
    path.write_text(RULES)
    path.chmod(0o440)
    remember(tmp_path, path, RULES)
    return path


def remember(home: Path, path: Path, text: str) -> None:
    files = {str(path): written.fingerprint("file", text)}
    (home / written.NAME).write_text(json.dumps({"schema": 1, "files": files}))


def test_a_rule_goes(tmp_path: Path, rules: Path) -> None:
    assert sudoers.forget("shop", str(rules), str(tmp_path), check=True) and rules.read_text() == RULES
    assert sudoers.forget("shop", str(rules), str(tmp_path))
    lines = RULES.splitlines(keepends=True)
    assert rules.read_text() == "".join([*lines[:3], lines[4]])
    assert rules.stat().st_mode & 0o7777 == 0o440
    assert written.drifted("/", str(tmp_path)) == []
    assert not sudoers.forget("shop", str(rules), str(tmp_path))
    assert not sudoers.forget("shop", str(tmp_path / "none"), str(tmp_path))


def test_a_file_that_another_user_changed_counts_as_changed(tmp_path: Path, rules: Path) -> None:
    remember(tmp_path, rules, "as the kit wrote it")
    assert sudoers.forget("shop", str(rules), str(tmp_path))
    assert "slipway-run shop *\n%" not in rules.read_text().partition("Defaults")[2]
    assert written.drifted("/", str(tmp_path)) == [str(rules)]


def test_the_file_of_an_app_goes_and_those_of_others_stay(tmp_path: Path) -> None:
    path, other = tmp_path / "slipway-shop", tmp_path / "slipway-shop-admin"
    for file in (path, other):
        file.write_text("rule\n")
    files = {str(file): written.fingerprint("file", "rule\n") for file in (path, other)}
    (tmp_path / written.NAME).write_text(json.dumps({"schema": 1, "files": files}))
    old = str(tmp_path / "slipway")
    assert sudoers.forget("shop", old, str(tmp_path), check=True) and path.exists()
    assert sudoers.forget("shop", old, str(tmp_path))
    assert not path.exists() and other.exists()
    assert written.drifted("/", str(tmp_path)) == []
    assert not sudoers.forget("shop", old, str(tmp_path))
