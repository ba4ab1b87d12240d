"""The two process managers behind one small protocol: systemd and supervisor."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import threading
import time
import xmlrpc.client
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from . import files
from .manifest import RELEASE, HostError, Manifest, SupervisorPlace

#: Seconds within which a killed process is gone, unless the kernel or a disk holds it.
KILLED = 15.0


class Process(NamedTuple):
    """What a manager says about a unit: its main process (0: none), whether it runs or is about to, and in words."""

    pid: int
    alive: bool
    detail: str


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
        return Supervisor(manifest.supervisor)
    if manifest.manager != "systemd":
        raise HostError(
            f"{manifest.unit}: unknown process manager {manifest.manager!r}; expected systemd or supervisor"
        )
    if not Systemd.runs():
        raise HostError(
            f"{manifest.unit} is a systemd unit, but systemd does not run here: set process_manager: supervisor"
        )
    return Systemd()


def all_of(place: SupervisorPlace) -> list[Manager]:
    """Every manager that may hold instances on this host; more than one only while an app moves between them."""
    return [*([Systemd()] if Systemd.runs() else []), Supervisor(place)]


def releases_of(root: str, units: Iterable[str]) -> dict[str, str]:
    """Those units that belong to the app with this root, by release id.

    `slipway-shop-admin-v1-…` is a unit of the app `shop-admin`, not of `shop`, when the host has an app of that name.
    """
    home, app = os.path.split(root)
    prefix = f"slipway-{app}-"
    longer = tuple(f"slipway-{name}-" for name in files.directories(home) if name.startswith(f"{app}-"))
    found = {}
    for unit in units:
        release = unit.removeprefix(prefix)
        if release == unit or not RELEASE.fullmatch(release):
            continue
        if os.path.isdir(os.path.join(root, "releases", release)) or not unit.startswith(longer):
            found[release] = unit
    return found


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


def _systemctl(*words: str, accept: Sequence[int] = (0,), timeout: float = 120) -> str:
    done = subprocess.run(
        ["systemctl", "--no-ask-password", "--no-pager", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    if done.returncode not in accept:
        text = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        raise HostError(f"systemctl {' '.join(words)} failed: {text}")
    return done.stdout


class Systemd:
    """Units in /etc/systemd/system, driven by systemctl."""

    name = "systemd"
    units = "/etc/systemd/system"
    reload = Shared(lambda: _systemctl("daemon-reload"))

    @staticmethod
    def runs() -> bool:
        """Whether systemd is this host's init (the test of sd_booted(3))."""
        return os.path.isdir("/run/systemd/system")

    def install(self, manifests: Sequence[Manifest]) -> list[str]:
        """Copy the unit files. systemd reads a new one when it is first asked for the unit, and one that changed when told to."""
        changed, stale = [], False
        for manifest in manifests:
            content = _unit_file(manifest)
            path = os.path.join(self.units, manifest.unit_file)
            there = files.read(path)
            if there != content:
                files.write(path, content)
                changed.append(manifest.unit)
                stale = stale or there is not None
        if stale:
            Systemd.reload()
        return changed

    def start(self, unit: str) -> None:
        """Queue the start; earlier failures do not count against the start limit."""
        _systemctl("reset-failed", unit, accept=(0, 1))
        _systemctl("start", "--no-block", unit)

    def stop(self, unit: str, deadline: float) -> None:
        """Stop and wait, by systemd's own job."""
        for wait in (deadline, KILLED):
            try:
                _systemctl("stop", unit, accept=(0, 5), timeout=wait)  # 5: no such unit
                return
            except subprocess.TimeoutExpired:
                _systemctl("kill", "--signal=KILL", unit, accept=(0, 1))
        raise HostError(f"{unit} does not stop; see: systemctl status {unit}")

    def enable(self, manifests: Sequence[Manifest]) -> None:
        """Link the units into their targets, which systemd reads at boot: there is nothing to reload now."""
        _systemctl("enable", "--quiet", "--no-reload", *(manifest.unit for manifest in manifests))

    def disable(self, units: Sequence[str]) -> None:
        """Unlink the units from their targets, and have systemd forget that these wanted them."""
        self._unlink(units)
        Systemd.reload()

    def _unlink(self, units: Sequence[str]) -> None:
        for unit in units:  # one by one: of several, one without a file is an error for all
            _systemctl("disable", "--quiet", "--no-reload", unit, accept=(0, 1))  # 1: no such unit file

    def enabled(self, unit: str) -> bool:
        """Whether the unit is linked into a target."""
        return _systemctl("is-enabled", unit, accept=(0, 1, 4)).strip() == "enabled"

    def uninstall(self, units: Sequence[str]) -> None:
        """Disable first: a killed run must not leave a link without a file.

        systemd drops a stopped unit by itself, unless a target still wants it or it failed.
        """
        self._unlink(units)
        for unit in units:
            files.remove_file(os.path.join(self.units, f"{unit}.service"))
            _systemctl("reset-failed", unit, accept=(0, 1))
        if units and "loaded" in _systemctl("show", "--property=LoadState", "--value", *units).split():
            Systemd.reload()

    def process(self, unit: str) -> Process:
        """MainPID, and whether the unit is up, coming up, or has a start job queued."""
        names = "MainPID,ActiveState,SubState,Result,ExecMainStatus,ExecMainCode,Job,LoadState"
        lines = _systemctl("show", f"--property={names}", unit).splitlines()
        shown = dict(line.split("=", 1) for line in lines if "=" in line)
        state, sub = shown.get("ActiveState", ""), shown.get("SubState", "")
        queued = state in ("inactive", "failed") and shown.get("Job", "") not in ("", "0")
        up = state in ("active", "activating", "reloading") and not sub.startswith("auto-restart")
        detail = f"systemd says {state}/{sub}"
        if not (up or queued):
            if shown.get("LoadState") == "not-found":
                detail = "systemd does not know the unit"
            elif shown.get("ExecMainCode") == "1":
                detail = f"exit status {shown.get('ExecMainStatus')}"
            elif shown.get("ExecMainCode") in ("2", "3"):
                detail = f"killed by signal {shown.get('ExecMainStatus')}"
            if shown.get("Result") not in ("success", "exit-code", "signal", None):
                detail += f", {shown['Result']}"
        return Process(int(shown.get("MainPID") or 0), up or queued, detail)

    def words(self, unit: str) -> list[str]:
        """The unit's last lines in the journal.

        By fields, not by --unit: what a process said that could not even be set up (a folder of its sandbox is missing)
        is the unit's for that only if it still was there when journald read it.
        """
        which = ["_UID=0", f"UNIT={unit}.service", "+", f"_SYSTEMD_UNIT={unit}.service"]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            for words in (["--sync"], ["--quiet", "--no-pager", "--output=cat", "--lines=8", *which]):
                done = subprocess.run(
                    ["journalctl", *words],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=20,
                    check=False,
                )
            return done.stdout.splitlines()
        return []

    def instances(self, root: str) -> dict[str, str]:
        """Unit files that are there, and units that are loaded though their file is gone."""
        pattern = f"slipway-{os.path.basename(root)}-*.service"
        listed = _systemctl("list-units", "--all", "--plain", "--no-legend", "--full", pattern)
        names = [line.split()[0] for line in listed.splitlines() if line.strip()]
        names += os.listdir(self.units)
        return releases_of(root, {n.removesuffix(".service") for n in names if n.endswith(".service")})


