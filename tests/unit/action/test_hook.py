"""What is said of a hook that fails when there is nothing left to hold back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from ansible_collections.slipway.kit.plugins.action import hook


@pytest.mark.parametrize(
    ("name", "purpose", "words"),
    [
        ("after_activate", "deploy", "clients get the new release, and it stays"),
        ("after_activate", "rollback", "The one that was left is marked bad"),
        ("on_failure", "deploy", ""),
    ],
)
def test_a_late_hook_tells_what_clients_get(name: str, purpose: str, words: str) -> None:
    action = cast(Any, object.__new__(hook.ActionModule))
    action._task = SimpleNamespace(args={"name": name})
    result: dict[str, Any] = {}
    action.hold(result, [{"app": "shop", "release": "v1", "reason": "it failed"}], {"release_purpose": purpose})
    assert result["failed"]
    assert words in result["msg"] if words else "Only the hook failed" not in result["msg"]


@pytest.mark.parametrize(("name", "start"), [("on_failure", "shop: it"), ("after_activate", "shop v1: it")])
def test_the_current_release_has_not_failed(name: str, start: str) -> None:
    """A hook that runs in it says nothing about it."""
    action = cast(Any, object.__new__(hook.ActionModule))
    action._task = SimpleNamespace(args={"name": name})
    result: dict[str, Any] = {}
    action.hold(result, [{"app": "shop", "release": "v1", "reason": "it failed"}], {})
    assert result["msg"].startswith(start)
