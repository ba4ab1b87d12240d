"""The timers of an app's current release: as units of systemd, or by the host's cron.

Their names do not depend on the release. So a deploy replaces what a timer runs, and its schedule and what is known about its
last run stay.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from typing import Any

from ...contract import names
from ...contract.manifest import Manifest
from ..base import atomic, trees
from ..base.boot import boot_id

CRON = "/etc/cron.d"
STAMPS = "/var/lib/systemd/timers"
"""Where systemd remembers when a timer last ran."""


def state(app: str) -> str:
    """The folder with what is known about the runs of an app's timers."""
    return os.path.join(names.TIMERS, app)


def running(app: str) -> Iterator[dict[str, Any]]:
    """The runs that have not ended: `release`, and `pid` of what watches over it (0 for systemd)."""
    for path in sorted(glob.glob(os.path.join(glob.escape(state(app)), "*.json"))):
        run = (atomic.read_json(path) or {}).get("running")
        if not isinstance(run, dict) or run.get("boot") != boot_id():
            continue
        release_id, pid = str(run.get("release")), run.get("pid")
        if names.RELEASE.fullmatch(release_id):
            yield {"release": release_id, "pid": pid if isinstance(pid, int) else 0}


def forget(app: str) -> None:
    """Remove what is known about the runs of an app that leaves the host."""
    trees.remove(state(app))


class UnitTimers:
    """systemd's timers, each a `.timer` and the `.service` that it starts."""

    def __init__(self, units: str, systemctl: Callable[..., str]) -> None:
        self._units, self._systemctl = units, systemctl

    def settle(self, app: str, manifest: Manifest | None, check: bool = False) -> bool:
        """Have exactly the timers of this release; with None, none. Returns whether something changed."""
        prefix = names.timer_unit(app, "")
        wanted: dict[str, bytes | None] = {}
        for timer in manifest.timers if manifest else ():
            for name in (f"{timer.unit}.timer", f"{timer.unit}.service"):
                wanted[name] = atomic.read(os.path.join(manifest.path if manifest else "", name))
        on_host = [name for name in os.listdir(self._units) if name.startswith(prefix)]
        gone = [name for name in on_host if name not in wanted]
        due = [name for name in wanted if atomic.read(os.path.join(self._units, name)) != wanted[name]]
        timers = [name for name in wanted if name.endswith(".timer")]
        if check or not (gone or due):
            return bool(gone or due)
        ending = [name for name in gone if name.endswith(".timer")]
        if ending:
            self._systemctl("disable", "--now", "--quiet", "--no-reload", *ending, accept=(0, 1, 5))
        for name in gone:
            atomic.remove_file(os.path.join(self._units, name))
            atomic.remove_file(os.path.join(STAMPS, f"stamp-{name}"))
        for name in due:
            atomic.write(os.path.join(self._units, name), wanted[name] or b"", atomic.UNIT)
        self._systemctl("daemon-reload")
        if timers:
            self._systemctl("enable", "--now", "--quiet", *timers)
        return True


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
