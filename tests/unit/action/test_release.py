"""What stops a deploy before anything is built."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.action import release

SERVED, OTHER = SimpleNamespace(serves=True), SimpleNamespace(serves=False)


def down(check: bool = False, app: Any = SERVED, **nginx: bool) -> str:
    """Why nginx is in the way."""
    action: Any = release.ActionModule.__new__(release.ActionModule)
    action._task = SimpleNamespace(check_mode=check)
    facts = SimpleNamespace(nginx=SimpleNamespace(**{"installed": True, "running": False, **nginx}))
    action._inventory = SimpleNamespace(facts=facts, to_deploy=[app])
    return action._nginx_is_down()


@pytest.fixture(autouse=True)
def _served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release.sites, "present", lambda apps: [app for app in apps if app.serves])


def test_a_stopped_nginx_stops_a_deploy() -> None:
    assert "nginx does not run on this host" in down()


def test_what_needs_no_running_nginx_goes_on() -> None:
    assert down(running=True) == down(installed=False) == down(check=True) == ""
    assert down(app=OTHER) == ""
