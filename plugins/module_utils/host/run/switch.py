"""Activating: the one switch, verified by a request as a client sends it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from ...contract import names
from ...contract.errors import HostError
from ...contract.manifest import Manifest, app_name, read_manifest
from ..base import atomic, space
from ..base.outcome import TROUBLE, Failed, Failure, parallel
from ..files import assets, fileset
from ..process import managers
from ..process.units import KILL_MARGIN
from ..system import lock, releases
from . import health, pausing, soaking, succession, switch_record, visiting
from .instances import (
    Wish,
    bring_up,
    by_manager,
    failure,
    failure_of,
    log_ends,
    read_all,
    replacing,
    runs_well,
    take_down,
)
from .logs import last_words
from .switch_record import BEFORE, KEPT, Moved
from .verdicts import Fault
from .way_back import Step, go_back

#: Seconds that nginx is given after the switch to answer as the app does; a reload of its configuration takes less.
PATIENCE = 5.0


def switch(
    wishes: Sequence[Wish],
    sites: fileset.Wanted | None = None,
    check: bool = False,
    leaving: str = "",
    run: str = "",
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Put nginx's files in place and activate the releases; if the releases fail, the files go back, too.

    They also go back if an app that keeps its release no longer answers with them. The previous files are kept and the switch is recorded, since another host may fail (`way_back.take_back`). `run` is the
    run, by its token.

    Returns what `activate` returns, with the `paths` of nginx's files that changed; and their diffs. `misled` has the apps that stay
    as they are and that clients do not reach. Nothing goes back for them, since this run has not changed their way.

    Raises:
        Failed, HostError: clients get the same release as before.
    """
    moved = [] if check else _begin(wishes, leaving, run)
    first = _lead_in(wishes) if sites and not check else []

    def restore() -> None:
        fileset.restore(KEPT, check)

    staying: list[Manifest] = []

    def changing() -> None:
        staying.extend(_answering(wishes))
        if not moved:
            switch_record.write([], run)  # only nginx's files change

    try:
        placed = fileset.place(sites, KEPT, check, changing=changing) if sites else fileset.Result()
        try:
            concerned = [manifest for manifest in staying if concerns(manifest.app, placed.paths)]
            if failures := [f for f in parallel(_verify_site, concerned) if f]:
                raise Failed(failures)
            result = activate(wishes, check, leaving, first=[manifest.root for manifest in first], restore=restore)
            fileset.keep_as(KEPT, BEFORE, check)
        except BaseException:
            with contextlib.suppress(HostError):  # what failed first is the reason to tell
                restore()
            raise
    except BaseException:
        for manifest in first:
            if releases.current(manifest.root) == manifest.release_id:
                releases.make_current(manifest.root, None)
                releases.Activation(manifest.root, manifest.release_id).withdraw()
        switch_record.forget()  # all that could go back has gone back
        raise
    changed = result["changed"] or placed.changed
    moved_apps = {one["app"] for one in result["apps"] if one["changed"]}
    misled = [] if check else _displaced(wishes, moved_apps)
    return {
        **result,
        "changed": changed,
        "paths": placed.paths,
        "drifted": placed.drifted,
        "misled": [one.as_result() for one in misled],
    }, placed.diffs


def _displaced(wishes: Sequence[Wish], moved: Collection[str]) -> list[Failure]:
    """The apps that have kept their release and that clients do not reach, since another site has taken their place."""
    staying = [one for one in read_all(wishes, check=False)[0] if one.serves and one.app not in moved]
    faults = parallel(visiting.displaced, staying)
    return [
        failure_of(manifest, fault.reason, fault.hint)
        for manifest, fault in zip(staying, faults, strict=True)
        if fault is not None
    ]


def _answering(wishes: Sequence[Wish]) -> list[Manifest]:
    """The releases that stay current and answer through nginx. An app that has a problem already can still get other files."""
    staying = [
        manifest
        for manifest in read_all(wishes, check=False)[0]
        if manifest.serves and releases.current(manifest.root) == manifest.release_id
    ]
    answering = parallel(visiting.answers_now, staying)
    return [manifest for manifest, answers in zip(staying, answering, strict=True) if answers]


def concerns(app: str, paths: Sequence[str]) -> bool:
    """Whether one of nginx's files that changed may keep clients from an app: its own ones, and those that all apps share."""
    return any(_owner(path) in ("", app) for path in paths)


def _owner(path: str) -> str:
    """The app whose own a file of nginx's is; empty for a shared one."""
    folder, _, name = path.rpartition("/")
    if folder == names.NGINX_APPS:
        return name.partition(".")[0]
    return folder.removeprefix(f"{names.NGINX_ERRORS}/") if folder.startswith(f"{names.NGINX_ERRORS}/") else ""


