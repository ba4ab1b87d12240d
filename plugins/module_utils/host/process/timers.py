"""The timers of an app's current release: as units of systemd, or by the host's cron.

Their names do not depend on the release. So a deploy replaces what a timer runs, and its schedule and what is known about its
last run stay.
"""

from __future__ import annotations

import contextlib
import glob
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from ...contract import names
from ...contract.manifest import Manifest
from ..base import atomic, processes, trees
from ..base.boot import boot_id

CRON = "/etc/cron.d"
STAMPS = "/var/lib/systemd/timers"
"""Where systemd remembers when a timer last ran."""
SUFFIXES = (".timer", ".service", ".log.service")
"""Of a timer's units: when, what, and the reader of what a run writes."""
CROND = "/run/crond.pid"
"""Where cron writes its process id."""
MASKED = "is masked"
"""What a deploy does not undo: the operator did it on purpose."""


class Timing(NamedTuple):
    """What the host's scheduler says about a timer."""

    next: int | None
    """When its next run is, as a time; None where the scheduler does not tell, also during a run."""
    fault: str = ""
    """Why it does not run, as the end of a sentence; empty where it does."""


def state(app: str) -> str:
    """The folder with what is known about the runs of an app's timers."""
    return os.path.join(names.TIMERS, app)


def running(app: str) -> Iterator[dict[str, Any]]:
    """The runs that have not ended: `release`, and `pid` of what watches over it (0 for systemd)."""
    for path in sorted(glob.glob(os.path.join(glob.escape(state(app)), "*.json"))):
        run = (atomic.read_json(path) or {}).get("running")
        if not isinstance(run, dict) or not _runs(run):
            continue
        release_id, pid = str(run.get("release")), run.get("pid")
        if names.RELEASE.fullmatch(release_id):
            yield {"release": release_id, "pid": pid if isinstance(pid, int) else 0}


def _runs(run: Mapping[str, Any]) -> bool:
    """Whether a run that was noted as begun has not ended. What watches over it notes its end, unless it was killed, too."""
    pid, start = run.get("pid"), run.get("start")
    if run.get("boot") != boot_id():
        return False
    if not isinstance(pid, int) or pid <= 0:
        return True  # systemd watches over it
    now = processes.started(pid)
    # An older kit noted no start.
    return now is not None and (start is None or start == now)


def forget(app: str) -> None:
    """Remove what is known about the runs of an app that leaves the host."""
    trees.remove(state(app))


def runs(manifest: Manifest) -> list[dict[str, Any]]:
    """What is known about the last and the present run of each timer of a release. Times are seconds since 1970."""
    entries = []
    for timer in manifest.timers:
        known = atomic.read_json(os.path.join(state(manifest.app), f"{timer.name}.json")) or {}
        last, present = known.get("last"), known.get("running")
        if isinstance(present, dict) and present.get("boot") == boot_id() and not _runs(present):
            last, present = {**present, "seconds": 0, "result": "failed", "status": ""}, None
        entries.append(
            {
                "name": timer.name,
                "schedule": timer.schedule,
                "last": _ended(last) if isinstance(last, dict) else None,
                "running": _clock(present.get("began")) if isinstance(present, dict) and _runs(present) else None,
            }
        )
    return entries


def _ended(last: Mapping[str, Any]) -> dict[str, Any] | None:
    """A run that has ended; None where the file has another form."""
    began, seconds, release_id = _clock(last.get("began")), last.get("seconds"), str(last.get("release"))
    if began is None or not isinstance(seconds, (int, float)):
        return None
    return {
        "began": began,
        "seconds": round(seconds),
        "result": str(last.get("result")),
        "status": str(last.get("status")),
        "release": release_id if names.RELEASE.fullmatch(release_id) else None,
    }


def _clock(text: Any) -> int | None:
    """A time as `programs/timer.py` writes it."""
    return _seconds(str(text), "%Y-%m-%dT%H:%M:%SZ")


def _seconds(text: str, form: str) -> int | None:
    """A time in UTC, in seconds since 1970; None for any other text."""
    import calendar  # each call on a host imports this module, and few read a time

    with contextlib.suppress(ValueError):
        return calendar.timegm(time.strptime(text, form))
    return None