class SupervisorAway(HostError):
    """supervisord does not listen: none of its programs runs."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return _Connection(self._path)


# Fault codes and states of supervisor's XML-RPC interface (supervisor/xmlrpc.py, supervisor/states.py).
_BAD_NAME, _ALREADY_STARTED, _NOT_RUNNING, _ALREADY_ADDED, _STILL_RUNNING = 10, 60, 70, 90, 91
_UP, _STOPPED = ("STARTING", "RUNNING"), ("STOPPED", "EXITED", "FATAL", "UNKNOWN")


class Supervisor:
    """Programs in supervisord's own directory, driven by its XML-RPC interface.

    Only the program concerned is ever added, stopped or removed; `update` and `reload`, which touch the others, are
    not used. A program is enabled at boot as long as its file is there.
    """

    name = "supervisor"

    def __init__(self, place: SupervisorPlace) -> None:
        self.place = place

    def install(self, manifests: Sequence[Manifest]) -> list[str]:
        """Place the files, read them once, and add the programs (supervisord starts what is added)."""
        changed = self._place(manifests)
        if manifests:
            self._call("reloadConfig")
        for manifest in manifests:
            if self._call("addProcessGroup", manifest.unit, accept=(_ALREADY_ADDED,)) is not None:
                changed.append(manifest.unit)
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
            # supervisord gives every program a process group of its own: its workers go with it.
            with contextlib.suppress(ProcessLookupError):
                if pid and os.getpgid(pid) == pid:
                    os.killpg(pid, signal.SIGKILL)
            if not wait_until(down, KILLED):
                raise HostError(f"{unit} does not stop; see supervisord's log")

    def enable(self, manifests: Sequence[Manifest]) -> None:
        """Put back the files that are missing."""
        self._place(manifests)

    def disable(self, units: Sequence[str]) -> None:
        """Remove the files: supervisord keeps the programs until it is told otherwise."""
        for unit in units:
            files.remove_file(self._file(unit))

    def enabled(self, unit: str) -> bool:
        """Whether the program's file is there."""
        return os.path.exists(self._file(unit))

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
        if state not in _UP and info["exitstatus"]:
            detail = f"exit status {info['exitstatus']}"
        elif state not in _UP and info["spawnerr"]:
            detail = str(info["spawnerr"])
        return Process(pid, state in _UP, detail)

    def words(self, unit: str) -> list[str]:
        """supervisord's log is about all its programs; what it says of one is in `process`."""
        return []

    def instances(self, root: str) -> dict[str, str]:
        """Program files that are there, and programs that supervisord holds though their file is gone."""
        names = set()
        if os.path.isdir(self.place.programs):
            names = {n.removesuffix(".conf") for n in os.listdir(self.place.programs) if n.endswith(".conf")}
        with contextlib.suppress(SupervisorAway):
            names |= {info["group"] for info in self._call("getAllProcessInfo")}
        return releases_of(root, names)

    def _file(self, unit: str) -> str:
        return os.path.join(self.place.programs, f"{unit}.conf")

    def _place(self, manifests: Sequence[Manifest]) -> list[str]:
        changed = []
        for manifest in manifests:
            content = _unit_file(manifest)
            # One program whose log directory is missing makes supervisord refuse its whole configuration.
            os.makedirs(os.path.dirname(manifest.log), exist_ok=True)
            if files.read(self._file(manifest.unit)) != content:
                files.write(self._file(manifest.unit), content)
                changed.append(manifest.unit)
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
        """One XML-RPC call on a connection of its own; None for the faults in `accept`."""
        proxy = xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=_Transport(self.place.socket))
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode in accept:
                return None
            words = " ".join([method, *map(str, arguments)])
            raise HostError(f"supervisord at {self.place.socket} refuses {words}: {fault.faultString}") from fault
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise SupervisorAway(f"supervisord does not listen on {self.place.socket}: start it") from error
        except (OSError, http.client.HTTPException) as error:
            raise HostError(f"supervisord at {self.place.socket} did not answer {method}: {error}") from error


def _unit_file(manifest: Manifest) -> bytes:
    path = os.path.join(manifest.path, manifest.unit_file)
    content = files.read(path)
    if content is None:
        raise HostError(f"{path} is missing: the release is incomplete; deploy it again")
    return content
