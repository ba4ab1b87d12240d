"""Retiring: the old instances are drained and stopped, and what no release needs any more is removed."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ...contract import names
from ...contract.errors import HostError
from ...contract.manifest import Manifest, Timeouts, app_name, read_manifest, release_path
from ...contract.names import RELEASE, RELEASE_LOG, THREADED
from ..base import atomic, processes, trees
from ..base.outcome import TROUBLE, Failed, Failure, parallel
from ..build import interpreters
from ..files import assets
from ..process import managers, timers
from ..process.units import KILL_MARGIN, remove_run
from ..system import releases
from . import backlog

#: Seconds allowed to an instance whose release, and with it its own figures, is gone: the defaults.
LOST = Timeouts(request=30.0, graceful=35.0, drain=30.0, linger=30.0, boot=60.0)
LOST_STOP = 45.0
KEPT_LOGS = 3
"""Removed bad releases whose logs stay: their cause is still looked for. logrotate does not remove the log of what is gone."""


def retire(roots: Mapping[str, str | None], check: bool = False) -> dict[str, Any]:
    """Stop every instance except the current ones, and prune releases, virtualenvs, logs and leftovers of each app.

    Then remove the Python versions that no app on the host uses.

    An app of which nothing is current is left alone: its instances may be just about to become it.

    Args:
        roots: each app's root, with the release that must be current for anything to be done (None: any).
        check: only say what would be done.

    Raises:
        Failed: with every app that failed; the others are done.
    """

    def one(item: tuple[str, str | None]) -> dict[str, Any] | Failure:
        root, expected = item
        try:
            return _retire(root, expected, check)
        except TROUBLE as error:
            return Failure(os.path.basename(root), expected or "", str(error))

    results = parallel(one, list(roots.items()))
    failures = [item for item in results if isinstance(item, Failure)]
    if failures:
        raise Failed(failures)
    apps = [item for item in results if isinstance(item, dict)]
    unused = interpreters.prune(check)
    changed = bool(unused) or any(app["retired"] or app["removed"] for app in apps)
    return {"changed": changed, "apps": apps, "interpreters": unused}


def _retire(root: str, expected: str | None, check: bool) -> dict[str, Any]:
    app = app_name(root)
    result: dict[str, Any] = {"app": app, "retired": [], "undrained": [], "ending": [], "removed": [], "remains": []}
    current = releases.current(root)
    if expected is not None and current != expected:
        if check:  # the switch was only said to happen, too
            return result
        raise HostError(f"nothing is retired: {root}/current is {current}, not {expected}")
    if current is None:
        return result
    try:
        manifest = read_manifest(root, current)
    except FileNotFoundError as error:
        raise HostError(f"{root}/current leads to {current}, which is not there: activate another release") from error

    home, left = os.path.dirname(manifest.run), []
    for manager in managers.all_of(manifest.supervisor):
        old = {release_id: units for release_id, units in manager.instances(root).items() if release_id != current}
        if old and not check:
            undrained, ending = end(manager, root, home, old)
            result["undrained"] += undrained
            result["ending"] += sorted(ending)
            left += [(manager, unit) for units in ending.values() for unit in units]
        result["retired"] += sorted(old)
    runs = list(timers.running(app))
    result["ending"] = sorted({*result["ending"], *(run["release"] for run in runs if run["release"] != current)})
    if result["retired"] and not check:
        _end_orphans(manifest, left, [run["pid"] for run in runs if run["pid"]])
    paths = unneeded(manifest, set(result["ending"]))
    for path in paths if check else _with_marks_kept(root, paths):
        remains = [] if check else trees.remove(path).remains
        result["remains"] += remains
        if not remains:
            result["removed"].append(path)
    return result


def _with_marks_kept(root: str, paths: Sequence[str]) -> list[str]:
    """Record the marks of the bad releases that go; returns the paths that may go.

    Where a full disk prevents that, these releases stay until the next run, and all else makes room.
    """
    bad = {path: name for name in releases.bad(root) if (path := release_path(root, name)) in paths}
    try:
        releases.keep_marks(root, bad.values())
    except OSError:
        return [path for path in paths if path not in bad]
    return list(paths)


def _end_orphans(manifest: Manifest, ending: Sequence[tuple[managers.Manager, str]], runs: Sequence[int]) -> None:
    """End what earlier instances left running where no control group holds it.

    Processes that finish a task stay, and so do the runs of timers.
    """
    manager = managers.of(manifest)
    if manager.holds_all:
        return

    def mains() -> list[int]:
        current = [manager.process(program.unit).pid for program in manifest.programs]
        return [*current, *runs, *(other.process(unit).pid for other, unit in ending)] if all(current) else []

    processes.end_orphans(manifest.user, mains)


def end(
    manager: managers.Manager, root: str, home: str, units: Mapping[str, Sequence[str]], wait: bool = False
) -> tuple[list[str], dict[str, list[str]]]:
    """End instances (release id to units) permanently.

    A host that loses its power meanwhile does not start them again.

    Args:
        manager: what runs them.
        root: the app's root.
        home: where the app's runtime directories are.
        units: what to end.
        wait: whether to wait for processes that finish a task.

    Returns:
        Those that left a request waiting; and the units that have not ended yet, by release.
    """
    web = {release_id: names.unit(os.path.basename(root), release_id) for release_id in units}
    web = {release_id: unit for release_id, unit in web.items() if unit in units[release_id]}
    further = [unit for release_id, several in units.items() for unit in several if unit != web.get(release_id)]

    def stopped() -> list[bool]:
        return parallel(lambda item: stop(manager, root, home, *item), list(web.items()))

    def disabled() -> list[bool]:
        if web:
            manager.disable(list(web.values()))
        return []

    ending: list[str] = []

    def finished() -> list[bool]:
        if wait:
            manager.disable(further)
            deadlines = {
                program.unit: program.stop
                for release_id in units
                for program in getattr(releases.manifest_or_none(root, release_id), "programs", ())
            }
            parallel(lambda unit: manager.stop(unit, deadlines.get(unit, LOST_STOP) + KILL_MARGIN), further)
            manager.uninstall(further)
        else:
            from . import soaking  # with it comes all that asks an app; few releases have such processes

            ending.extend(soaking.end(manager, further))
        return []

    works = [stopped, disabled, *([finished] if further else [])]
    drained, *_ = parallel(lambda work: work(), works)  # each takes a while
    manager.uninstall(list(web.values()))
    undrained = [release_id for release_id, good in zip(web, drained, strict=True) if not good]
    by_release = {release_id: [unit for unit in several if unit in ending] for release_id, several in units.items()}
    return undrained, {release_id: several for release_id, several in by_release.items() if several}


def stop(manager: managers.Manager, root: str, home: str, release_id: str, unit: str) -> bool:
    """Let an instance that gets no new request finish, and stop it; say whether no request was left waiting.

    First the requests that wait to be accepted, then those in flight. A worker with threads finishes the latter by itself
    when it has to stop. Other workers cut websockets and streams at their end, so these may linger for a while first.
    `home` is where the app's runtime directories are, for a release whose manifest is gone.
    """
    manifest = releases.manifest_or_none(root, release_id)
    run = manifest.run if manifest else os.path.join(home, release_id)
    times = manifest.timeouts if manifest else LOST
    drained = True
    if manager.process(unit).alive:
        socket = manifest.socket if manifest else os.path.join(run, "app.sock")
        drained = backlog.drained(socket, times.drain)
        finishes = manifest is not None and manifest.worker_class in THREADED and times.linger <= times.graceful
        if drained and not finishes:
            drained = backlog.idle(socket, times.linger)
    manager.stop(unit, (manifest.web.stop if manifest else LOST_STOP) + KILL_MARGIN)
    remove_run(run)
    return drained


def unneeded(manifest: Manifest, ending: Collection[str] = ()) -> list[str]:
    """Paths that nothing needs once this release is the only one running, in the order in which to remove them.

    Of the releases that are `ending`, processes still finish a task.

    Links are neither followed nor removed, except those inside what is removed as a whole.
    """
    root, current = manifest.root, manifest.release_id
    folder = os.path.join(root, "releases")
    folders = atomic.directories(folder)
    known = [name for name in folders if RELEASE.fullmatch(name)]
    # A folder without a manifest is a build that was interrupted.
    finished = [name for name in known if os.path.exists(os.path.join(folder, name, "manifest.json"))]
    kept = keep(
        newest_first(root, finished),
        {name for name in finished if releases.is_bad(root, name)},
        {name for name in finished if not releases.Activation(root, name).when},
        {current, releases.Activation(root, current).previous, *ending},
        manifest.keep_releases,
    )
    gone = [name for name in known if name not in kept]
    paths = [os.path.join(folder, name) for name in gone]
    paths += [os.path.join(folder, name) for name in folders if name.startswith(".staging-")]

    needed = {os.path.basename(os.path.realpath(os.path.join(folder, name, "venv"))) for name in kept}
    venvs = os.path.join(root, "venvs")
    # Hidden ones, too: they are of builds that were killed.
    paths += [os.path.join(venvs, name) for name in atomic.directories(venvs) if name not in needed]

    run = os.path.dirname(manifest.run)
    paths += [os.path.join(run, n) for n in atomic.directories(run) if RELEASE.fullmatch(n) and n != current]
    still = [one for one in (releases.manifest_or_none(root, name) for name in kept) if one]
    paths += assets.unneeded(root, [(one.path, one.static) for one in still])
    removed_bad = [name for name in releases.bad(root) if name not in kept]
    return paths + _logs(os.path.dirname(manifest.log), {*gone, *removed_bad} - {*removed_bad[:KEPT_LOGS]})


def newest_first(root: str, names: Sequence[str]) -> list[str]:
    """Releases by the time of their last activation, those never activated by that of their making."""

    def age(name: str) -> float:
        folder = os.path.join(root, "releases", name)
        record = os.path.join(folder, "activated.json")
        return os.stat(record if os.path.exists(record) else os.path.join(folder, "manifest.json")).st_mtime

    return sorted(names, key=lambda name: (age(name), name), reverse=True)


def keep(newest: Sequence[str], bad: set[str], new: set[str], always: set[str | None], count: int) -> set[str]:
    """Which releases stay.

    Args:
        newest: all, the newest first.
        bad: the bad ones. The newest stays, to look at it. Of the others the marks and some logs stay.
        new: those that were never current, or only for a switch that was undone. The newest stays, for the next try.
        always: those that stay in any case.
        count: how many good ones stay that were current: a rollback can go back to them.
    """
    good = [name for name in newest if name not in bad | new]
    fresh = [name for name in newest if name in new - bad]
    ailing = [name for name in newest if name in bad]
    return {*good[:count], *fresh[:1], *ailing[:1], *(name for name in newest if name in always)}


def _logs(folder: str, gone: Collection[str]) -> list[str]:
    """The logs, rotated ones too, of releases that go: those of `web`, and those of their processes."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
    except FileNotFoundError:
        return []
    return [os.path.join(folder, name) for name in names if (log := RELEASE_LOG.match(name)) and log[1] in gone]
