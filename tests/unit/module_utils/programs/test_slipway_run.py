"""What `slipway-run` says about an app that the host does not have, before it asks sudo."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract import names
from ansible_collections.slipway.kit.plugins.module_utils.host.run import terminal

PROGRAM = Path(__file__).parents[4] / "plugins/module_utils/programs/slipway_run.py"


def _program() -> ModuleType:
    """The program, which is a function's name in its package."""
    spec = importlib.util.spec_from_file_location("slipway_run_program", PROGRAM)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


slipway_run = _program()


@pytest.fixture
def apps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("ledger", "shop"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "current").symlink_to("releases/gone")
    (tmp_path / "media").mkdir()
    monkeypatch.setattr(slipway_run, "APPS", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("user", "groups", "app", "message"),
    [
        (0, set(), "ledgr", "this host has no app ledgr; did you mean ledger?"),
        (0, set(), "x", "this host has no app x; you may run: ledger, shop"),
        (1000, {"ledger", "video"}, "ledgr", "this host has no app ledgr; did you mean ledger?"),
        (1000, {"shop"}, "ledgr", "this host has no app ledgr; you may run: shop"),
        (1000, {"video"}, "ledgr", "this host has no app ledgr; did you mean ledger?"),
        (1000, {"video"}, "x", "this host has no app x"),
        (1000, {"video"}, "shop", ""),
        (0, set(), "media", ""),
    ],
)
def test_an_app_that_is_not_there(
    apps: Path, monkeypatch: pytest.MonkeyPatch, user: int, groups: set[str], app: str, message: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(slipway_run, "_groups", lambda: groups)
    assert slipway_run.unknown(app) == message


def test_the_program_names_the_same_places_as_the_kit() -> None:
    assert slipway_run.APPS == names.APPS
    assert slipway_run.FOLDER == names.MODULES
    assert slipway_run.REFUSED == terminal.REFUSED
