"""systemd as a process manager."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from ...contract import names
from ...contract.errors import HostError
from ...contract.manifest import Manifest, SupervisorPlace
from ...contract.words import STOPPED
from ..base import atomic
from . import journal, timers
from .cells import Runner
from .running import ask
from .units import KILLED, Process, Shared, programs_of, releases_of, unit_file

SERVICES = ("nginx.service", "slipway-supervisor.service", "slipway-firewall.service", "cron.service")
"""The host's services that start at boot, where they are installed."""


def _systemctl(*words: str, accept: Sequence[int] = (0,), timeout: float = 120, zone: str | None = None) -> str:
    result = subprocess.run(
        ["systemctl", "--no-ask-password", "--no-pager", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "LC_ALL": "C", **({"TZ": zone} if zone else {})},
    )
    if result.returncode not in accept:
        text = " ".join(result.stderr.split()) or f"exit status {result.returncode}"
        raise HostError(f"systemctl {' '.join(words)} failed: {text}")
    return result.stdout


def _boot_state(unit: str) -> str:
    return ask(["systemctl", "is-enabled", unit], 20).stdout.strip()


def companions(unit: str) -> tuple[str, str]:
    """The units that an instance's service brings: its socket, and the reader of its log."""
    return f"{unit}.socket", f"{unit}-log.service"


