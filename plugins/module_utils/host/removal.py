"""Taking an app off the host."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import subprocess
from dataclasses import dataclass
from typing import Any

from . import files, managers, releases
from .instances import KILL_MARGIN, TROUBLE, Failed, Failure
from .manifest import HostError, SupervisorPlace, app_name
from .retire import LOST


@dataclass(frozen=True)
class Place:
    """Where an app lives and under whose name."""

    root: str
    run: str
    log: str
    user: str
    group: str


def remove(places: list[Place], supervisor: SupervisorPlace, purge: bool, check: bool = False) -> dict[str, Any]:
    """Stop and remove every instance of the apps, under either manager, and their releases, virtualenvs and links.

    Logs, shared data, user and group stay, and are named, unless `purge`. Works whatever is already gone.

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
    return {
        "changed": any(app["removed"] for app in apps),
        "apps": apps,
        "left": [path for app in apps for path in app["left"]],
    }


def _remove(place: Place, supervisor: SupervisorPlace, purge: bool, check: bool) -> dict[str, Any]:
    app = app_name(place.root)
    for path in (place.run, place.log):
        if os.path.basename(path) != app:
            raise HostError(f"{path} is not a directory of {app} alone: nothing was removed")
    removed = []
    for manager in managers.all_of(supervisor):
        units = manager.instances(place.root)
        if not check:
            for release, unit in units.items():
                manifest = releases.manifest_or_none(place.root, release)
                manager.disable(unit)
                manager.stop(unit, (manifest.timeouts.stop if manifest else LOST.stop) + KILL_MARGIN)
            manager.uninstall(list(units.values()))
        removed += sorted(units.values())

    parts = [os.path.join(place.root, name) for name in ("current", "current.new", "releases", "venvs", "assets")]
    data = [path for path in [*_content(place.root, parts), place.log] if os.path.lexists(path)]
    for path in [*parts, place.run, *([place.log, place.root] if purge else [])]:
        if os.path.lexists(path):
            if not check:
                files.remove_tree(path)
            removed.append(path)
    accounts, foreign = _accounts(place)
    if purge:
        if not check:
            _delete_accounts(place, accounts)
        removed += accounts
        return {"app": app, "removed": removed, "left": foreign}
    if not data and os.path.isdir(place.root) and not os.listdir(place.root) and not check:
        os.rmdir(place.root)
    return {"app": app, "removed": removed, "left": data + accounts + foreign}


def _content(root: str, parts: list[str]) -> list[str]:
    """What is in the root beside the parts that are removed anyway."""
    with contextlib.suppress(FileNotFoundError):
        return [path for path in sorted(os.path.join(root, name) for name in os.listdir(root)) if path not in parts]
    return []


def _accounts(place: Place) -> tuple[list[str], list[str]]:
    """The app's user and group as `user shop`, `group shop`: (made for the app, somebody else's).

    An account is the app's own when the user's home lies in the app's root; a group goes with its user.
    """
    own: list[str] = []
    foreign: list[str] = []
    with contextlib.suppress(KeyError):
        home = pwd.getpwnam(place.user).pw_dir
        inside = home == place.root or home.startswith(place.root + "/")
        (own if inside else foreign).append(f"user {place.user}")
    with contextlib.suppress(KeyError):
        members = [name for name in grp.getgrnam(place.group).gr_mem if name != place.user]
        (foreign if foreign or members else own).append(f"group {place.group}")
    return own, foreign


def _delete_accounts(place: Place, accounts: list[str]) -> None:
    if f"user {place.user}" in accounts:
        _run("userdel", place.user)
    if f"group {place.group}" in accounts:
        with contextlib.suppress(KeyError):  # userdel removes the group of the same name by itself
            grp.getgrnam(place.group)
            _run("groupdel", place.group)


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise HostError(f"{' '.join(words)} failed: {' '.join(done.stderr.split()) or done.returncode}")
