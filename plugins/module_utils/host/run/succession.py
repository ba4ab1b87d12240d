"""For a process that may not run twice: after the switch the old one ends, and the new one starts.

When the new one does not stay up, the whole switch is taken back, and the old one starts again.
"""

from __future__ import annotations

from ...contract.manifest import Manifest, Program
from ..base.outcome import TROUBLE, Failure, parallel
from ..process import managers
from ..process.units import KILL_MARGIN
from .instances import bring_up, log_ends


class Succession:
    """The change from the processes of one release to those of another."""

    def __init__(self, old: Manifest | None, new: Manifest) -> None:
        self._old, self._new = old, new
        kinds = {_kind(program) for manifest in (old, new) if manifest for program in manifest.single}
        self._leaving = [program for program in old.processes if _kind(program) in kinds] if old else []
        """Also where it is new that the process may not run twice."""

    def carry_out(self) -> Failure | None:
        """End the old ones and start the new ones; the failure of one that does not stay up.

        Between the two, the host would start neither at boot: never both.
        """
        if self._old:
            _stop(self._old, self._leaving)
        manager = managers.of(self._new)
        begins = log_ends([self._new])
        manager.install([self._new], single=True)
        manager.enable([self._new], single=True)
        outcome = bring_up(self._new, manager, begins, self._new.single)
        return outcome if isinstance(outcome, Failure) else None

    def _is_untouched(self) -> bool:
        """Whether the old ones still run, and no new one: the switch did not come to its processes."""
        return all(_runs(self._old, self._leaving)) and not any(_runs(self._new, self._new.single))

    def take_back(self) -> str:
        """End the new ones and start the old ones again; says how that went."""
        try:
            if self._is_untouched():
                return ""
            _stop(self._new, self._new.single)
            if not self._old or not self._leaving:
                return ""
            manager = managers.of(self._old)
            begins = log_ends([self._old])
            for single in (False, True):
                manager.install([self._old], single)
                manager.enable([self._old], single)
            again = bring_up(self._old, manager, begins, self._leaving)
        except TROUBLE as error:
            return f" (whose processes could not be started again: {error})"
        names = ", ".join(program.name for program in self._leaving)
        return (
            f" (where {names} failed: {again.reason})"
            if isinstance(again, Failure)
            else f" (where {names} started again)"
        )


def between(old: Manifest | None, new: Manifest) -> Succession | None:
    """Return the change from one release's processes to another's; None where all of them may run twice."""
    return Succession(old, new) if new.single or (old and old.single) else None


def _kind(program: Program) -> str:
    """The name of a process without its number."""
    return program.name.rpartition(".")[0]


def _runs(manifest: Manifest | None, programs: list[Program] | tuple[Program, ...]) -> list[bool]:
    """Whether each process runs."""
    return [managers.of(manifest).process(program.unit).alive for program in programs] if manifest else []


def _stop(manifest: Manifest, programs: list[Program] | tuple[Program, ...]) -> None:
    """End processes, and return when they have ended."""
    if not programs:
        return
    manager = managers.of(manifest)
    manager.disable([program.unit for program in programs])
    parallel(lambda program: manager.stop(program.unit, program.stop + KILL_MARGIN), list(programs))
