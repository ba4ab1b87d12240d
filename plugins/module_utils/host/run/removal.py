"""Taking an app off the host."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...contract.errors import HostError
from ...contract.manifest import SupervisorPlace, app_name
from ...contract.names import RELEASE
from ..base import atomic, processes, trees
from ..base.outcome import TROUBLE, Failed, Failure
from ..build import build_user, interpreters, setup
from ..process import managers, timers
from ..system import accounts, origins, releases
from . import sudoers
from .retire import end

PARTS = ("current", "current.new", "releases", "venvs", "assets", releases.RECORD)
"""What goes with an app in its folder; all else there is its data. An app that comes back has no earlier release to keep serving."""


@dataclass(frozen=True)
class Place:
    """Where an app lives."""

    root: str
    run: str
    log: str
    registry: str = accounts.REGISTRY
    """Where the kit remembers which accounts it made."""
    site_logs: tuple[str, ...] = ()
    """How the names of nginx's logs begin, of the sites that went with the app: `/var/log/nginx/slipway-shop.example.com`."""


def remove(places: list[Place], supervisor: SupervisorPlace, purge: bool, check: bool = False) -> dict[str, Any]:
    """Drain, stop and remove every instance of the apps, under either manager, and their releases and virtualenvs.

    nginx sends them no request any more. Logs, shared data, user and group stay, and are named, unless `purge`. Works
    whatever is already gone.

    Raises:
        Failed: with every app that failed; the others are done.
    """
    apps: list[dict[str, Any]] = []
    failures = []
    for place in places:
        try:
            apps.append(_remove(place, supervisor, purge, check))
        except TROUBLE as error:
            failures.append(Failure(os.path.basename(place.root), "", str(error)))
    if failures:
        raise Failed(failures)
    unused = interpreters.prune(check)
    return {
        "changed": bool(unused) or any(app["removed"] for app in apps),
        "apps": apps,
        "left": [path for app in apps for path in app["left"]],
        "interpreters": unused,
        "message": [_message(app, purge, check) for app in apps],
    }


def _message(app: dict[str, Any], purge: bool, check: bool) -> str:
    """What was done and what was left, in words."""
    name, left = app["app"], ", ".join(app["left"])
    if not app["removed"]:
        text = f"{name} was off this host already." if left else f"There is nothing of {name} on this host."
    else:
        data = ", with all its data" if purge and not app["unseen"] else ""
        text = f"{name} {'would be' if check else 'is'} off this host{data}."
    if left and purge:
        text += f" Left, since it was not made for {name}: {left}."
    elif left:
        text += f" Left: {left}; playbooks/remove.yml with -e purge=true removes them too."
    return " ".join([text, *app["unseen"]])


def _remove(place: Place, supervisor: SupervisorPlace, purge: bool, check: bool) -> dict[str, Any]:
    """Take one app off; returns what was `removed` and what is `left`."""
    app = app_name(place.root)
    for path in (place.run, place.log):
        if os.path.basename(path) != app:
            raise HostError(f"{path} is not a directory of {app} alone: nothing was removed")
    runs = [os.path.join(place.run, name) for name in atomic.directories(place.run) if RELEASE.fullmatch(name)]
    removed = _end_instances(place, supervisor, check)

    owner = _owner(place)
    unseen = [] if check else _end_processes(owner.accounts, purge)
    site_logs = _site_logs(place)
    logs = _existing([place.log])
    if site_logs and not purge:
        _keep_logs(place, site_logs, check)
        removed += site_logs
        logs = [place.log]
    parts = [os.path.join(place.root, name) for name in PARTS] if owner.ours else []
    data = [*(_content(place.root, parts) if owner.ours else []), *logs]
    everything = [*logs, *site_logs, *([place.root] if owner.ours else [])] if purge else []
    pipes = os.path.join(place.run, "timers")
    gone, remains = _remove_paths(runs + _existing([pipes, *parts, *everything]), check)
    removed += gone
    if not check:
        timers.forget(app)
        _remove_empty(place.run)
    if remains:
        accounts_too = purge and owner.accounts
        raise HostError(
            f"{'; '.join(remains)}. All else is off this host{', but its accounts' if accounts_too else ''}"
        )
    if purge:
        removed += _forget(app, owner.accounts, place.registry, check)
        return {"app": app, "removed": removed, "left": owner.foreign, "unseen": unseen}
    if owner.ours and not data and not check:
        _remove_empty(place.root)
    return {"app": app, "removed": removed, "left": data + owner.accounts + owner.foreign, "unseen": []}