class Systemd:
    """Units in /etc/systemd/system, driven by systemctl.

    A release's service brings two more units: the socket that is passed to it, and the reader of its log. Releases of
    earlier versions of the kit have neither.
    """

    name = "systemd"
    holds_all = True
    units = "/etc/systemd/system"
    reload = Shared(lambda: _systemctl("daemon-reload"))

    @classmethod
    def at(cls, place: SupervisorPlace) -> Systemd:
        """It is in one place on every host."""
        return cls()

    @staticmethod
    def present(place: SupervisorPlace) -> bool:
        """Whether it is this host's init."""
        return Systemd.runs()

    @staticmethod
    def runs() -> bool:
        """Whether it is this host's init (the test of sd_booted(3))."""
        return os.path.isdir(names.SYSTEMD)

    @staticmethod
    def confinement(text: str) -> tuple[tuple[str, ...], dict[str, int]]:
        """The settings of the service that hold for all that runs as its user."""
        from .transient import sandbox

        return sandbox(text), {}

    @staticmethod
    def runner() -> Runner | None:
        """Transient units, where it is the host's init."""
        if not Systemd.runs():
            return None
        from .transient import run

        return run

    @staticmethod
    def broken_services() -> list[tuple[str, str]]:
        """nginx, and the kit's services that are installed."""
        if not Systemd.runs():
            return []
        wanted = [unit for unit in SERVICES if unit == "nginx.service" or os.path.exists(f"{Systemd.units}/{unit}")]
        states = [(unit, _boot_state(unit)) for unit in wanted]
        return [(unit, state) for unit, state in states if state in ("masked", "masked-runtime", "disabled")]

    def check(self, unit: str) -> None:
        """Its units run where it is the host's init."""
        if not Systemd.runs():
            raise HostError(f"{unit} is a systemd unit, but systemd does not run here: set process_manager: supervisor")

    def install(self, manifests: Sequence[Manifest], single: bool = False) -> list[str]:
        """Copy the unit files. systemd reads a new one at its first use, and a changed one at a daemon-reload.

        Everyone may read them, since systemd tells everyone what is in a unit. It complains in the journal about any other mode.
        """
        changed, stale = [], False
        for manifest, program in programs_of(manifests, single):
            # The service's own file comes first: by it, the run that cleans up after a killed one knows the instance.
            texts = {program.unit_file: unit_file(manifest, program)}
            for name in companions(program.unit):
                content = atomic.read(os.path.join(manifest.path, name))
                if content is not None:
                    texts[name] = content
            before = {name: atomic.read(os.path.join(self.units, name)) for name in texts}
            due = [name for name in texts if before[name] != texts[name]]
            for name in due:
                atomic.write(os.path.join(self.units, name), texts[name])
                stale = stale or before[name] is not None
            if due:
                changed.append(program.unit)
        if stale:
            Systemd.reload()
        return changed

    def start(self, unit: str) -> None:
        """Queue the start; earlier failures do not count against the start limit."""
        _systemctl("reset-failed", unit, accept=(0, 1))
        _systemctl("start", "--no-block", unit)

    def stop(self, unit: str, deadline: float) -> None:
        """Stop and wait, by systemd's own job: the service first, then its socket and the reader of its last words."""
        self._stop(unit, [f"{unit}.service", *self._brought(unit)], deadline)

    def halt(self, unit: str, deadline: float) -> None:
        """Stop the service alone."""
        self._stop(unit, [f"{unit}.service"], deadline)

    def let_end(self, units: Sequence[str]) -> None:
        """Queue the stop of each service, and then of the reader of its log. TimeoutStopSec is the deadline."""
        ending = [name for unit in units for name in (f"{unit}.service", *self._brought(unit))]
        if ending:
            _systemctl("stop", "--no-block", *ending, accept=(0, 5))

    def _stop(self, unit: str, together: Sequence[str], deadline: float) -> None:
        for wait in (deadline, KILLED):
            try:
                _systemctl("stop", *together, accept=(0, 5), timeout=wait)  # 5: no such unit
                return
            except subprocess.TimeoutExpired:
                _systemctl("kill", "--signal=KILL", unit, accept=(0, 1))
        raise HostError(f"{unit} does not stop; see: systemctl status {unit}")

    def enable(self, manifests: Sequence[Manifest], single: bool = False) -> None:
        """Link the units into their targets, which systemd reads at boot: there is nothing to reload now.

        By the files alone (`--root`). If a running systemd links them, Debian 13's calls every unit changed on disk, until the next
        daemon-reload.
        """
        units = [f"{program.unit}.service" for _manifest, program in programs_of(manifests, single)]
        if units:
            _systemctl("--root=/", "enable", "--quiet", *units)

    def disable(self, units: Sequence[str]) -> None:
        """Unlink the units from their targets, which systemd reads at boot.

        No daemon-reload, since systemd would do nothing else meanwhile, and stop no unit. `uninstall` does the rest.
        """
        for unit in units:  # one by one: of several, one without a file is an error for all
            _systemctl("--root=/", "disable", "--quiet", unit, accept=(0, 1))  # 1: no such unit file

    def _brought(self, unit: str) -> list[str]:
        """The other units of the instance that are on this host."""
        return [name for name in companions(unit) if os.path.exists(os.path.join(self.units, name))]

    def enabled(self, unit: str) -> bool:
        """Whether the unit is linked into a target."""
        return _systemctl("is-enabled", unit, accept=(0, 1, 4)).strip() == "enabled"

    def boot_state(self, unit: str) -> str:
        """systemd's own word; a unit that it does not know is disabled."""
        return _boot_state(f"{unit}.service") or "disabled"

    def restarts(self, unit: str) -> int | None:
        """systemd counts them."""
        text = ask(["systemctl", "show", "--property=NRestarts", "--value", unit], 20).stdout.strip()
        return int(text) if text.isdigit() else None

    def uninstall(self, units: Sequence[str]) -> None:
        """Disable first: a killed run must not leave a link without a file.

        systemd drops a stopped unit by itself, unless a target still wants it or it failed.
        """
        self.disable(units)
        for unit in units:
            files = [*self._brought(unit), f"{unit}.service"]
            for name in files:
                atomic.remove_file(os.path.join(self.units, name))
            _systemctl("reset-failed", *files, accept=(0, 1))
        if units and "loaded" in _systemctl("show", "--property=LoadState", "--value", *units).split():
            Systemd.reload()

    def process(self, unit: str) -> Process:
        """MainPID, and whether the unit is up, coming up, or has a start job queued."""
        properties = "MainPID,ActiveState,SubState,Result,ExecMainStatus,ExecMainCode,Job,LoadState"
        lines = _systemctl("show", f"--property={properties}", unit).splitlines()
        shown = dict(line.split("=", 1) for line in lines if "=" in line)
        state, sub = shown.get("ActiveState", ""), shown.get("SubState", "")
        queued = state in ("inactive", "failed") and shown.get("Job", "") not in ("", "0")
        up = state in ("active", "activating", "reloading") and not sub.startswith("auto-restart")
        detail = f"systemd says {state}/{sub}"
        if not (up or queued):
            if shown.get("LoadState") == "not-found":
                detail = "systemd does not know the unit"
            elif (state, shown.get("Result")) == ("inactive", "success"):
                detail = STOPPED
            elif shown.get("ExecMainCode") == "1":
                detail = f"exit status {shown.get('ExecMainStatus')}"
            elif shown.get("ExecMainCode") in ("2", "3"):
                detail = f"killed by signal {shown.get('ExecMainStatus')}"
            if shown.get("Result") not in ("success", "exit-code", "signal", None):
                detail += f", {shown['Result']}"
        ready, ending = state in ("active", "reloading"), state == "deactivating"
        return Process(int(shown.get("MainPID") or 0), up or queued, detail, ready, ending)

    def words(self, unit: str) -> list[str]:
        """The unit's last lines in the journal."""
        return journal.lines([f"{unit}.service", *companions(unit)])

    def settle_timers(self, app: str, manifest: Manifest | None, check: bool = False) -> bool:
        """Place the units of the timers, and start them."""
        return timers.UnitTimers(self.units, _systemctl).settle(app, manifest, check)

    def timings(self, manifest: Manifest) -> dict[str, timers.Timing]:
        """What systemd's timers say."""
        return timers.UnitTimers(self.units, _systemctl).timings(manifest)

    def instances(self, root: str) -> dict[str, list[str]]:
        """Unit files that are there, and units that are loaded though their file is gone."""
        pattern = f"slipway-{os.path.basename(root)}-*.service"
        listed = _systemctl("list-units", "--all", "--plain", "--no-legend", "--full", pattern)
        known = [line.split()[0] for line in listed.splitlines() if line.strip()]
        known += os.listdir(self.units)
        return releases_of(root, {n.removesuffix(".service") for n in known if n.endswith(".service")})
