"""gunicorn's settings as a worker reads them."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.programs.serving.settings import Remembered
from gunicorn.config import Config


def test_a_setting_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Remembered(Config())
    assert (settings.timeout, settings.threads) == (30, 1)
    monkeypatch.setattr(Config, "__getattr__", lambda self, name: pytest.fail(f"looks {name} up again"))
    assert (settings.timeout, settings.threads) == (30, 1)


def test_a_hook_may_change_a_setting() -> None:
    settings = Remembered(Config())
    assert settings.timeout == 30
    settings.set("timeout", 40)
    assert settings.timeout == 40


def test_it_looks_like_gunicorns_own() -> None:
    settings = Remembered(Config())
    with pytest.raises(AttributeError, match="no_such"):
        _ = settings.no_such
    assert not hasattr(settings, "no_such")
    assert copy.copy(settings).threads == 1
