"""supervisor as a process manager."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Sequence
from functools import partial
from typing import Any

from ...contract import names
from ...contract.errors import HostError
from ...contract.manifest import Manifest, SupervisorPlace
from ...contract.words import STOPPED
from ..base import atomic
from . import timers
from .cells import Runner
from .units import KILLED, Process, SupervisorAway, programs_of, releases_of, unit_file, wait_until

# Fault codes and states of supervisor's XML-RPC interface (supervisor/xmlrpc.py, supervisor/states.py).
_BAD_NAME, _ALREADY_STARTED, _NOT_RUNNING, _ALREADY_ADDED, _STILL_RUNNING = 10, 60, 70, 90, 91
PRIVATE = 0o640
"""Mode of a program's file: only root reads it, since `unit_extra` may hold what is not for everyone."""
_UP, _STOPPED = ("STARTING", "RUNNING"), ("STOPPED", "EXITED", "FATAL", "UNKNOWN")


class Supervisor:
    """Programs in supervisord's own directory, driven by its XML-RPC interface.

    Only the program concerned is ever added, stopped or removed; `update` and `reload`, which touch the others, are
    not used. A program is enabled at boot as long as its file is there.
    """

    name = "supervisor"
    holds_all = False

    def __init__(self, place: SupervisorPlace) -> None:
        self.place = place

    @classmethod
    def at(cls, place: SupervisorPlace) -> Supervisor:
        """It is where its socket and its programs are."""
        return cls(place)

    @staticmethod
    def present(place: SupervisorPlace) -> bool:
        """Whether it is there, if only by its programs' files: those stay while supervisord is away."""
        return os.path.exists(place.programs) or os.path.exists(place.socket)

    @staticmethod
    def confinement(text: str) -> tuple[tuple[str, ...], dict[str, int]]:
        """What the launcher sets for the program."""
        limits = {name: int(number) for name, number in re.findall(r"--limit (\w+)=(\d+)", text)}
        return ("NoNewPrivileges=yes", "UMask=0027"), limits

    @staticmethod
    def runner() -> Runner | None:
        """It runs services and no single commands."""
        return None

    @staticmethod
    def broken_services() -> list[tuple[str, str]]:
        """It starts no services of the host."""
        return []

    def check(self, unit: str) -> None:
        """It can be on any host; where it is away, the caller gets the error."""

    def install(self, manifests: Sequence[Manifest], single: bool = False) -> list[str]:
        """Place the files, read them once, and add the programs (supervisord starts what is added)."""
        changed, units = self._place(manifests, single), [one.unit for _, one in programs_of(manifests, single)]
        if units:
            self._call("reloadConfig")
        for unit in units:
            if self._call("addProcessGroup", unit, accept=(_ALREADY_ADDED,)) is not None:
                changed.append(unit)
        return sorted(set(changed))

    def start(self, unit: str) -> None:
        """Start at once, also when supervisord has given up on it or waits before another try."""
        if self._state(unit) == "BACKOFF":
            self._call("stopProcess", unit, False, accept=(_NOT_RUNNING,))
        self._call("startProcess", unit, False, accept=(_ALREADY_STARTED,))

    def stop(self, unit: str, deadline: float) -> None:
        """Stop and wait; asks again when supervisord has just restarted the program by itself."""

        def down() -> bool:
            state = self._state(unit)
            if state is not None and state not in _STOPPED and state != "STOPPING":
                self._call("stopProcess", unit, False, accept=(_NOT_RUNNING, _BAD_NAME))
                return False
            return state != "STOPPING"

        with contextlib.suppress(SupervisorAway):
            if wait_until(down, deadline):
                return
            pid = self.process(unit).pid
            # supervisord gives every program a separate process group: its workers go with it.
            with contextlib.suppress(ProcessLookupError):
                if pid and os.getpgid(pid) == pid:
                    os.killpg(pid, signal.SIGKILL)
            if not wait_until(down, KILLED):
                raise HostError(f"{unit} does not stop; see supervisord's log")

    def halt(self, unit: str, deadline: float) -> None:
        """The program stays added, and the launcher's other process keeps the socket."""
        self.stop(unit, deadline)

    def let_end(self, units: Sequence[str]) -> None:
        """Have supervisord stop them; `stopwaitsecs` is the deadline."""
        with contextlib.suppress(SupervisorAway):
            for unit in units:
                state = self._state(unit)
                if state is not None and state not in (*_STOPPED, "STOPPING"):
                    self._call("stopProcess", unit, False, accept=(_NOT_RUNNING, _BAD_NAME))

    def enable(self, manifests: Sequence[Manifest], single: bool = False) -> None:
        """Put back the files that are missing."""
        self._place(manifests, single)

    def disable(self, units: Sequence[str]) -> None:
        """Remove the files: supervisord keeps the programs until its next update."""
        for unit in units:
            atomic.remove_file(self._file(unit))

    def enabled(self, unit: str) -> bool:
        """Whether the program's file is there."""
        return os.path.exists(self._file(unit))

    def boot_state(self, unit: str) -> str:
        """As of systemd's units."""
        return "enabled" if self.enabled(unit) else "disabled"

    def restarts(self, unit: str) -> int | None:
        """As often as the last part of supervisord's log says that the program exited."""
        with contextlib.suppress(OSError), open(names.SUPERVISOR_LOG, "rb") as handle:
            handle.seek(max(0, os.fstat(handle.fileno()).st_size - (1 << 20)))
            return handle.read().count(f" exited: {unit} (".encode())
        return None

    def uninstall(self, units: Sequence[str]) -> None:
        """Remove file and program; one that supervisord has just restarted by itself is stopped again first."""
        self.disable(units)
        for unit in units:
            with contextlib.suppress(SupervisorAway):
                if not wait_until(partial(self._forget, unit), KILLED):
                    raise HostError(f"supervisord does not let go of {unit}; see its log")

    def process(self, unit: str) -> Process:
        """Pid and state as supervisord knows them."""
        info = self._call("getProcessInfo", unit, accept=(_BAD_NAME,))
        if info is None:
            return Process(0, False, "supervisord does not know the program")
        state, pid = info["statename"], int(info["pid"])
        detail = f"supervisord says {state}"
        if state == "STOPPED":
            detail = STOPPED
        elif state not in _UP and info["exitstatus"]:
            detail = f"exit status {info['exitstatus']}"
        elif state not in _UP and info["spawnerr"]:
            detail = str(info["spawnerr"])
        # It knows no readiness: STARTING only means that the program has not yet run for `startsecs`.
        return Process(pid, state in _UP, detail, ready=state in _UP, ending=state == "STOPPING")

    def words(self, unit: str) -> list[str]:
        """supervisord's log is about all its programs; what it says about one is in `process`."""
        return []

    def settle_timers(self, app: str, manifest: Manifest | None, check: bool = False) -> bool:
        """supervisord has no timers: the host's cron has."""
        return timers.CronTimers().settle(app, manifest, check)

    def timings(self, manifest: Manifest) -> dict[str, timers.Timing]:
        """What the host's cron will start."""
        return timers.CronTimers().timings(manifest)

    def instances(self, root: str) -> dict[str, list[str]]:
        """Program files that are there, and programs that supervisord holds though their file is gone."""
        units = set()
        if os.path.isdir(self.place.programs):
            units = {n.removesuffix(".conf") for n in os.listdir(self.place.programs) if n.endswith(".conf")}
        with contextlib.suppress(SupervisorAway):
            units |= {info["group"] for info in self._call("getAllProcessInfo")}
        return releases_of(root, units)

    def _file(self, unit: str) -> str:
        return os.path.join(self.place.programs, f"{unit}.conf")

    def _place(self, manifests: Sequence[Manifest], single: bool) -> list[str]:
        changed = []
        for manifest, program in programs_of(manifests, single):
            content = unit_file(manifest, program)
            # One program whose log directory is missing makes supervisord refuse its whole configuration.
            os.makedirs(os.path.dirname(program.log), exist_ok=True)
            if atomic.read(self._file(program.unit)) != content:
                atomic.write(self._file(program.unit), content, PRIVATE)
                changed.append(program.unit)
        return changed

    def _forget(self, unit: str) -> bool:
        if self._call("removeProcessGroup", unit, accept=(_BAD_NAME, _STILL_RUNNING)) or self._state(unit) is None:
            return True
        self._call("stopProcess", unit, False, accept=(_NOT_RUNNING, _BAD_NAME))
        return False

    def _state(self, unit: str) -> str | None:
        info = self._call("getProcessInfo", unit, accept=(_BAD_NAME,))
        return None if info is None else str(info["statename"])

    def _call(self, method: str, *arguments: Any, accept: Sequence[int] = ()) -> Any:
        """One XML-RPC call on a separate connection; None for the faults in `accept`."""
        from . import supervisord  # which takes longer to load than all else here

        return supervisord.call(self.place.socket, method, arguments, accept)
