"""Filters that bring together what apps do at a hook and the releases of this run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.slipway.kit.plugins.module_utils import holding

IN_CURRENT = ("before_prepare", "on_failure")
"""Hooks that run in the release which was current when the run began: the new one does not exist yet, or has failed."""

ONCE = "migrate"
"""The hook that changes what all hosts share: it runs once, on the first host that has the app."""

Items = Sequence[Mapping[str, Any]]


def due(
    hooks: Items, point: str, facts: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """The `hooks` of the apps that this run changes.

    Without a current release, as on a first deploy, there is nothing that `before_prepare` could run in. `on_failure` is
    due all the same, since its task file may notify somebody.

    Args:
        hooks: what the apps do at this point.
        point: the name of the hook.
        facts: the host's: `slipway_releases`, which the run is to make current, and `slipway`, from before the run.
        earlier: the facts of the hosts before this one.

    Returns:
        The hooks that are due, each with the `release` to run it in; None where there is none.
    """
    on_earlier_hosts = {root for host in earlier for root in changing(host)} if point == ONCE else set()
    releases = changing(facts, everything=point == "on_failure")
    hooks_due = []
    for hook in hooks:
        if hook["root"] not in releases or hook["root"] in on_earlier_hosts:
            continue
        release_id = current(facts, hook["name"]) if point in IN_CURRENT else releases[hook["root"]]
        if release_id or point == "on_failure":
            hooks_due.append({**hook, "release": release_id})
    return hooks_due


def changing(facts: Mapping[str, Any], everything: bool = False) -> dict[str, str]:
    """The roots of the apps that a run changes on a host, each with its release id.

    With `everything`, the apps that are held back count, too.
    """
    return {
        item["root"]: item["release"]
        for item in (facts.get("slipway_releases") or () if everything else holding.going(facts))
        if item["release"] != current(facts, holding.name(item))
    }


def current(facts: Mapping[str, Any], app: str) -> str | None:
    """The release of an app that was current before the run."""
    release_id: str | None = ((facts.get("slipway") or {}).get("apps") or {}).get(app, {}).get("current")
    return release_id


def commands(hooks: Items) -> list[dict[str, Any]]:
    """The commands of those `hooks` that have a release to run in, as the module `hook` takes them.

    A hook with a task file has no command. The module records a migration all the same.
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