class UnitTimers:
    """systemd's timers, each a `.timer` and the `.service` that it starts."""

    def __init__(self, units: str, systemctl: Callable[..., str]) -> None:
        self._units, self._systemctl = units, systemctl

    def settle(self, app: str, manifest: Manifest | None, check: bool = False) -> bool:
        """Have exactly the timers of this release; with None, none. Returns whether something changed."""
        prefix = names.timer_unit(app, "")
        wanted: dict[str, bytes] = {}
        for timer in manifest.timers if manifest else ():
            for suffix in SUFFIXES:
                text = atomic.read(os.path.join(manifest.path if manifest else "", f"{timer.unit}{suffix}"))
                if text is not None:  # releases of earlier versions of the kit have no reader of the log
                    wanted[f"{timer.unit}{suffix}"] = text
        on_host = [name for name in os.listdir(self._units) if name.startswith(prefix)]
        gone = [name for name in on_host if name not in wanted]
        due = [name for name in wanted if atomic.read(os.path.join(self._units, name)) != wanted[name]]
        timers = [name for name in wanted if name.endswith(".timer")]
        # A timer that was stopped or disabled by hand runs again, as a process does.
        timings = self.timings(manifest).values() if manifest else ()
        asleep = any(timing.fault not in ("", MASKED) for timing in timings)
        if check or not (gone or due or asleep):
            return bool(gone or due or asleep)
        if gone:
            self._remove(gone, all_runs=manifest is None)
        moved = [name for name in due if self._is_moved(name, wanted[name])]
        if moved:
            self._systemctl("stop", *moved)
        for name in moved:
            with contextlib.suppress(FileNotFoundError):
                os.utime(os.path.join(STAMPS, f"stamp-{name}"))
        for name in due:
            atomic.write(os.path.join(self._units, name), wanted[name])
        self._systemctl("daemon-reload")
        if timers:
            self._systemctl("enable", "--now", "--quiet", *timers)
        return True

    def _remove(self, units: Sequence[str], all_runs: bool) -> None:
        """Remove timers. A run that has begun continues, unless `all_runs` are to end."""
        timers = [name for name in units if name.endswith(".timer")]
        if timers:
            self._systemctl("disable", "--now", "--quiet", "--no-reload", *timers, accept=(0, 1, 5))
        services = [name for name in units if name.endswith(".service")]
        readers = [name for name in services if name.endswith(".log.service")]
        if all_runs and services:
            self._systemctl("stop", *services, accept=(0, 1, 5))
        elif readers:
            self._systemctl("stop", "--no-block", *readers, accept=(0, 1, 5))
        for name in units:
            atomic.remove_file(os.path.join(self._units, name))
            atomic.remove_file(os.path.join(STAMPS, f"stamp-{name}"))
        # systemd lists a run that failed for as long as the host is up, also without its unit.
        self._systemctl("reset-failed", *units, accept=(0, 1))

    def _is_moved(self, name: str, wanted: bytes) -> bool:
        """Whether a timer gets other times.

        From its last run on, systemd would find a run at the new times that was missed, and catch it up at once.
        """
        before = atomic.read(os.path.join(self._units, name))
        return before is not None and _times(before) != _times(wanted)

    def timings(self, manifest: Manifest) -> dict[str, Timing]:
        """What systemd says about each timer, by name."""
        units = {f"{timer.unit}.timer": timer.name for timer in manifest.timers}
        if not units:
            return {}
        properties = "Id,LoadState,ActiveState,UnitFileState,NextElapseUSecRealtime"
        timings = dict.fromkeys(units.values(), Timing(None, "is not known to systemd"))
        # An older systemd prints no time as a number, and every one prints it in the zone of the environment.
        for block in self._systemctl("show", f"--property={properties}", *units, zone="UTC").split("\n\n"):
            shown = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
            if shown.get("Id") in units:
                timings[units[shown["Id"]]] = _of_unit(shown)
        return timings


def _times(unit: bytes) -> list[bytes]:
    """The lines of a timer's unit that say when it runs."""
    return [line for line in unit.splitlines() if line.startswith(b"OnCalendar=")]


def _of_unit(shown: Mapping[str, str]) -> Timing:
    """The timing that the properties of a timer's unit tell."""
    load, state = shown.get("LoadState"), shown.get("UnitFileState")
    following = _seconds(shown.get("NextElapseUSecRealtime", ""), "%a %Y-%m-%d %H:%M:%S UTC")
    if load == "not-found":
        return Timing(None, "is not known to systemd")
    if load == "masked" or state in ("masked", "masked-runtime"):
        return Timing(None, MASKED)
    if shown.get("ActiveState") != "active":
        return Timing(None, "is stopped")
    return Timing(following, "is disabled, so it does not start at boot" if state == "disabled" else "")


class CronTimers:
    """One line in the host's cron for each app, which asks each minute what is due."""

    def settle(self, app: str, manifest: Manifest | None, check: bool = False) -> bool:
        """Have the line if this release has timers; with None, none. Returns whether something changed."""
        path = os.path.join(CRON, f"slipway-{app}")
        if not manifest or not manifest.timers:
            if not os.path.lexists(path):
                return False
            return check or atomic.remove_file(path)
        current = os.path.join(manifest.root, "current")
        command = f"exec /usr/bin/python3 -I -S {current}/timer.py due {current}/{names.MANIFEST} {state(app)}"
        text = (
            "# Managed by Slipway: changes here are overwritten.\n"
            'MAILTO=""\n'
            f"* * * * * root [ -e {current}/timer.py ] && {command}\n"
        )
        if atomic.read(path) == text.encode():
            return False
        if not check:
            os.makedirs(CRON, 0o755, exist_ok=True)
            atomic.write(path, text.encode(), 0o644)
        return True

    def timings(self, manifest: Manifest) -> dict[str, Timing]:
        """When each timer is due, by name, and whether cron would start it."""
        from ...programs.timer import following

        fault = ""
        if manifest.timers and not os.path.exists(os.path.join(CRON, f"slipway-{manifest.app}")):
            fault = "is not in the host's cron"
        elif manifest.timers and not _cron_runs():
            fault = "waits for cron, which does not run"
        minute = int(time.time()) // 60 * 60
        return {
            timer.name: Timing(
                _clock(following(asdict(timer.moments), minute)) if timer.moments and not fault else None, fault
            )
            for timer in manifest.timers
        }


def _cron_runs() -> bool:
    """Whether the host's cron runs."""
    try:
        with open(CROND, encoding="ascii") as handle:
            return bool(processes.uids(int(handle.read(20).strip())))
    except (OSError, ValueError):
        return False
