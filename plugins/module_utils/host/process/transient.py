"""Runs commands in transient units of systemd's: the unit's control group ends with the command."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace

from ...contract import names
from ...contract.errors import HostError
from ..base import atomic, processes
from ..base.ending import ending
from . import journal
from .cells import Cell, Outcome, Sink
from .running import ENDED, Running

BACKSTOP = 30
"""Seconds beyond the deadline after which systemd ends a command that no process watches any more."""
SYSTEMD_RUN = "systemd-run"
BEGIN = "import os, sys; os.write(2, os.fsencode(sys.argv[1]) + b'\\n'); os.execvp(sys.argv[2], sys.argv[2:])"
"""Says that the cell is set up, and becomes the command.

It is a Python program like the launcher, so limits that let the app's commands through let this one through, too.
"""
BUS = "/run/dbus/system_bus_socket"
"""Where systemd is asked to run a command."""
SLICE = "system-slipwaybuilds.slice"
"""In which all builds are: an app is built on each core at once."""
SLICE_FILE = f"{names.SYSTEMD}/{SLICE}"
"""Where systemd finds it when a build names it. Nothing else needs it, so it may be gone when the host has restarted."""
SLICE_TEXT = """\
# Managed by Slipway: what all builds of virtualenvs may take together.
[Slice]
MemoryMax=75%
"""
PASSED = re.compile(
    r"(Ambient|Bind|CPU|Capability|Device|IO|IPAddress|Limit|Memory|Private|Protect|Restrict|SocketBind|SystemCall"
    r"|Tasks)\w*|(Exec|Inaccessible|NoExec|ReadOnly|ReadWrite)Paths|AppArmorProfile|KeyringMode|LockPersonality"
    r"|NetworkNamespacePath|Nice|NoNewPrivileges|OOMScoreAdjust|ProcSubset|RemoveIPC|SecureBits|Slice"
    r"|SupplementaryGroups|TemporaryFileSystem|UMask"
)
"""The settings of an instance's unit that hold for everything that runs as its user."""


def sandbox(unit: str) -> tuple[str, ...]:
    """Of a unit file's [Service] section the settings that hold for everything that runs as its user, in their order."""
    properties = []
    section = ""
    for line in map(str.strip, re.sub(r"\\\n", " ", unit).splitlines()):
        if line.startswith("["):
            section = line
        key, equals, value = line.partition("=")
        if section == "[Service]" and equals and PASSED.fullmatch(key.strip()):
            properties.append(f"{key.strip()}={value.strip().replace('%%', '%')}")
    return tuple(properties)


def run(
    command: Sequence[str],
    cell: Cell,
    deadline: float,
    stdin: bytes | int,
    watch: Callable[[], str] | None,
    sink: Sink | None,
) -> Outcome:
    """Run a command in a transient unit; see `confine.run`."""
    if not processes.listens(BUS):
        _systemctl("start", "dbus.socket")  # it may just have been installed, where nothing starts by itself
        if not processes.listens(BUS):
            raise HostError(
                f"systemd cannot run a command for {cell.user}, since no process listens on {BUS}: install the package "
                "dbus, or see why dbus.socket does not start"
            )
    if f"Slice={SLICE}" in cell.properties and not os.path.exists(SLICE_FILE):
        atomic.write(SLICE_FILE, SLICE_TEXT.encode())
    try:
        return _Unit(command, cell, deadline).outcome(deadline, stdin, watch, sink)
    except _NotBegun as error:
        if "was already loaded" not in str(error):
            raise
    _systemctl("stop", cell.unit)
    return _Unit(command, cell, deadline).outcome(deadline, stdin, watch, sink)


def _systemctl(*words: str) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            ["systemctl", "--quiet", "--no-ask-password", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=ENDED,
            check=False,
        )


def described(cell: Cell) -> list[str]:
    """The options of systemd-run for a cell's unit, which is waited for."""
    properties = (
        *cell.properties,
        *(f"Limit{name.upper()}={number}" for name, number in cell.limits.items()),
        f"User={cell.user}",
        f"Group={cell.group}",
        # What is left when the command ends, or when no process watches it any more, gets no time of grace.
        "KillMode=control-group",
        "KillSignal=SIGKILL",
    )
    options = ["--quiet", "--collect", "--wait", "--service-type=exec", f"--unit={cell.unit}"]
    options.append(f"--description=Slipway: {cell.unit.rpartition('-')[2]} for {cell.user}")
    return [*options, *(f"--property={text}" for text in properties)]


def literal(command: Sequence[str]) -> list[str]:
    """A command's words for systemd-run, which puts variables into them, except where the sign is doubled."""
    return [word.replace("$", "$$") for word in command]


class _NotBegun(HostError):
    """Nothing of a command has run: systemd did not set its cell up."""


class _Unit(Running):
    """A transient unit: its control group ends with it."""

    def __init__(self, command: Sequence[str], cell: Cell, deadline: float) -> None:
        options = [*described(cell), "--pipe", f"--property=RuntimeMaxSec={deadline + BACKSTOP:.0f}"]
        # Both write to the same place, systemd-run and the command, but the command cannot before this mark. The command
        # does not know the mark beforehand, and what comes after it steers nothing.
        self._mark = secrets.token_hex(16)
        begin = ["/usr/bin/python3", "-I", "-S", "-c", BEGIN, self._mark]
        super().__init__([SYSTEMD_RUN, *options, "--", *begin, *literal(command)], cell.unit)

    def outcome(
        self, deadline: float, stdin: bytes | int, watch: Callable[[], str] | None, sink: Sink | None = None
    ) -> Outcome:
        result = super().outcome(deadline, stdin, watch, sink)
        before, begun, output = result.stderr.partition(f"{self._mark}\n")
        if begun:
            return replace(result, stderr=output)
        if result.timed_out or result.stopped:
            return result
        lines = before.strip().splitlines()[:1]
        if not lines:
            lines = [line for line in journal.lines([f"{self._unit}.service"]) if "Failed " in line][:2]
        raise _NotBegun(f"{self._unit} could not be started: {'; '.join(lines) or f'{ending(result.status)}'}")

    def end(self, process: subprocess.Popen[bytes]) -> None:
        _systemctl("stop", self._unit)
