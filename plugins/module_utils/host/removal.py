"""Taking an app off the host."""

from __future__ import annotations

import contextlib
import glob
import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import files, managers
from .manifest import RELEASE, HostError, SupervisorPlace, app_name
from .outcome import TROUBLE, Failed, Failure
from .retire import end


@dataclass(frozen=True)
class Place:
    """Where an app lives and under whose name."""

    root: str
    run: str
    log: str
    user: str
    group: str
    site_logs: tuple[str, ...] = ()
    """How the names of nginx's logs begin, of the sites that went with the app: `/var/log/nginx/slipway-shop.example.com`."""


def remove(places: list[Place], supervisor: SupervisorPlace, purge: bool, check: bool = False) -> dict[str, Any]:
    """Drain, stop and remove every instance of the apps, under either manager, and their releases and virtualenvs.

    nginx sends nobody to them any more. Logs, shared data, user and group stay, and are named, unless `purge`. Works
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
    return {
        "changed": any(app["removed"] for app in apps),
        "apps": apps,
        "left": [path for app in apps for path in app["left"]],
        "message": [_message(app, purge, check) for app in apps],
    }


def _message(app: dict[str, Any], purge: bool, check: bool) -> str:
    """What was done and what was left, in words."""
    name, left = app["app"], ", ".join(app["left"])
    if not app["removed"]:
        text = f"{name} was off this host already." if left else f"There is nothing of {name} on this host."
    else:
        text = f"{name} {'would be' if check else 'is'} off this host{', with all its data' if purge else ''}."
    if left and purge:
        text += f" Left, since it was not made for {name}: {left}."
    elif left:
        text += f" Left: {left}; -e purge=true removes them too."
    return text


def _remove(place: Place, supervisor: SupervisorPlace, purge: bool, check: bool) -> dict[str, Any]:
    app = app_name(place.root)
    for path in (place.run, place.log):
        if os.path.basename(path) != app:
            raise HostError(f"{path} is not a directory of {app} alone: nothing was removed")
    removed = []
    runs = [os.path.join(place.run, name) for name in files.directories(place.run) if RELEASE.fullmatch(name)]
    for manager in managers.all_of(supervisor):
        units = manager.instances(place.root)
        if units and not check:
            end(manager, place.root, place.run, units)
        removed += sorted(units.values())

    accounts, foreign = _accounts(place)
    parts = [os.path.join(place.root, name) for name in ("current", "current.new", "releases", "venvs", "assets")]
    # A folder of this name that the kit has not made is somebody else's, whatever the inventory calls its apps.
    ours = bool(accounts) or any(map(os.path.lexists, parts))
    if not ours and os.path.isdir(place.root):
        foreign.append(place.root)
    logs = _existing([place.log])
    site_logs = _site_logs(place)
    if site_logs and not purge:
        # Beside the app's own logs, where a later purge finds them without the inventory's help.
        if not check:
            os.makedirs(place.log, 0o750, exist_ok=True)
            for path in site_logs:
                shutil.move(path, os.path.join(place.log, os.path.basename(path)))
        removed += site_logs
        logs = [place.log]
    data = [*(_content(place.root, parts) if ours else []), *logs]
    for path in runs + _existing([*parts, *([*logs, *site_logs, *([place.root] if ours else [])] if purge else [])]):
        if not check:
            files.remove_tree(path)
        removed.append(path)
    if not check:
        _remove_empty(place.run)
    if purge:
        if not check:
            _delete_accounts(place, accounts)
        return {"app": app, "removed": removed + accounts, "left": foreign}
    if ours and not data and not check:
        _remove_empty(place.root)
    return {"app": app, "removed": removed, "left": data + accounts + foreign}


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


def _accounts(place: Place) -> tuple[list[str], list[str]]:
    """The app's user and group as `user shop`, `group shop`: (made for the app, somebody else's).

    An account is the app's own when the user's home lies in the app's root; a group goes with its user, and a group
    without one (audio, games) was never ours.
    """
    own: list[str] = []
    foreign: list[str] = []
    with contextlib.suppress(KeyError):
        home = pwd.getpwnam(place.user).pw_dir
        inside = home == place.root or home.startswith(place.root + "/")
        (own if inside else foreign).append(f"user {place.user}")
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
