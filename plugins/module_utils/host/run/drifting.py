"""What on a host is no longer as the kit left it. Looking changes nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...contract import names, origins
from ...contract.errors import HostError
from ...contract.manifest import Manifest, release_path
from ..build.unpacking import SLACK
from ..files import written
from ..process import managers
from ..process.timers import MASKED
from ..system import facts, nginx, releases
from ..system import origins as owners

CHANGES = ("activated.json", "bad.json", "migrated.json", "run", "sbom.json")
"""What the kit itself writes into a release that is complete."""
ENTRIES, SECONDS = 400_000, 60.0
"""Files that are looked at of an app, and for how long."""
SHOWN = 5
"""Changed files of a release that are named."""

Finding = dict[str, str]
"""`kind`, the `app` that it is about (empty for the host), `subject` and `detail`."""


Inode = tuple[int, int]
"""The device and the number of a file, by which links to it are known."""


def finding(kind: str, subject: str, detail: str = "", app: str = "") -> Finding:
    """One deviation."""
    return {"kind": kind, "app": app, "subject": subject, "detail": detail}


def of_host(known: Sequence[str], absent: Sequence[str], inventory: str) -> Iterator[Finding]:
    """What was changed outside of releases.

    Args:
        known: The apps that the inventory has.
        absent: Those that it wants to leave.
        inventory: Its name, if it has one. Apps of another inventory may be on the host, too.
    """
    for path in written.drifted("/", names.STATE):
        state = "changed" if os.path.lexists(path) else "removed"
        yield finding("file", path, f"was {state} since Slipway wrote it")
    try:
        owned = owners.known()
    except HostError as error:
        owned = {}
        yield finding("origins", owners.PATH, str(error).partition(" ")[2])
    theirs = {app: owner for app, owner in owned.items() if origins.refusal({app: owner}, inventory)}
    yield from _foreign({app: owner for app, owner in theirs.items() if app in known or app in absent}, inventory)
    yield from _sites([*known, *theirs], absent)
    yield from _apps([*known, *theirs], absent)
    for unit, state in managers.broken_services():
        yield _unstarted(unit, state)


def _unstarted(unit: str, state: str, app: str = "") -> Finding:
    """A unit that does not start at boot. No playbook starts a masked one."""
    kind = "masked" if state.startswith("masked") else "unit"
    return finding(kind, unit, f"is {state}, so it does not start at boot", app)


def _foreign(theirs: Mapping[str, str], inventory: str) -> Iterator[Finding]:
    """The apps of the inventory whose names are those of another one's apps on this host."""
    for app, owner in sorted(theirs.items()):
        detail = (
            f"is the app {app} of {origins.FOLDER}/{owner}, so deploys from {origins.FOLDER}/{inventory} are refused"
        )
        yield finding("origin", names.app_root(app), detail, app)


def _leftover(subject: str, verb: str, app: str, absent: Sequence[str]) -> Finding:
    """An app that is not to be here. One that the inventory does not have was renamed, for example."""
    if app in absent:
        return finding("absent", subject, f"{verb} {app}, which the inventory wants absent", app)
    return finding("leftover", subject, f"{verb} {app}, which the inventory does not have", app)


def _apps(known: Sequence[str], absent: Sequence[str]) -> Iterator[Finding]:
    """The apps with a current release that are not to be here; those of a site have a line."""
    served = {app for apps in nginx.sites("/").values() for app in apps}
    for app in facts.deployed("/"):
        root = names.app_root(app)
        if app not in served and app not in known and releases.current(root) is not None:
            yield _leftover(root, "is the app", app, absent)


def _sites(known: Sequence[str], absent: Sequence[str]) -> Iterator[Finding]:
    """nginx's servers of apps that are not to be here, and those that the kit did not write."""
    for path, apps in nginx.sites("/").items():
        for app in sorted(set(apps) - set(known)):
            yield _leftover(path, "serves", app, absent)
    others = {
        path
        for path, blocks, _words in nginx.configuration("/", nginx.CONF, os.path.dirname(nginx.CONF))
        if blocks[:2] == nginx.SERVER and not nginx.OWN.fullmatch(path) and not nginx.is_welcome("/", path)
    }
    for path in sorted(others):
        yield finding("site", path, "is a site that Slipway does not manage")