def _verify_site(manifest: Manifest) -> Failure | None:
    """Whether clients still reach a release that stays, with nginx's new files."""
    fault = visiting.misled(manifest, PATIENCE)
    if fault is None:
        return None
    hint = (
        "it answered with nginx's earlier files, which are back. See what this run changes there (nginx_extra, say). To close the app "
        "on purpose, see docs/front-door.md"
    )
    return failure_of(manifest, f"with nginx's new files, {fault.reason}", hint)


def _begin(wishes: Sequence[Wish], leaving: str, run: str) -> list[Moved]:
    """Record where the switch begins, and forget how to undo the one of an earlier run; returns the apps that it moves."""
    fileset.forget(BEFORE, check=False)
    switch_record.forget()
    manifests = read_all(wishes, check=False)[0]
    moved = [one for one in (switch_record.move(manifest, leaving) for manifest in manifests) if one]
    if moved:
        switch_record.write(moved, run)
    # An earlier run died in its switch, and this one leaves that run's release: nginx's files of then belong to it.
    if any(one.before and not releases.Activation(one.root, one.before).verified for one in moved):
        fileset.forget(KEPT, check=False)
    return moved


def _lead_in(wishes: Sequence[Wish]) -> list[Manifest]:
    """Make the first release of each app current, so that nginx never has a site that leads nowhere.

    The site may have been another app's, and its clients would get a 502. The release is one whose switch is not finished yet.
    """
    first = [
        manifest
        for manifest in read_all(wishes, check=False)[0]
        if releases.current(manifest.root) is None and runs_well(manifest)
    ]
    for manifest in first:
        assets.publish(manifest.root, manifest.path, manifest.static)
        releases.Activation(manifest.root, manifest.release_id).write(None, verified=False, run=lock.token())
        releases.make_current(manifest.root, manifest.release_id)
    return first


