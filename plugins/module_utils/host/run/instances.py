"""Instances: starting a release's processes and letting them through the health gate."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...contract.errors import HostError
from ...contract.manifest import WEB, Manifest, Program, app_name, read_manifest
from ..base import atomic, space
from ..base.outcome import TROUBLE, Failed, Failure, parallel
from ..process import managers
from ..process.masking import Masking
from ..process.units import remove_run
from ..system import releases
from . import health, logs, soaking, verdicts

#: Seconds to stop an instance that never had a client.
NO_CLIENTS = 2.0
#: Instances that boot at a time, so that each gets a share of the processor within its boot timeout; those that answer
#: already only wait.
BOOTING = threading.Semaphore(8)


@dataclass(frozen=True)
class Wish:
    """One app of a call: its root, and the release that it is to get."""

    root: str
    release_id: str


def by_manager(manifests: Iterable[Manifest]) -> list[tuple[managers.Manager, list[Manifest]]]:
    """The manifests grouped by the manager that they share."""
    groups: dict[tuple[str, object], list[Manifest]] = {}
    for manifest in manifests:
        groups.setdefault((manifest.manager, manifest.supervisor), []).append(manifest)
    return [(managers.of(group[0]), group) for group in groups.values()]


def failure(manifest: Manifest, error: Exception) -> Failure:
    """An exception as the failure of an app."""
    if isinstance(error, health.NotHealthy):
        return failure_of(manifest, error.reason, error.hint, error.log, error.source)
    return failure_of(manifest, str(error) or type(error).__name__)


def failure_of(manifest: Manifest, reason: str, hint: str = "", log: Sequence[str] = (), source: str = "") -> Failure:
    """The failure of an app, its secrets hidden: an answer or a log may quote them."""
    hide = Masking(manifest.path, manifest.secrets)
    # As one text, since a secret may have several lines.
    lines = hide("\n".join(log)).split("\n") if log else []
    return Failure(manifest.app, manifest.release_id, hide(reason), hide(hint), lines, source)


def take_down(manifest: Manifest, grace: float) -> str:
    """Stop an instance, forget its unit and remove its run directory; what did not work, in words.

    Its other processes get their stop signal. Those that have a task finish it, and the next run forgets them.
    """
    try:
        manager = managers.of(manifest)
        soaking.end(manager, [program.unit for program in manifest.processes])
        if manifest.serves:
            manager.stop(manifest.unit, grace)
            manager.uninstall([manifest.unit])
            remove_run(manifest.run)
    except TROUBLE as error:
        return f" (and it could not be removed: {error})"
    return ""


def log_ends(manifests: Iterable[Manifest]) -> dict[str, int]:
    """Where the log of each program ends, in bytes.

    To be asked before programs are installed. supervisord starts at once what is added, and on a busy host a program may have
    failed before the next step looks.
    """
    return {program.log: atomic.size(program.log) for manifest in manifests for program in manifest.programs}


def bring_up(
    manifest: Manifest, manager: managers.Manager, begins: Mapping[str, int], programs: Sequence[Program] | None = None
) -> Failure | str:
    """Start installed programs, unless they run, and let them prove themselves; returns advice, mostly empty.

    Args:
        manifest: the release's.
        manager: runs its programs.
        begins: where in each log this start begins (`log_ends`).
        programs: those to start; by default those that may run beside another release's.
    """
    chosen = manifest.beside if programs is None else programs

    def one(program: Program) -> Failure | str:
        if program.name == WEB:
            return _bring_up_web(manifest, manager, begins[program.log])
        try:
            soaking.soak(manager, manifest, program, begins[program.log])
        except (health.NotHealthy, *TROUBLE) as error:
            return failure(manifest, error)
        return ""

    outcomes = parallel(one, chosen)
    failed = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    return failed[0] if failed else "".join(map(str, outcomes))


def _bring_up_web(manifest: Manifest, manager: managers.Manager, begin: int) -> Failure | str:
    """Start the web server, and let it through the health gate."""
    try:
        with contextlib.ExitStack() as booting:
            booting.enter_context(BOOTING)
            if not manager.process(manifest.unit).alive:
                manager.start(manifest.unit)
            answer = health.gate(manager, manifest, begin, answering=booting.close)
    except (health.NotHealthy, *TROUBLE) as error:
        return failure(manifest, error)
    hide = Masking(manifest.path, manifest.secrets)
    remarks = [f"{manifest.app}: {remark}" for remark in logs.remarks(manifest.web, begin, hide)]
    return "; ".join(filter(None, [verdicts.advice(manifest, answer), *remarks]))


def runs_well(manifest: Manifest) -> bool:
    """Whether the instance has a process that its manager calls ready, and gives a good answer, and its other processes are up.

    An instance that gets no clients yet must also have kept its workers for as long as the soak. The run that started it
    may have been interrupted before the gate had seen enough, and workers may die after it has.
    """
    manager = managers.of(manifest)
    seen = releases.current(manifest.root) == manifest.release_id
    further = manifest.processes if seen else [program for program in manifest.processes if program.overlap]
    if not all(soaking.steady(manager, program, seen) for program in further):
        return False
    if not manifest.serves:
        return True
    process = manager.process(manifest.unit)
    steady = process.pid > 0 and (seen or health.youngest(process.pid) >= manifest.health.soak)
    return process.alive and process.ready and steady and health.answers(manifest) is None


def start(wishes: Sequence[Wish], check: bool = False) -> dict[str, Any]:
    """Have an instance of each wished release running and healthy.

    An instance that runs well is left alone. One that fails is stopped and removed again, and its release is marked bad.
    Only an instance that gets clients at this moment is never stopped. The others continue.

    Returns:
        `changed`, per app what was done, and `failures`.

    Raises:
        Failed: the process manager itself failed; every instance that this call started is removed again.
    """
    manifests, absent, failures = read_all(wishes, check)
    # An app that cannot run twice is started when the old instance has ended: in the switch.
    starting = [manifest for manifest in manifests if not replacing(manifest)]
    to_start = [m for m, well in zip(starting, parallel(runs_well, starting), strict=True) if not well]
    started = {(manifest.root, manifest.release_id) for manifest in to_start} | {(w.root, w.release_id) for w in absent}
    result: dict[str, Any] = {
        "changed": bool(started),
        "failures": [failure.as_result() for failure in failures],
        "apps": [
            {"app": app_name(w.root), "release": w.release_id, "started": (w.root, w.release_id) in started}
            for w in wishes
        ],
    }
    if check or not to_start:
        return result
    begins = log_ends(to_start)
    try:
        grouped = by_manager(to_start)
        for manager, group in grouped:
            manager.install(group)
            manager.install([one for one in group if releases.current(one.root) == one.release_id], single=True)
        pairs = [(manifest, manager) for manager, group in grouped for manifest in group]
        outcomes = parallel(lambda pair: bring_up(*pair, begins, due(pair[0])), pairs)
    except TROUBLE as error:
        # The manager's trouble, not a release's: nothing is marked bad for it.
        raise Failed(_clean_up(to_start, [failure(m, error) for m in to_start], set())) from error
    failed = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    lost = {failure.app for failure in failed}
    gone = _clean_up([manifest for manifest in to_start if manifest.app in lost], failed, lost)
    result["failures"] += [failure.as_result() for failure in gone]
    return {**result, "warnings": [outcome for outcome in outcomes if isinstance(outcome, str) and outcome]}


def due(manifest: Manifest) -> Sequence[Program]:
    """The programs that run as long as clients do not get the release; all of them when they do."""
    return manifest.programs if releases.current(manifest.root) == manifest.release_id else manifest.beside


def replacing(manifest: Manifest) -> Manifest | None:
    """The running instance that has to end before this one may begin; None where the app may run twice, or does not run."""
    current = releases.current(manifest.root)
    if manifest.overlap or not manifest.serves or current is None or current == manifest.release_id:
        return None
    before = releases.manifest_or_none(manifest.root, current)
    return before if before and before.serves and managers.of(before).process(before.unit).alive else None


def stop_unseen(wishes: Sequence[Wish], check: bool = False) -> dict[str, Any]:
    """Stop and remove the instances of the wished releases, except those that are current: a run failed elsewhere.

    Raises:
        HostError: one could not be removed.
    """
    unseen = []
    for wish in wishes:
        manifest = releases.manifest_or_none(wish.root, wish.release_id)
        if manifest and releases.current(wish.root) != wish.release_id:
            unseen += [manifest] if wish.release_id in managers.of(manifest).instances(wish.root) else []
    notes = [] if check else [take_down(manifest, NO_CLIENTS) for manifest in unseen]
    if any(notes):
        raise HostError(
            "; ".join(f"{m.app} {m.release_id}{note}" for m, note in zip(unseen, notes, strict=True) if note)
        )
    stopped = {manifest.root for manifest in unseen}
    return {
        "changed": bool(unseen),
        "apps": [{"app": app_name(w.root), "release": w.release_id, "stopped": w.root in stopped} for w in wishes],
    }


def read_all(wishes: Sequence[Wish], check: bool) -> tuple[list[Manifest], list[Wish], list[Failure]]:
    """Read the manifests of the releases.

    Returns:
        The manifests, in check mode also the wishes whose release does not exist yet, and the failures of the others.
    """
    manifests, absent, failures = [], [], []
    for wish in wishes:
        try:
            manifests.append(read_manifest(wish.root, wish.release_id))
        except FileNotFoundError:
            absent.append(wish)
        except HostError as error:
            failures.append(Failure(os.path.basename(wish.root), wish.release_id, str(error)))
    if absent and not check:
        failures += [
            Failure(app_name(w.root), w.release_id, f"there is no such release in {w.root}/releases", "deploy it first")
            for w in absent
        ]
    return manifests, [wish for wish in absent if check], failures


def _clean_up(started: Sequence[Manifest], failures: Sequence[Failure], blamed: set[str]) -> list[Failure]:
    """Remove every instance of this call that no client reaches, and mark the blamed releases bad."""

    def one(manifest: Manifest) -> tuple[str, str]:
        if releases.current(manifest.root) == manifest.release_id:
            return manifest.app, " (it is the current release, so it was left as it is)"
        note = take_down(manifest, NO_CLIENTS)
        failure = next((f for f in failures if f.app == manifest.app), None)
        if failure and manifest.app in blamed and not space.at_fault(failure.reason, failure.log):
            releases.mark_bad(manifest.root, manifest.release_id, failure.reason)
        return manifest.app, note

    notes = dict(parallel(one, started))
    return [Failure(f.app, f.release_id, f.reason + notes.get(f.app, ""), f.hint, f.log, f.source) for f in failures]
