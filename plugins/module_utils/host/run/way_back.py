"""The way back of a switch: clients get the release that they had before it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...contract.errors import HostError
from ...contract.manifest import Manifest, app_name, read_manifest
from ..base import space
from ..base.outcome import TROUBLE, Failed, Failure, parallel
from ..files import fileset
from ..process import managers
from ..process.units import KILL_MARGIN
from ..system import releases
from . import health, pausing, retire, succession, switch_record
from .instances import Wish, bring_up, failure_of, log_ends, read_all, take_down
from .verdicts import NOT_OURS

#: The name under which nginx's previous files are kept while a host switches.
KEPT = "sites"
#: Their name from then on, until the whole run has succeeded: another host may not have switched.
BEFORE = "sites-before"


@dataclass
class Step:
    """One app on its way to a release. `before` is where it goes back to."""

    manifest: Manifest
    manager: managers.Manager
    record: releases.Activation
    before: str | None
    switching: bool
    pause: pausing.Pause | None = None
    """Requests of an app that cannot run twice wait there: its old instance has ended, and the new one runs."""
    marks_bad: bool = False
    """Whether `before` is marked bad for being left."""
    earlier: releases.Marks = field(default_factory=releases.Marks)
    """What was known about the release before the switch."""
    succession: succession.Succession | None = None
    """The change of processes that may not run twice."""
    timed: bool = False
    """Whether the timers are those of this release."""
    is_first: bool = False
    """Whether it is the app's first release, which runs well and is current already."""

    @property
    def stays(self) -> bool:
        """Whether the release was current and verified before the call, so that there is nowhere to go back to."""
        return not self.switching and self.record.verified


def go_back(steps: Sequence[Step], failures: Sequence[Failure], restore: Callable[[], object]) -> list[Failure]:
    """Give clients the release that they had before; drain, stop and remove the new instances, and mark what failed.

    Args:
        steps: The switched apps.
        failures: Those that failed.
        restore: Has nginx read its earlier files. An app's first release serves until then: its site leads to nothing else.

    Returns:
        The failures, each with the release that its app has now.
    """
    notes, back = _switch_all_back(steps, restore)

    def remove(step: Step) -> None:
        notes[step.manifest.app] += _remove(step.manifest)
        cause = next((f for f in failures if f.app == step.manifest.app), None)
        if cause and not space.at_fault(cause.reason, cause.log) and not _is_of_nginx(cause):
            releases.mark_bad(step.manifest.root, step.manifest.release_id, cause.reason)

    parallel(remove, back)
    return [Failure(f.app, f.release_id, f.reason + notes[f.app], f.hint, f.log, f.source) for f in failures]


def take_back(check: bool = False) -> dict[str, Any]:
    """Undo this run's switch on this host, since it failed on another one, or its result did not reach the controller.

    The old instances still run: nothing is retired before all hosts have switched. What is no longer current is left alone.

    Args:
        check: Only say so.

    Returns:
        What `activate` returns. `note` says which release an app has now, and `paths` are nginx's files that went back.

    Raises:
        Failed: with the apps that stay on the new release.
        Refused: nginx's files could not be put back.
    """
    moved = switch_record.read()
    if moved is None:
        return {"changed": False, "apps": [], "paths": []}
    moved = [one for one in moved if releases.current(one.root) == one.release_id]
    manifests, _, failures = read_all([Wish(one.root, one.release_id) for one in moved], check)
    known = {manifest.root: manifest for manifest in manifests}
    steps = [_switched(known[one.root], one) for one in moved if one.root in known]
    paths: list[str] = []

    def restore() -> None:
        for name in (KEPT, BEFORE):
            paths.extend(fileset.restore(name, check).paths)

    notes: dict[str, str] = {}
    if check or not steps:
        restore()
    else:
        notes, back = _switch_all_back(steps, restore)
        for step, note in zip(back, parallel(lambda step: _remove(step.manifest), back), strict=True):
            notes[step.manifest.app] += note
        failures += [
            failure_of(step.manifest, f"the switch could not be undone{notes[step.manifest.app]}")
            for step in steps
            if step not in back
        ]
    if failures:
        raise Failed(failures)
    if not check:
        switch_record.forget()
    apps = [
        {
            "app": app_name(one.root),
            "release": one.release_id,
            "previous": one.before,
            "changed": True,
            "note": notes.get(app_name(one.root), ""),
        }
        for one in moved
    ]
    return {"changed": bool(apps or paths), "apps": apps, "paths": paths}


