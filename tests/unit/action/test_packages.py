"""The action that installs packages of the distribution."""

from __future__ import annotations

from typing import Any

from ansible_collections.slipway.kit.plugins.action import packages


def test_check_mode_says_what_would_be_installed_and_asks_no_host() -> None:
    task: Any = type("Task", (), {"async_val": 0, "check_mode": True, "args": {"names": ["nginx", "acl"]}})()
    action = packages.ActionModule(task, None, None, None, None, None)
    result = action.run(task_vars={})
    assert (result["changed"], result["msg"]) == (True, "would install nginx, acl")