def of_sites(sites: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """The sites of the inventory by which clients do not reach an app that runs here.

    Args:
        sites: Each has its `name`, its `file` in nginx and its `apps`, mappings with `name`.
    """
    on_host = nginx.sites("/")
    for site in sites:
        for app in (str(one["name"]) for one in site["apps"]):
            if app not in on_host.get(site["file"], ()) and releases.current(names.app_root(app)) is not None:
                yield finding("unserved", site["name"], f"does not lead to {app} on this host", app)


def of_app(root: str) -> Iterator[Finding]:
    """What was changed of an app: its releases on the disk, its units, and which of its instances run."""
    app, current = os.path.basename(root), releases.current(root)
    manifest = releases.manifest_or_none(root, current) if current else None
    if current is None:
        return
    if manifest is None:
        yield finding("release", current, "is current, and its manifest is missing or cannot be read", app)
        return
    yield from _units(manifest)
    for manager in managers.all_of(manifest.supervisor):
        for release_id, units in sorted(manager.instances(root).items()):
            for unit in units if release_id != current else ():
                process = manager.process(unit)
                if process.pid and not process.ending:  # an old process may finish its task
                    yield finding("process", unit, f"still runs, and {current} is the current release", app)
    seen: set[Inode] = set()
    on_disk = sorted(os.listdir(os.path.join(root, "releases")))
    for name in (current, *(one for one in on_disk if one != current)):
        if names.RELEASE.fullmatch(name) and (kept := releases.manifest_or_none(root, name)):
            yield from _changed(kept, seen)


def _units(manifest: Manifest) -> Iterator[Finding]:
    """The programs of the current release that do not start at boot."""
    try:
        manager = managers.of(manifest)
    except HostError as error:
        yield finding("unit", manifest.release_id, str(error), manifest.app)
        return
    for program in manifest.programs:
        if not manager.enabled(program.unit):
            yield _unstarted(program.unit, manager.boot_state(program.unit), manifest.app)
    timings = manager.timings(manifest)
    for timer in manifest.timers:
        if fault := timings[timer.name].fault:
            kind = "masked" if fault == MASKED else "timer"
            yield finding(kind, f"{timer.unit}.timer", fault, manifest.app)


def _changed(manifest: Manifest, seen: set[Inode]) -> Iterator[Finding]:
    """What was changed of a release: its manifest was written last, so everything else is older.

    Releases share files and virtualenvs. What is in `seen` was named for another release, and what this one names is added.

    Times tell, since a hash of every file would have to be made at each deploy. A change of a folder's time tells about files
    that were added, renamed or removed.
    """
    path = release_path(manifest.root, manifest.release_id)
    link = f"{path}/run"  # written again by the switch of an app that cannot run twice
    if os.path.islink(link) and os.readlink(link) != manifest.run:
        text = f"has a link {link} that leads to {os.readlink(link)}, not to {manifest.run}"
        yield finding("release", manifest.release_id, text, manifest.app)
    for top, since in ((path, f"{path}/{names.MANIFEST}"), (os.path.realpath(f"{path}/venv"), "")):
        try:
            limit = os.stat(since or f"{top}/.complete").st_mtime
        except OSError:
            yield finding("release", manifest.release_id, f"{top} is not complete", manifest.app)
            continue
        newer = {path: inode for path, inode in _newer(top, limit) if inode not in seen}
        seen.update(newer.values())
        changed = list(newer)
        if changed:
            shown = ", ".join(sorted(changed)[:SHOWN])
            more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
            yield finding("release", manifest.release_id, f"was changed on the disk: {shown}{more}", manifest.app)


def _newer(top: str, limit: float) -> Iterator[tuple[str, Inode]]:
    """The files and folders below a folder that were changed after a moment, and not in the future; each with its inode."""
    until, now, left = time.monotonic() + SECONDS, time.time() + 1, ENTRIES
    waiting = [top]
    while waiting and left > 0 and time.monotonic() < until:
        folder = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        left -= len(entries)
        for entry in entries:
            if folder == top and (entry.name in CHANGES or entry.name.startswith(".")):
                continue
            status = entry.stat(follow_symlinks=False)
            if limit + SLACK < status.st_mtime < now:
                yield os.path.relpath(entry.path, top), (status.st_dev, status.st_ino)
            elif entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
