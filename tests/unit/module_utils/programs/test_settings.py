"""gunicorn's settings as a worker reads them."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.programs.serving.settings import Remembered
from gunicorn.config import Config


def test_a_setting_is_looked_up_once() -> None:
    settings = Remembered(Config())
    assert (settings.timeout, settings.threads) == (30, 1)
    settings.settings.clear()
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
    assert isinstance(settings, Config) and "threads" in str(settings)
    with pytest.raises(AttributeError, match="Invalid access"):
        settings.threads = 3


def test_what_follows_from_a_setting_follows_it() -> None:
    settings = Remembered(Config())
    assert settings.address == [("127.0.0.1", 8000)]
    settings.set("bind", "127.0.0.1:9000")
    assert settings.address == [("127.0.0.1", 9000)]