def _switched(manifest: Manifest, moved: switch_record.Moved) -> Step:
    """The step of a switch that has succeeded, as far as the way back needs it."""
    record = releases.Activation(manifest.root, manifest.release_id)
    step = Step(manifest, managers.of(manifest), record, moved.before, switching=True, timed=True)
    old = releases.manifest_or_none(manifest.root, moved.before) if moved.before else None
    step.succession = succession.between(old, manifest)
    step.marks_bad, step.earlier = moved.marks_bad, moved.earlier
    return step


def _switch_all_back(steps: Sequence[Step], restore: Callable[[], object]) -> tuple[dict[str, str], list[Step]]:
    """Lead clients back; returns a note for each app, and the steps whose instance gets no request any more."""
    notes = {step.manifest.app: "" for step in steps}
    back: list[Step] = []

    def one(step: Step) -> None:
        try:
            notes[step.manifest.app] += _switch_back(step)
            back.append(step)
        except TROUBLE as error:
            notes[step.manifest.app] += f" (and going back failed: {error})"

    moving = [step for step in steps if not step.stays]
    for step in moving:
        if step.before is not None:
            one(step)
    try:
        restore()
    except TROUBLE as error:
        for app in notes:
            notes[app] += f" (nginx's earlier files could not be put back: {error})"
    for step in moving:
        if step.before is None:
            one(step)
    return notes, back


def _remove(manifest: Manifest) -> str:
    """Let an instance that was switched back finish like a retired one, and remove it; says what did not work."""
    if manifest.serves:
        home = os.path.dirname(manifest.run)
        retire.stop(managers.of(manifest), manifest.root, home, manifest.release_id, manifest.unit)
    return take_down(manifest, manifest.web.stop + KILL_MARGIN)


def _is_of_nginx(cause: Failure) -> bool:
    """Whether nginx did not pass the request to the app: the release is good as far as anybody knows."""
    return cause.reason.startswith(f"{health.UNHEARD} http") or NOT_OURS in cause.reason


def _switch_back(step: Step) -> str:
    root, before = step.manifest.root, step.before
    note = " (there was no release before it: the app is off)"
    if before is not None:
        note = f" (went back to {before})"
        try:
            old = read_manifest(root, before)
            manager = managers.of(old)
            if step.succession:
                note += step.succession.take_back()
            if step.pause:
                note += pausing.resume(step.pause, old, step.manifest)
            elif not step.manifest.overlap and step.manifest.serves and not manager.process(old.unit).alive:
                pause = pausing.hand_over(step.manifest, old)
                note += f" (and that failed: {pause.reason})" if isinstance(pause, Failure) else ""
                releases.make_current(root, before)
                manager.enable([old])
                if isinstance(pause, pausing.Pause):
                    pause.end(old)
            elif not manager.process(old.unit).alive:
                begins = log_ends([old])
                manager.install([old])
                manager.enable([old])
                bad = bring_up(old, manager, begins)
                failed = f", and failed: {bad.reason}" if isinstance(bad, Failure) else ""
                note += f" (which had to be started{failed})"
        except (FileNotFoundError, HostError) as error:
            note += f" (which cannot be looked after: {error})"
    if step.timed:
        earlier = releases.manifest_or_none(root, before) if before else None
        managers.settle_timers(step.manifest.supervisor, step.manifest.app, earlier)
    releases.make_current(root, before)
    step.earlier.put_back(root, step.manifest.release_id)
    if before is not None and step.marks_bad:
        releases.mark_good(root, before)
    return note
