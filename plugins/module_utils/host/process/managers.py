"""The two process managers behind one small protocol. Only what is asked for is loaded: most of a quick call is loading."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol

from ...contract.manifest import HostError, Manifest, SupervisorPlace
from .units import Process


class Manager(Protocol):
    """What the deploy asks of a process manager. Every method may be called again after it was interrupted."""

    name: str

    def install(self, manifests: Sequence[Manifest]) -> list[str]:
        """Make the releases' units known, without starting them; return the units that were not there as they are."""

    def start(self, unit: str) -> None:
        """Ask for the unit to be started, from a clean slate. Does not wait: the health gate does."""

    def stop(self, unit: str, deadline: float) -> None:
        """Stop the unit gracefully and return when it is down; what is left after `deadline` seconds is killed.

        Raises:
            HostError: it is there all the same.
        """

    def halt(self, unit: str, deadline: float) -> None:
        """As `stop`, but for the process alone: what was made for it, such as its socket, stays for the next start."""

    def enable(self, manifests: Sequence[Manifest]) -> None:
        """Have the units started at boot."""

    def disable(self, units: Sequence[str]) -> None:
        """Have the units not started at boot any more. A running process goes on running."""

    def enabled(self, unit: str) -> bool:
        """Whether the unit is started at boot."""

    def uninstall(self, units: Sequence[str]) -> None:
        """Make the manager forget stopped units."""

    def process(self, unit: str) -> Process:
        """The unit's main process."""

    def words(self, unit: str) -> list[str]:
        """What the manager itself last wrote about the unit: all there is when the unit's own command never ran."""

    def instances(self, root: str) -> dict[str, str]:
        """The units of the app with this root that the manager knows in any state, by release id."""


def of(manifest: Manifest) -> Manager:
    """The manager that a release names.

    Raises:
        HostError: it is not on this host.
    """
    if manifest.manager == "supervisor":
        from .supervisor import Supervisor

        return Supervisor(manifest.supervisor)
    if manifest.manager != "systemd":
        raise HostError(
            f"{manifest.unit}: unknown process manager {manifest.manager!r}; expected systemd or supervisor"
        )
    if not systemd_runs():
        raise HostError(
            f"{manifest.unit} is a systemd unit, but systemd does not run here: set process_manager: supervisor"
        )
    from .systemd import Systemd

    return Systemd()


def all_of(place: SupervisorPlace) -> list[Manager]:
    """Every manager that may hold instances on this host; more than one only while an app moves between them."""
    found: list[Manager] = []
    if systemd_runs():
        from .systemd import Systemd

        found.append(Systemd())
    if os.path.exists(place.programs) or os.path.exists(place.socket):
        from .supervisor import Supervisor

        found.append(Supervisor(place))
    return found


def systemd_runs() -> bool:
    """Whether systemd is this host's init (the test of sd_booted(3))."""
    return os.path.isdir("/run/systemd/system")
