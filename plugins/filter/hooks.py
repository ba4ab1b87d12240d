"""Filters that bring together what apps do at a hook and the releases of this run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

IN_CURRENT = ("before_prepare", "on_failure")
"""Hooks that run in the release which was current when the run began: the new one is not there, or no good."""

Items = Sequence[Mapping[str, Any]]


def due(hooks: Items, point: str, releases: Items, apps: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The `hooks` of the apps that this run changes, each with the `release` to run it in (None on a first deploy).

    `releases` are those the run is to make current, `apps` the host's facts from before it.
    """
    meant = {item["root"]: item["release"] for item in releases}
    found = []
    for hook in hooks:
        current = apps.get(hook["name"], {}).get("current")
        release = meant.get(hook["root"], current)
        if release != current:
            found.append({**hook, "release": current if point in IN_CURRENT else release})
    return found


def commands(hooks: Items) -> list[dict[str, Any]]:
    """Those of `hooks` that are commands and have a release to run in, as the module `hook` takes them."""
    keys = ("root", "release", "command", "timeout")
    return [{key: hook[key] for key in keys} for hook in hooks if hook["command"] and hook["release"]]


class FilterModule:
    """`slipway.kit.due`, `slipway.kit.commands`."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {"due": due, "commands": commands}
