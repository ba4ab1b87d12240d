"""The way back of a switch: clients get the release that they had before it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...contract.errors import HostError
from ...contract.manifest import WEB, Manifest, app_name, read_manifest
from ..base import space
from ..base.outcome import TROUBLE, Failed, Failure, parallel
from ..files import fileset
from ..process import managers
from ..process.units import KILL_MARGIN
from ..system import releases
from . import pausing, succession, switch_record, visiting
from .instances import NO_CLIENTS, Wish, bring_up, failure_of, log_ends, read_all, take_down
from .switch_record import BEFORE, KEPT
from .verdicts import BY_NGINX, NOT_OURS


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
    notes, back, _trouble = _switch_all_back(steps, restore)

    def remove(step: Step) -> None:
        notes[step.manifest.app] += _remove(step.manifest)
        cause = next((f for f in failures if f.app == step.manifest.app), None)
        if cause and not space.at_fault(cause.reason, cause.log) and not _is_of_nginx(cause):
            releases.mark_bad(step.manifest.root, step.manifest.release_id, cause.reason)

    parallel(remove, back)
    return [Failure(f.app, f.release_id, f.reason + notes[f.app], f.hint, f.log, f.source) for f in failures]


def take_back(token: str, check: bool = False) -> dict[str, Any]:
    """Undo a run's switch on this host, since it failed on another one, or its result did not reach the controller.

    The old instances still run: nothing is retired before all hosts have switched. What another run has switched since is left
    alone. An app stays on the new release if the earlier one does not start again.

    Args:
        token: The run's.
        check: Only say so.

    Returns:
        What `activate` returns. `note` says which release an app has now, and `paths` are nginx's files that went back.

    Raises:
        Failed: with the apps that stay on the new release, and those whose nginx does not use its earlier files.
        Refused: nginx does not use its earlier files, and no app has moved.
    """
    moved = switch_record.read(token)
    if moved is None:
        return {"changed": False, "apps": [], "paths": []}
    begun = [one for one in moved if releases.current(one.root) == one.before]
    moved = [one for one in moved if releases.current(one.root) == one.release_id and one.release_id != one.before]
    manifests, _, failures = read_all([Wish(one.root, one.release_id) for one in moved], check)
    known = {manifest.root: manifest for manifest in manifests}
    steps = [_switched(known[one.root], one) for one in moved if one.root in known]
    paths: list[str] = []

    def restore() -> None:
        for name in (KEPT, BEFORE):
            answer = fileset.restore(name, check)
            paths.extend([*answer.recovered, *answer.paths])

    notes: dict[str, str] = {}
    if check or not steps:
        restore()
    else:
        notes, back, trouble = _switch_all_back(steps, restore, sound=True)
        for step, note in zip(back, parallel(lambda step: _remove(step.manifest), back), strict=True):
            notes[step.manifest.app] += note
        failures += [
            failure_of(step.manifest, f"the switch could not be undone{notes[step.manifest.app]}")
            for step in steps
            if trouble or step not in back
        ]
    if not check:
        for one, revived in zip(begun, parallel(_revive, begun), strict=True):
            if isinstance(revived, Failure):
                failures.append(revived)
            elif revived:
                moved.append(one)
                notes[app_name(one.root)] = revived
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


def _revive(begun: switch_record.Moved) -> str | Failure:
    """Undo a step that was killed before it moved the app; returns a note where the old instance had ended already."""
    root = begun.root
    begun.earlier.put_back(root, begun.release_id)
    if begun.before is None:
        return ""
    if begun.marks_bad:
        releases.mark_good(root, begun.before)
    old, new = (releases.manifest_or_none(root, name) for name in (begun.before, begun.release_id))
    if old is None or not old.serves:
        return ""
    try:
        waiting = pausing.restore(old)
        if managers.of(old).process(old.unit).alive:
            return f" ({begun.before} gets requests again)" if waiting else ""
        if new and not new.overlap:
            take_down(new, new.web.stop + KILL_MARGIN)
        _start_again(old)
    except TROUBLE as error:
        return Failure(old.app, begun.before, f"had ended for the switch, and does not start again: {error}")
    return f" ({begun.before} had ended for it, and was started again)"


def _runs(manifest: Manifest) -> bool:
    """Whether all of a release runs but its processes that may not run twice."""
    manager = managers.of(manifest)
    programs = [program for program in manifest.programs if program.overlap or program.name == WEB]
    return all(manager.process(program.unit).alive for program in programs)


def _start_again(manifest: Manifest) -> None:
    """Start an instance that was current, and let it prove itself.

    Raises:
        HostError: it does not run well.
    """
    manager = managers.of(manifest)
    begins = log_ends([manifest])
    manager.install([manifest])
    manager.enable([manifest])
    outcome = bring_up(manifest, manager, begins)
    if isinstance(outcome, Failure):
        raise HostError(outcome.reason)


def _switched(manifest: Manifest, moved: switch_record.Moved) -> Step:
    """The step of a switch that has succeeded, as far as the way back needs it."""
    record = releases.Activation(manifest.root, manifest.release_id)
    step = Step(manifest, managers.of(manifest), record, moved.before, switching=True, timed=True)
    old = releases.manifest_or_none(manifest.root, moved.before) if moved.before else None
    step.succession = succession.between(old, manifest)
    step.marks_bad, step.earlier = moved.marks_bad, moved.earlier
    return step


def _switch_all_back(
    steps: Sequence[Step], restore: Callable[[], object], sound: bool = False
) -> tuple[dict[str, str], list[Step], str]:
    """Lead clients back.

    Args:
        steps: The apps.
        restore: Has nginx read its earlier files.
        sound: Whether the new releases are good, so that one stays where the earlier one does not start again.

    Returns:
        A note for each app, the steps whose instance gets no request any more, and why nginx does not use its earlier files.
    """
    notes = {step.manifest.app: "" for step in steps}
    moving = [step for step in steps if not step.stays]

    def one(step: Step) -> bool:
        try:
            notes[step.manifest.app] += _switch_back(step, sound)
        except TROUBLE as error:
            notes[step.manifest.app] += f" (and going back failed: {error})"
            return False
        return True

    def all_of(several: Sequence[Step]) -> list[Step]:
        return [step for step, success in zip(several, parallel(one, several), strict=True) if success]

    back, trouble = all_of([step for step in moving if step.before is not None]), ""
    try:
        restore()
    except TROUBLE as error:
        trouble = f" (nginx does not use its earlier files: {error})"
        for app in notes:
            notes[app] += trouble
    if not trouble:  # clients may still be led to them
        back += all_of([step for step in moving if step.before is None])
    return notes, back, trouble


def _remove(manifest: Manifest) -> str:
    """Let an instance that was switched back finish like a retired one, and remove it; says what did not work."""
    from . import retire  # few runs go back, and it takes 6 ms

    if manifest.serves:
        home = os.path.dirname(manifest.run)
        retire.stop(managers.of(manifest), manifest.root, home, manifest.release_id, manifest.unit)
    return take_down(manifest, manifest.web.stop + KILL_MARGIN)


def _is_of_nginx(cause: Failure) -> bool:
    """Whether nginx did not pass the request to the app: the release is good as far as anybody knows."""
    return cause.reason.startswith(f"{visiting.UNHEARD} http") or NOT_OURS in cause.reason or BY_NGINX in cause.reason


def _switch_back(step: Step, sound: bool) -> str:
    """Lead the clients of an app back to its earlier release; returns what was done, in words.

    Raises:
        HostError, OSError: it stays on the new one, which is `sound`.
    """
    root, before = step.manifest.root, step.before
    note = " (there was no release before it: the app is off)"
    if before is not None:
        note = f" (went back to {before})"
        try:
            note += _bring_back(step, before, sound)
        except (FileNotFoundError, HostError) as error:
            if sound:
                raise
            note += f" (which cannot be looked after: {error})"
    if step.timed:
        earlier = releases.manifest_or_none(root, before) if before else None
        managers.settle_timers(step.manifest.supervisor, step.manifest.app, earlier)
    releases.make_current(root, before)
    step.earlier.put_back(root, step.manifest.release_id)
    if before is not None and step.marks_bad:
        releases.mark_good(root, before)
    return note


def _bring_back(step: Step, before: str, sound: bool) -> str:
    """Have the earlier release's instance and processes run; returns what had to be done for it."""
    root, old, note = step.manifest.root, read_manifest(step.manifest.root, before), ""
    manager = managers.of(old)
    if step.pause:
        note += pausing.resume(step.pause, old, step.manifest)
    elif _runs(old):
        pass
    elif not step.manifest.overlap and step.manifest.serves:
        pause = pausing.hand_over(step.manifest, old)
        if isinstance(pause, Failure):
            if sound:
                raise HostError(pause.reason)
            note += f" (and that failed: {pause.reason})"
        releases.make_current(root, before)
        manager.enable([old])
        if isinstance(pause, pausing.Pause):
            pause.end(old)
    else:
        try:
            _start_again(old)
            note += " (which had to be started)"
        except HostError as error:
            if sound:
                take_down(old, NO_CLIENTS)
                raise
            note += f" (which had to be started, and failed: {error})"
    if step.succession:
        note += step.succession.take_back()
    return note
