"""Filters that bring together what apps do at a hook and the releases of this run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.slipway.kit.plugins.module_utils import holding

IN_CURRENT = ("before_prepare", "on_failure")
"""Hooks that run in the release which was current when the run began: the new one is not there, or no good."""

ONCE = "migrate"
"""The hook that changes what all hosts share: the first host that has the app does it for all of them."""

Items = Sequence[Mapping[str, Any]]


def due(
    hooks: Items, point: str, facts: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """The `hooks` of the apps that this run changes, each with the `release` to run it in.

    `facts` are the host's: `slipway_releases`, those the run is to make current, and `slipway`, from before it; `earlier`
    are those of the hosts before this one. Without a current release, as on a first deploy, there is nothing that
    `before_prepare` could run in; `on_failure` has None then, since its tasks may have somebody to tell.
    """
    done = {root for host in earlier for root in changing(host)} if point == ONCE else set()
    meant = changing(facts, everything=point == "on_failure")
    found = []
    for hook in hooks:
        if hook["root"] not in meant or hook["root"] in done:
            continue
        release = current(facts, hook["name"]) if point in IN_CURRENT else meant[hook["root"]]
        if release or point == "on_failure":
            found.append({**hook, "release": release})
    return found


def changing(facts: Mapping[str, Any], everything: bool = False) -> dict[str, str]:
    """The roots of the apps that a run changes on a host, each with its release; with `everything`, of those held back too."""
    return {
        item["root"]: item["release"]
        for item in (facts.get("slipway_releases") or () if everything else holding.going(facts))
        if item["release"] != current(facts, holding.name(item))
    }


def current(facts: Mapping[str, Any], app: str) -> str | None:
    """The release of an app that was current before the run."""
    found: str | None = ((facts.get("slipway") or {}).get("apps") or {}).get(app, {}).get("current")
    return found


def commands(hooks: Items) -> list[dict[str, Any]]:
    """The commands of those `hooks` that have a release to run in, as the module `hook` takes them.

    A hook with a task file has none; of a migration the module takes note all the same.
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
