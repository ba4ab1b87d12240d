"""Filters that match the hooks of apps with the releases of this run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.slipway.kit.plugins.module_utils import holding

ONCE = "migrate"
"""The hook that changes data of all hosts. It runs once, on the first host with the app."""

Items = Sequence[Mapping[str, Any]]


def due(
    hooks: Items, point: str, facts: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Select the hooks of the apps that this run changes.

    Without a current release, as on a first deploy, `before_prepare` has no release to run in. `on_failure` is due anyway,
    since its task file may send a notification.

    Args:
        hooks: The apps' hooks of this name.
        point: The name of the hook.
        facts: The host's facts: `slipway_releases`, which the run makes current, and `slipway`, from before the run.
        earlier: The facts of the hosts before this one.

    Returns:
        The hooks that are due, each with the `release` to run it in, or None if it has none.
    """
    on_earlier_hosts = {root for host in earlier for root in changing(host)} if point == ONCE else set()
    releases = changing(facts, everything=point == "on_failure")
    hooks_due = []
    for hook in hooks:
        if hook["root"] not in releases or hook["root"] in on_earlier_hosts:
            continue
        release_id = holding.current(facts, hook["name"]) if point in holding.IN_CURRENT else releases[hook["root"]]
        if release_id or point == "on_failure":
            hooks_due.append({**hook, "release": release_id})
    return hooks_due


def changing(facts: Mapping[str, Any], everything: bool = False) -> dict[str, str]:
    """Map the roots of the apps that a run changes on a host to their release ids.

    Args:
        facts: The host's facts.
        everything: Whether to include the apps that are held back.
    """
    return {
        item["root"]: item["release"]
        for item in (facts.get("slipway_releases") or () if everything else holding.going(facts))
        if item["release"] != holding.current(facts, holding.name(item))
    }


def commands(hooks: Items) -> list[dict[str, Any]]:
    """List the commands of the hooks that have a release to run in, as the module `hook` takes them.

    A hook with a task file has no command. The module records a migration anyway.
    """
    return [
        {"root": hook["root"], "release": hook["release"], "command": command, "timeout": hook["timeout"]}
        for hook in hooks
        if hook["release"]
        for command in hook["commands"] or ([()] if hook["when"] == ONCE else [])
    ]


class FilterModule:
    """`slipway.kit.due`, `slipway.kit.commands`."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {"due": due, "commands": commands}
