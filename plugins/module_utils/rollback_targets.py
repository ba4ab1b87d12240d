"""The release that each host goes back to in a rollback, such that all hosts of an app have the same code afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .contract.facts import AppFacts, ReleaseFacts
from .contract.words import counted
from .model.spelling import is_slip

SHOWN = 2
"""How many hosts a message names for each release."""


class NoTarget(Exception):
    """There is no release to go back to; the message says why, and which releases the host has."""


@dataclass(frozen=True)
class OnHost:
    """An app on one host, before a rollback."""

    facts: AppFacts
    left: str | None = None
    """The release that a rollback was to leave, which died and whose lock this run has taken over."""


def targets(hosts: Mapping[str, OnHost], wanted: str | None) -> dict[str, str | NoTarget]:
    """The release that each host of an app goes back to, or why there is none.

    After a deploy with `--limit`, hosts have different code. If each went back to the release before its own, they would stay
    apart, and a good release would be marked bad. So the host on which the app was activated last decides about the code, and
    a host that has this code already keeps it.

    Args:
        hosts: the hosts of the run on which the app has the same source.
        wanted: the release id that the user named. A host with another Python has the same code under another id.
    """
    single = {name: _choice(one, wanted) for name, one in hosts.items()}
    able = [name for name, target in single.items() if isinstance(target, str)]
    if not able or len(hosts) == 1:
        return single
    last = max(able, key=lambda name: _activated(hosts[name].facts))
    goal = str(single[last])
    code = _code(hosts[last].facts, goal)
    apart = NoTarget(
        f"its hosts would go back to different code: {_places(single)}. Choose the hosts with --limit, and their release "
        "with -e release="
    )

    def together(name: str, target: str | NoTarget) -> str | NoTarget:
        app_facts, last_facts = hosts[name].facts, hosts[last].facts
        if isinstance(target, str) and wanted:
            return target
        if not wanted and _has_already(app_facts, last_facts, goal):
            return str(app_facts.current)
        alike = _alike(app_facts, last_facts, goal, bool(wanted))
        if same := _of_same_run(app_facts, last_facts.releases[goal].runs, alike):
            return same
        if isinstance(target, str) and _code(app_facts, target) == code:
            return target
        return _nearest(app_facts, alike, bool(wanted)) or (apart if isinstance(target, str) else target)

    return {name: together(name, target) for name, target in single.items()}


def _has_already(app_facts: AppFacts, last: AppFacts, goal: str) -> bool:
    """Whether the current release of a host is what another one, whose app was activated `last`, goes back to.

    Its id tells, or its code, or for releases with the same code a run that activated both.
    """
    now = app_facts.releases.get(app_facts.current or "")
    if now is None or not now.complete or _code(app_facts, str(app_facts.current)) != _code(last, goal):
        return False
    left = last.current if last.current in last.releases else None
    same_run = bool(set(now.runs) & set(last.releases[goal].runs))
    return app_facts.current == goal or same_run or (left is not None and _code(last, left) != _code(last, goal))


def _choice(one: OnHost, wanted: str | None) -> str | NoTarget:
    try:
        return choose(one.facts, wanted, one.left)
    except NoTarget as none:
        return none


def _code(app_facts: AppFacts, release_id: str) -> tuple[str, str | None]:
    """The code of a release, which is the same on every host: its version and the hash of its files."""
    return release_id.rpartition("-")[0], app_facts.releases[release_id].code


def _activated(app_facts: AppFacts) -> str:
    """When the current release of an app was activated; empty if that is not known."""
    now = app_facts.releases.get(app_facts.current or "")
    return (now.activated if now else None) or ""


def _alike(app_facts: AppFacts, last: AppFacts, goal: str, named: bool) -> list[str]:
    """The releases of a host with the code of another one's `goal`.

    One that is marked bad counts only if it is current, or if the user has named its like of another host.
    """
    return [
        name
        for name, one in app_facts.releases.items()
        if one.complete
        and _code(app_facts, name) == _code(last, goal)
        and (named or name == app_facts.current or (one.activated and not one.bad))
    ]


def _of_same_run(app_facts: AppFacts, runs: Sequence[str], alike: Sequence[str]) -> str | None:
    """The release that the latest of these runs activated on this host, too."""
    return next((name for run in reversed(runs) for name in alike if run in app_facts.releases[name].runs), None)


def _nearest(app_facts: AppFacts, alike: Sequence[str], named: bool) -> str | None:
    """The current release or the one before it, if it is one of `alike`, or the only one. With the same code, settings may differ.

    So for a release that the user has `named`, only the only one is certain.
    """
    now = app_facts.releases.get(app_facts.current or "")
    near = [] if named else [name for name in (app_facts.current, now.previous if now else None) if name in alike]
    return near[0] if near else alike[0] if len(alike) == 1 else None


def _places(single: Mapping[str, str | NoTarget]) -> str:
    """The releases to which the hosts would go back, each with its hosts."""
    where: dict[str, list[str]] = {}
    for host, target in single.items():
        where.setdefault(target if isinstance(target, str) else "none", []).append(host)
    return ", ".join(f"{target} on {_hosts(hosts)}" for target, hosts in where.items())


def _hosts(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:SHOWN])} and {counted(more, 'more host')}"


def left_by(died: Mapping[str, Any] | None, app: str) -> str | None:
    """The release that a rollback was to leave, which died and whose lock this run has taken over."""
    if not died or died["purpose"] != "rollback":
        return None
    left: str | None = died["apps"].get(app, {}).get("from")
    return left


def choose(app_facts: AppFacts, wanted: str | None, left: str | None = None) -> str:
    """The release to go back to.

    Args:
        app_facts: the app's `releases` on the host, and the `current` one.
        wanted: the release id that the user named; without one, the last good release that was current before.
        left: the release that a rollback which died was to leave. Where it has left it, that rollback is finished.

    Raises:
        NoTarget: there is no such release.
    """
    releases, current = app_facts.releases, app_facts.current
    complete = {name: one for name, one in releases.items() if one.complete}
    if wanted:
        if wanted not in complete:
            raise NoTarget(f"there is no release {wanted} on this host{_instead(wanted, complete)}")
        return wanted
    if left and left != current and current in complete:
        return str(current)
    now = releases.get(current or "")
    before = now.previous if now else None
    last = releases.get(before or "")
    if now and now.complete and not now.activated and last and last.bad:
        return str(current)  # a rollback was interrupted after the switch: finish it, and go no further
    good = {name: one for name, one in complete.items() if one.activated and not one.bad and name != current}
    if not good:
        others = {name: one for name, one in complete.items() if name != current}
        raise NoTarget(
            "there is no earlier good release on this host to go back to"
            + (f"; name another one by -e release=: {_listed(others)}" if others else "")
        )
    return str(before) if before in good else max(good, key=lambda name: (good[name].activated or "", name))


def _instead(wanted: str, complete: Mapping[str, ReleaseFacts]) -> str:
    """What to write instead of a release that is not there. Ids look alike, so only a slip or a beginning leads to another one."""
    near = [name for name in complete if name.startswith(wanted) or is_slip(wanted, name)]
    if len(near) == 1:
        return f"; did you mean {near[0]}?"
    return f"; there are: {_listed(complete)}" if complete else ", nor any other"


def _listed(releases: Mapping[str, ReleaseFacts]) -> str:
    """Releases, the one that became current last first, with what speaks against each."""
    newest = sorted(releases, key=lambda name: (releases[name].activated or "", name), reverse=True)
    against = {name: "bad" if one.bad else "" if one.activated else "never current" for name, one in releases.items()}
    return ", ".join(f"{name} ({against[name]})" if against[name] else name for name in newest)


def migrated_since(app_facts: AppFacts, target: str) -> list[str]:
    """The releases whose migration ran after `target` last became current."""
    releases = app_facts.releases
    since = releases[target].activated or ""
    return sorted(name for name, one in releases.items() if name != target and (one.migrated or "") > since)