def activate(
    wishes: Sequence[Wish],
    check: bool = False,
    leaving: str = "",
    patience: float = PATIENCE,
    first: Collection[str] = (),
    restore: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Make each wished release current and verify it through nginx; if one fails, all of them go back.

    With `leaving`, the release that was current is marked bad for that reason: a rollback leaves it permanently.
    The apps with a root in `first` had no release before `_lead_in`, which has found that theirs runs well. `restore` has nginx
    read its earlier files; it is called where apps go back.
    Nothing happens to an app whose wished release is current, verified, enabled and running.

    Returns:
        `changed`, and per app the release that was current before (`previous`, None for a first deploy).

    Raises:
        Failed: with every app that failed; clients get the same release as before.
    """
    manifests, absent, failures = read_all(wishes, check)
    if failures:
        raise Failed(failures)
    if not check:
        for manifest in manifests:
            pausing.restore(manifest)
    steps = [step for manifest in manifests if (step := _plan(manifest, manifest.root in first, leaving))]
    result = _result(wishes, steps, absent)
    if check or not steps:
        return result

    failures = [f for f in parallel(_ready, steps) if f]
    if failures:
        _resume(steps)
        raise Failed(failures)
    try:
        failures = _carry_out(steps, leaving, patience)
    except TROUBLE as error:
        go_back(steps, [], restore)
        raise Failed([failure(step.manifest, error) for step in steps]) from error
    if failures:
        raise Failed(go_back(steps, failures, restore))
    return result


def _result(wishes: Sequence[Wish], steps: Sequence[Step], absent: Sequence[Wish]) -> dict[str, Any]:
    """What `activate` answers when all of them succeed."""
    moving = {step.manifest.app: step for step in steps}

    def one(wish: Wish) -> dict[str, Any]:
        app = app_name(wish.root)
        previous = moving[app].before if app in moving else _previous(wish.root, wish.release_id)
        return {
            "app": app,
            "release": wish.release_id,
            "previous": previous,
            "changed": app in moving or wish in absent,
        }

    return {"changed": bool(steps or absent), "apps": [one(wish) for wish in wishes]}


def _carry_out(steps: Sequence[Step], leaving: str, patience: float) -> list[Failure]:
    """Switch, and verify through nginx; returns the failures."""
    run = lock.token()
    # Enabled before the switch: a power cut in between leaves both releases enabled, never none.
    for manager, group in by_manager(step.manifest for step in steps):
        manager.enable(group)
    switching = [step for step in steps if step.switching]
    for step in switching:
        assets.publish(step.manifest.root, step.manifest.path, step.manifest.static)
        step.record.write(step.before, verified=False, run=run)
        if step.before and step.marks_bad:
            # Before the switch: an interrupted rollback must not look like a deploy of the old release.
            releases.mark_bad(step.manifest.root, step.before, leaving)
    for step in switching:
        releases.make_current(step.manifest.root, step.manifest.release_id)
    parallel(_go_on, [step for step in steps if step.pause])
    failures = [f for f in parallel(lambda step: _verify(step, patience), steps) if f]
    if not failures:
        failures = [f for f in parallel(_succeed, steps) if f]
    if not failures:
        failures = [f for f in map(_settle, steps) if f]
    if not failures:
        for step in steps:
            step.record.write(step.before, verified=True, run=run)
            releases.mark_good(step.manifest.root, step.manifest.release_id)
    return failures


def _previous(root: str, release_id: str) -> str | None:
    if releases.current(root) != release_id:
        return releases.current(root)
    return releases.Activation(root, release_id).previous


def _plan(manifest: Manifest, first: bool, leaving: str) -> Step | None:
    """Plan the steps for an app; None when it is as wished."""
    manager = managers.of(manifest)
    record = releases.Activation(manifest.root, manifest.release_id)
    if first:
        return Step(manifest, manager, record, None, switching=True, is_first=True)
    moved = switch_record.move(manifest, leaving)
    if moved is None:
        timed = not managers.settle_timers(manifest.supervisor, manifest.app, manifest, check=True)
        if timed and all(manager.enabled(one.unit) and manager.process(one.unit).alive for one in manifest.programs):
            return None
        return Step(manifest, manager, record, record.previous, switching=False)
    switching = releases.current(manifest.root) != manifest.release_id
    return Step(manifest, manager, record, moved.before, switching, marks_bad=moved.marks_bad, earlier=moved.earlier)


def _ready(step: Step) -> Failure | None:
    """Ensure that the instance answers; revive it only where clients already miss it.

    An app that cannot run twice starts here, in a pause: its old instance ends first.
    """
    manifest = step.manifest
    if step.is_first:
        return None
    try:
        old = replacing(manifest)
        if old:
            handed = pausing.hand_over(old, manifest)
            if isinstance(handed, Failure):
                return _refuse(manifest, handed)
            step.pause = handed
            return None
        if runs_well(manifest):
            return None
        if step.switching and (ailing := soaking.ailing(step.manager, manifest)):
            return failure_of(manifest, f"not activated: {ailing}")
        if step.switching:
            # A socket that was passed in takes requests while no process is there to answer.
            process = step.manager.process(manifest.unit)
            fault = health.answers(manifest) if process.alive else Fault(f"it ended ({process.detail})", "")
            reason = (
                fault.reason
                if fault
                else "a process of it has just been replaced; see its log for why the one before ended"
            )
            return failure_of(manifest, f"not activated: the instance is not healthy, {reason}")
        begins = log_ends([manifest])
        step.manager.install([manifest])
    except TROUBLE as error:
        return failure(manifest, error)
    outcome = bring_up(manifest, step.manager, begins)
    return outcome if isinstance(outcome, Failure) else None


def _succeed(step: Step) -> Failure | None:
    """End the old one of each process that may not run twice, and start the new one."""
    old = releases.manifest_or_none(step.manifest.root, step.before) if step.switching and step.before else None
    step.succession = succession.between(old, step.manifest)
    if step.succession is None:
        return None
    try:
        return step.succession.carry_out()
    except TROUBLE as error:
        return failure(step.manifest, error)


def _settle(step: Step) -> Failure | None:
    """Have the timers run this release."""
    manifest = step.manifest
    try:
        step.timed = True
        managers.settle_timers(manifest.supervisor, manifest.app, manifest)
    except TROUBLE as error:
        return failure(manifest, error)
    return None


def _refuse(manifest: Manifest, failed: Failure) -> Failure:
    """Refuse an instance that was started in a pause and failed; no request was sent to it."""
    note = take_down(manifest, manifest.web.stop + KILL_MARGIN)
    if not space.at_fault(failed.reason, failed.log):
        releases.mark_bad(manifest.root, manifest.release_id, failed.reason)
    return replace(failed, reason=failed.reason + note)


def _go_on(step: Step) -> None:
    """End a pause: the new instance is current, and the old one is not to start at boot beside it."""
    if step.pause and step.before:
        old = read_manifest(step.manifest.root, step.before)
        step.pause.end(step.manifest)
        step.pause = None
        managers.of(old).disable([old.unit])


def _resume(steps: Sequence[Step]) -> None:
    """Go back to the old instances of apps that cannot run twice: the call fails for another app."""
    for step in steps:
        if step.pause and step.before:
            pausing.resume(step.pause, read_manifest(step.manifest.root, step.before), step.manifest)


def _verify(step: Step, patience: float) -> Failure | None:
    if not step.manifest.serves:
        return None
    log_start = atomic.size(step.manifest.log)
    fault = visiting.visit(step.manifest, patience)
    if fault is None:
        return None
    log = last_words(step.manifest.web, log_start)
    return failure_of(step.manifest, fault.reason, fault.hint, log, step.manifest.log)