def _end_processes(accounts_of: Sequence[str], purge: bool) -> list[str]:
    """End every process of an app's users; with `purge`, remove their files where every user may write. Returns what may be left."""
    unseen = []
    for account in accounts_of:
        kind, name = account.split()
        if kind == "user" and purge:
            unseen += build_user.clear(name)
        elif kind == "user":
            processes.end_everything(name)
    return unseen


def _forget(app: str, made: list[str], registry: str, check: bool) -> list[str]:
    """Remove an app's accounts, and what the host knows of it beside its folders; returns what was removed."""
    # Without a purge the rule stays with the accounts: `site.yml` alone writes it, and a deploy may bring the app back. The data that
    # stays is that of the app's inventory.
    rule = sudoers.forget(app, check=check)
    if not check:
        origins.forget(app)
        accounts.delete(app, made, registry)
        setup.forget(app)
    return [*([f"the rule of {app} for sudo"] if rule else []), *made]


@dataclass(frozen=True)
class _Owner:
    """Whose an app's folder and accounts are."""

    accounts: list[str]
    """Those that the kit made."""
    foreign: list[str]
    """Accounts and folders of the app's name that belong to another user or program."""
    ours: bool
    """Whether the kit made the app's folder."""


def _owner(place: Place) -> _Owner:
    """Find out who owns it. A folder that the kit has not made is foreign, whatever the inventory calls its apps."""
    app, logs = os.path.basename(place.root), os.path.dirname(place.log)
    made, foreign = accounts.owned(app, place.root, accounts.Registry.read(place.registry), logs)
    ours = bool(made) or accounts.laid_out(place.root, logs)
    if not ours and os.path.isdir(place.root):
        foreign = [*foreign, place.root]
    return _Owner(made, foreign, ours)


def _end_instances(place: Place, supervisor: SupervisorPlace, check: bool) -> list[str]:
    """End every instance under every manager; returns their units."""
    ended: list[str] = []
    if not check:
        managers.settle_timers(supervisor, os.path.basename(place.root), None)
    for manager in managers.all_of(supervisor):
        units = manager.instances(place.root)
        if units and not check:
            end(manager, place.root, place.run, units, wait=True)
        ended += sorted(unit for several in units.values() for unit in several)
    return ended


def _keep_logs(place: Place, site_logs: Sequence[str], check: bool) -> None:
    """Move nginx's logs beside the app's own, where a later purge finds them without the inventory's help."""
    if not check:
        os.makedirs(place.log, 0o750, exist_ok=True)
        for path in site_logs:
            shutil.move(path, os.path.join(place.log, os.path.basename(path)))


def _remove_paths(paths: Sequence[str], check: bool) -> tuple[list[str], list[str]]:
    """Remove trees; returns those that are gone, and why the others are not."""
    gone: list[str] = []
    remains: list[str] = []
    for path in paths:
        left = [] if check else trees.remove(path).remains
        remains += left
        if not left:
            gone.append(path)
    return gone, remains


def _existing(paths: Sequence[str]) -> list[str]:
    return [path for path in paths if os.path.lexists(path)]


def _remove_empty(path: str) -> None:
    with contextlib.suppress(OSError):
        os.rmdir(path)


def _site_logs(place: Place) -> list[str]:
    """nginx's logs of the sites that went, rotated ones too."""
    kinds = ("access", "error")
    return [
        path
        for start in place.site_logs
        for kind in kinds
        for path in sorted(glob.glob(f"{glob.escape(start)}.{kind}.log*"))
    ]


def _content(root: str, parts: list[str]) -> list[str]:
    """What is in the root beside the parts that are removed anyway."""
    with contextlib.suppress(FileNotFoundError):
        return [path for path in sorted(os.path.join(root, name) for name in os.listdir(root)) if path not in parts]
    return []
