"""The process managers behind one protocol. Only what is asked for is loaded: most of a quick call is loading.

On the host a third one is a module with a class of this protocol, and a line in `REGISTRY`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from ...contract.errors import HostError
from ...contract.manifest import Manifest, SupervisorPlace
from .cells import Runner
from .timers import Timing
from .units import Process


class Manager(Protocol):
    """What the deploy asks of a process manager. Every method may be called again after it was interrupted."""

    name: str
    holds_all: bool
    """Whether all that an instance starts ends with it, whatever it does."""

    @classmethod
    def at(cls, place: SupervisorPlace) -> Manager:
        """The manager that a release's manifest describes."""

    @staticmethod
    def present(place: SupervisorPlace) -> bool:
        """Whether it may hold instances on this host."""

    @staticmethod
    def confinement(text: str) -> tuple[tuple[str, ...], dict[str, int]]:
        """What of a release's unit holds for every command of the app: settings of a `Cell`, and limits of a process."""

    @staticmethod
    def runner() -> Runner | None:
        """What runs single commands in their cells on this host; None where it cannot."""

    @staticmethod
    def broken_services() -> list[tuple[str, str]]:
        """The host's services that should start at boot and do not, with its word for why: of one that is also the init."""

    def check(self, unit: str) -> None:
        """Raise HostError where its units cannot run on this host."""

    def install(self, manifests: Sequence[Manifest], single: bool = False) -> list[str]:
        """Make the releases' units known, without starting them; return the units that were not there as they are.

        Those of the programs that may run beside another release's, or, with `single`, of those that may not.
        """

    def start(self, unit: str) -> None:
        """Ask for the unit to be started, from a clean slate. Does not wait: the health gate does."""

    def stop(self, unit: str, deadline: float) -> None:
        """Stop the unit gracefully and return when it is down; what is left after `deadline` seconds is killed.

        Raises:
            HostError: it still exists.
        """

    def halt(self, unit: str, deadline: float) -> None:
        """Stop only the process: what was made for it, such as its socket, stays for the next start."""

    def let_end(self, units: Sequence[str]) -> None:
        """Ask units to stop, and do not wait: the manager kills what exceeds its deadline."""

    def enable(self, manifests: Sequence[Manifest], single: bool = False) -> None:
        """Have the units started at boot; `single` as for `install`."""

    def disable(self, units: Sequence[str]) -> None:
        """Have the units not started at boot any more. A running process keeps running."""

    def enabled(self, unit: str) -> bool:
        """Whether the unit is started at boot."""

    def boot_state(self, unit: str) -> str:
        """The manager's word for whether the unit is started at boot, such as `disabled`."""

    def restarts(self, unit: str) -> int | None:
        """How often it has started the unit again after a crash; None where it does not tell."""

    def uninstall(self, units: Sequence[str]) -> None:
        """Make the manager forget stopped units."""

    def process(self, unit: str) -> Process:
        """The unit's main process."""

    def words(self, unit: str) -> list[str]:
        """What the manager itself last wrote about the unit: all there is when the unit's own command never ran."""

    def settle_timers(self, app: str, manifest: Manifest | None, check: bool = False) -> bool:
        """Have exactly the timers of this release; with None, none. Returns whether something changed."""

    def timings(self, manifest: Manifest) -> dict[str, Timing]:
        """When each timer of the release runs next, and what keeps it from running, by the timer's name."""

    def instances(self, root: str) -> dict[str, list[str]]:
        """The units of the app with this root that the manager knows in any state, by release id."""


def _systemd() -> type[Manager]:
    from .systemd import Systemd

    return Systemd


def _supervisor() -> type[Manager]:
    from .supervisor import Supervisor

    return Supervisor


REGISTRY: Mapping[str, Callable[[], type[Manager]]] = {"systemd": _systemd, "supervisor": _supervisor}
"""Every process manager, by its name in the inventory and in manifests. docs/adding-a-process-manager.md
lists what else a new one needs."""


def kind(name: str) -> type[Manager]:
    """The process manager of that name. Raises HostError where there is none."""
    if name not in REGISTRY:
        raise HostError(f"unknown process manager {name!r}; expected {' or '.join(REGISTRY)}")
    return REGISTRY[name]()


def of(manifest: Manifest) -> Manager:
    """The manager that a release names.

    Raises:
        HostError: it is not on this host.
    """
    manager = kind(manifest.manager).at(manifest.supervisor)
    manager.check(manifest.unit)
    return manager


def all_of(place: SupervisorPlace) -> list[Manager]:
    """Every manager that may hold instances on this host; more than one only while an app moves between them."""
    kinds = (load() for load in REGISTRY.values())
    return [manager.at(place) for manager in kinds if manager.present(place)]


def settle_timers(place: SupervisorPlace, app: str, manifest: Manifest | None, check: bool = False) -> bool:
    """Have exactly the timers of this release on the host, under its manager alone; with None, none.

    Returns:
        Whether something changed.
    """
    changed = [
        manager.settle_timers(app, manifest if manifest and manifest.manager == manager.name else None, check)
        for manager in all_of(place)
    ]
    return any(changed)


def broken_services() -> list[tuple[str, str]]:
    """The host's services that should start at boot and do not, each with the reason in a word."""
    return [service for load in REGISTRY.values() for service in load().broken_services()]


def runner() -> Runner:
    """What confines single commands on this host: a process manager, or a process of the kit."""
    for load in REGISTRY.values():
        run = load().runner()
        if run:
            return run
    from .tree import run as below

    return below
