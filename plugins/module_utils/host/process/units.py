"""What both process managers share: units (or programs), and what is waited for."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ...contract.errors import HostError
from ...contract.manifest import Manifest, Program
from ...contract.names import PROCESS, RELEASE
from ..base import atomic, trees

#: Seconds within which a killed process is gone, unless the kernel or a disk holds it.
KILLED = 15.0
#: Seconds beyond the stop timeout, at which the manager kills by itself, before we do.
KILL_MARGIN = 15.0


class SupervisorAway(HostError):
    """supervisord does not listen: none of its programs runs."""


class Process(NamedTuple):
    """What a manager says about a unit."""

    pid: int
    """Its main process, 0 for none."""
    alive: bool
    """Whether it runs or is about to."""
    detail: str
    """The manager's state of it, in words."""
    ready: bool = False
    """Whether the manager counts it as started."""
    ending: bool = False
    """Whether it was asked to stop, and has not ended yet."""

    @property
    def ended(self) -> bool:
        """Whether nothing of it runs or is about to."""
        return not self.alive and not self.ending


def programs_of(manifests: Iterable[Manifest], single: bool) -> list[tuple[Manifest, Program]]:
    """The programs that may run beside another release's, or those that may not, each with its release."""
    return [(one, program) for one in manifests for program in (one.single if single else one.beside)]


def releases_of(root: str, units: Iterable[str]) -> dict[str, list[str]]:
    """Those units that belong to the app with this root, by release id.

    `slipway-shop-admin-v1-…` is a unit of the app `shop-admin`, not of `shop`, when the host has an app of that name.
    """
    home, app = os.path.split(root)
    prefix = f"slipway-{app}-"
    longer = tuple(f"slipway-{name}-" for name in atomic.directories(home) if name.startswith(f"{app}-"))
    releases: dict[str, list[str]] = {}
    for unit in sorted(units):
        # One of the user's processes has its own name, with its number, behind the release's.
        release_id = PROCESS.sub("", unit.removeprefix(prefix))
        if not unit.startswith(prefix) or not RELEASE.fullmatch(release_id):
            continue
        if os.path.isdir(os.path.join(root, "releases", release_id)) or not unit.startswith(longer):
            releases.setdefault(release_id, []).append(unit)
    return releases


def wait_until(condition: Callable[[], bool], deadline: float) -> bool:
    """Ask until the condition holds or `deadline` seconds are over; say which."""
    end, pause = time.monotonic() + deadline, 0.02
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)
    return True


class Shared:
    """Work that serves all who ask for it before it begins: a reload takes longer the more units there are."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._turn = threading.Lock()
        self._asked = self._served = 0

    def __call__(self) -> None:
        """Return when the work was done, from its beginning to its end, since this call."""
        self._asked += 1  # where two threads end up with one number, the same work began after both
        mine = self._asked
        with self._turn:
            if self._served < mine:
                upto = self._asked
                self._work()
                self._served = upto


def remove_run(path: str) -> bool:
    """Remove an instance's run directory, and the app's when that was the last one in it."""
    removed = trees.remove(path).existed
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(path))
    return removed


def unit_file(manifest: Manifest, program: Program) -> bytes:
    """The text of the unit (or program) that a release brings. Raises HostError where it is missing."""
    path = os.path.join(manifest.path, program.unit_file)
    content = atomic.read(path)
    if content is None:
        raise HostError(f"{path} is missing: the release is incomplete; deploy it again")
    return content
