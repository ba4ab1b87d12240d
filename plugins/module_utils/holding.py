"""Apps that are held back: the fault of one app stops that app, on every host, and no other.

Each host has two facts: `slipway_releases`, the releases that the inventory describes, and `slipway_held`, the apps that
this run will not switch, each with its reason. What is left is what a run goes on with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Facts = Mapping[str, Any]
Held = dict[str, dict[str, Any]]
"""Name of an app to its `reason` (a line), `root` and `release` (None where it has no name yet)."""


def held(facts: Facts) -> Held:
    """The apps that are held back on a host."""
    return dict(facts.get("slipway_held") or {})


def going(facts: Facts) -> list[dict[str, Any]]:
    """The releases that a run goes on with on a host."""
    return [one for one in facts.get("slipway_releases") or () if name(one) not in held(facts)]


def stopped(facts: Facts) -> list[dict[str, Any]]:
    """The releases that were described, and are held back."""
    return [one for one in facts.get("slipway_releases") or () if name(one) in held(facts)]


def name(release: Mapping[str, Any]) -> str:
    """The app of a release."""
    return str(release["root"]).rpartition("/")[2]


def agree(hosts: Iterable[Facts], together: Mapping[str, str | None]) -> Held:
    """What is held back on every host: what is so on one of them, and what belongs together with it.

    Args:
        hosts: the facts of all hosts.
        together: each app's word for those that it is deployed with, or None.
    """
    reasons: Held = {}
    for facts in hosts:
        for app, why in held(facts).items():
            reasons.setdefault(app, why)
    words = {together[app]: app for app in reversed(list(reasons)) if together.get(app)}
    for app, word in together.items():
        if app not in reasons and word in words:
            reasons[app] = {"reason": f"{words[word]} failed, with which it is deployed together", "release": None}
    return reasons


def text(failure: Mapping[str, Any]) -> str:
    """A failure as a module returns it, for people."""
    lines = f"{failure['app']} {failure.get('release') or ''}".rstrip() + f": {failure['reason']}"
    if failure.get("hint"):
        lines += f". Hint: {failure['hint']}"
    if failure.get("log"):
        source = failure.get("source")
        lines += (
            "\n" + (f"Last lines of {source}:\n" if source else "") + "\n".join(f"  {line}" for line in failure["log"])
        )
    return lines


def outcome(releases: Sequence[Mapping[str, Any]], back: Held) -> str:
    """How a run ended on a host, app by app; empty when nothing is held back."""
    if not back:
        return ""
    lines = [f"activated: {name(one)} {one['release']}" for one in releases if name(one) not in back]
    lines += [f"held back: {app}: {why['reason']}" for app, why in sorted(back.items())]
    return "\n".join(lines)
