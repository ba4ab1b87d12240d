"""The kit's sets of files: every one resolves, and every one is placed by a role or an action."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import file_sets
from ansible_collections.slipway.kit.plugins.module_utils.contract import names
from ansible_collections.slipway.kit.plugins.module_utils.model.types import ModelError

from tests.unit.lookup.test_resolved import load

ROOT = Path(__file__).parents[3]


def test_every_set_resolves() -> None:
    known = replace(load(), access={"ports": [22], "key": True})
    for name in file_sets.SETS:
        resolved = file_sets.resolved(known, [name])
        assert resolved["files"], name
        assert all(isinstance(word, str) for command in (resolved["validate"], *resolved["apply"]) for word in command)


def test_sets_placed_together_have_one_test() -> None:
    together = file_sets.resolved(load(), ["authorities", "systemd"])
    assert together["apply"] == [["systemctl", "daemon-reload"]]
    assert not together["validate"]
    assert together["files"][0]["dest"] == names.CA_FILE
    with pytest.raises(ModelError, match="nginx and ssh cannot be placed together"):
        file_sets.resolved(replace(load(), access={"ports": [22], "key": True}), ["nginx", "ssh"])


def test_an_unknown_set_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ModelError, match="there is no set of files site; did you mean sites"):
        file_sets.resolved(load(), ["site"])


def test_every_set_is_placed() -> None:
    tasks = "".join(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("roles/*/tasks/*.yml")))
    placed = {name for names in re.findall(r"sets: \[([^\]]+)\]", tasks) for name in names.split(", ")}
    assert placed | {"sites"} == set(file_sets.SETS)  # the actions `release` and `activate` place the sites
