"""Apps that are held back: the fault of an app stops that app on every host, and no other app.

Each host has two facts. `slipway_releases` are the releases that the inventory describes. `slipway_held` are the apps that
this run will not switch, each with its reason. The run continues with the other releases. A host that has switched them has a
third fact, `slipway_switched`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Facts = Mapping[str, Any]
Held = dict[str, dict[str, Any]]
"""The name of an app to its `reason` (a line), `root`, `release` (None if it has no id yet) and `on`, where it failed.

`also` has the reasons of further hosts on which it failed.
"""
IN_CURRENT = ("before_prepare", "on_failure")
"""Hooks that run in the release that was current at the start: the new one does not exist yet, or has failed."""
REASON = 160
"""Letters of a reason in the report of a run."""


def held(facts: Facts) -> Held:
    """Return the apps that are held back on a host."""
    return dict(facts.get("slipway_held") or {})


def going(facts: Facts) -> list[dict[str, Any]]:
    """List the releases with which a run continues on a host."""
    return [one for one in facts.get("slipway_releases") or () if name(one) not in held(facts)]


def stopped(facts: Facts) -> list[dict[str, Any]]:
    """List the releases of the inventory that are held back."""
    return [one for one in facts.get("slipway_releases") or () if name(one) in held(facts)]


def unswitched(hosts: Sequence[Facts], names: Sequence[str]) -> list[str]:
    """List the hosts of a run that have not reported a successful switch."""
    return [name for name, facts in zip(names, hosts, strict=True) if not facts.get("slipway_switched")]


def task_files(facts: Facts) -> dict[str, Any]:
    """Return the record of a hook's task files that have begun on a host and not ended; empty for none."""
    return dict(facts.get("slipway_task_files") or {})


def lost(hosts: Mapping[str, Facts], ended: bool = False) -> str:
    """Report that Ansible has lost hosts in the task files of a hook; empty if it has lost none.

    A failure of such tasks is not fatal for the other hosts. A host that is unreachable is: no app may be switched on some hosts
    alone. When the hook has `ended`, a host with failures is lost as well if it has still a record of them: its run has failed.
    """
    names = [
        name for name, facts in hosts.items() if (record := task_files(facts)) and (ended or not record["failures"])
    ]
    return f"{', '.join(names)} left the run in the tasks of a hook, so that it ends on all hosts" if names else ""


def misled(facts: Facts) -> dict[str, dict[str, Any]]:
    """Return the apps of a host that have kept their release and that clients do not reach, each with the reason and a hint."""
    return dict(facts.get("slipway_misled") or {})


def name(release: Mapping[str, Any]) -> str:
    """Return the name of a release's app."""
    return str(release["root"]).rpartition("/")[2]


def agree(hosts: Iterable[Facts], together: Mapping[str, str | None]) -> Held:
    """Decide which apps to hold back on every host: those held back on one host, and the apps deployed together with them.

    Args:
        hosts: The facts of all hosts.
        together: Each app's word for the apps that it is deployed with, or None.
    """
    reasons: Held = {}
    for facts in hosts:
        for app, why in held(facts).items():
            first = reasons.setdefault(app, dict(why))
            if also := {host: reason for host, reason in _by_host(why).items() if host != first.get("on")}:
                first["also"] = {**also, **first.get("also", {})}
    words = {together[app]: app for app in reversed(list(reasons)) if together.get(app)}
    for app, word in together.items():
        if app not in reasons and word in words:
            reasons[app] = {"reason": f"{words[word]} failed, with which it is deployed together", "release": None}
    return reasons


def _by_host(why: Mapping[str, Any]) -> dict[str, str]:
    """Map the hosts on which an app failed to the reasons."""
    return {**({why["on"]: why["reason"]} if why.get("on") else {}), **why.get("also", {})}


def text(failure: Mapping[str, Any]) -> str:
    """Format a module's failure for people."""
    lines = f"{failure['app']} {failure.get('release') or ''}".rstrip() + ": "
    lines += f"on {failure['on']}: {failure['reason']}" if failure.get("on") else str(failure["reason"])
    if failure.get("hint"):
        lines += f". Hint: {failure['hint']}"
    if failure.get("log"):
        source = failure.get("source")
        lines += (
            "\n" + (f"Last lines of {source}:\n" if source else "") + "\n".join(f"  {line}" for line in failure["log"])
        )
    return lines


def current(facts: Facts, app: str) -> str | None:
    """Return the id of the release that was current before the run."""
    release_id: str | None = ((facts.get("slipway") or {}).get("apps") or {}).get(app, {}).get("current")
    return release_id


def changed(facts: Facts) -> dict[str, str | None]:
    """Return the apps whose current release this run replaces on a host, each with the release that was current before."""
    pairs = [(name(one), str(one["release"])) for one in going(facts)]
    return {app: current(facts, app) for app, release_id in pairs if current(facts, app) != release_id}


def hinted(facts: Facts) -> set[str]:
    """Return the apps for which the report of a host says what to try: those that the run changes, and its only app."""
    apps = {*map(name, facts.get("slipway_releases") or ()), *held(facts)}
    return apps if len(apps) == 1 else set(changed(facts))


def standing(before: str | None, now: str | None) -> str:
    """Report which release of an app is current, beside the one that was before the run. Whether it serves, `status.yml` says."""
    if now == before:
        return f"{now} stays the current release" if now else "it has no release yet"
    if not now:
        return f"it has no current release any more; before this run it was {before}"
    return f"{now} is the current release now, {f'before it {before}' if before else 'the first one'}"


def staying(facts: Facts, app: str) -> str:
    """Report which release of an app that is held back stays current."""
    return standing(current(facts, app), current(facts, app))


def _short(reason: str) -> str:
    """The beginning of a reason, on one line."""
    line = next(iter(str(reason).splitlines()), "")
    return f"{line[:REASON]}…" if len(line) > REASON else line


def _why(why: Mapping[str, Any], host: str) -> str:
    """A reason as a host reports it: its own, or another host's with that one's name."""
    elsewhere = why.get("on")
    if elsewhere in (None, host):
        return _short(why["reason"])
    reason = _by_host(why).get(host)
    return _short(reason) if reason else f"on {elsewhere}: {_short(why['reason'])}"


def outcome(facts: Facts, host: str) -> str:
    """Report how a run ended on a host for each app; empty if none is held back.

    A host on which the app failed has printed the reason before, with its log. The other hosts have not.
    """
    back = held(facts)
    if not back:
        return ""
    lines = [
        f"{'unchanged' if current(facts, name(one)) == one['release'] else 'activated'}: {name(one)} {one['release']}"
        for one in going(facts)
    ]
    lines += [f"held back: {app}: {staying(facts, app)}; {_why(back[app], host)}" for app in sorted(back)]
    return "\n".join(lines)
