"""Runs what an app or a package wrote: as an unprivileged user, under a deadline and limits, and all of it ends with it.

Root never runs such a thing itself: not what builds a virtualenv, not an app's import, not a hook. Under systemd each
command gets a transient unit; elsewhere a process of the kit's watches over it (`reaper`), with the limits that a
process can have.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import secrets
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ...contract.manifest import HostError, Manifest
from ..base import atomic
from . import managers

HEAD, TAIL = 64 * 1024, 192 * 1024
"""Bytes that are kept of an output: its beginning and its end, where programs say what they do and why they failed."""
PIECE, PIECES = 64 * 1024, 16
"""Bytes that are read at once; and how often, of an output that its command has left behind. A pipe holds 1 MiB at most."""
TICK = 0.25
"""Seconds between two looks at what is watched while a command runs."""
ENDED = 20.0
"""Seconds within which what was killed is gone, unless the kernel or a disk holds it."""
BACKSTOP = 30
"""Seconds beyond the deadline after which systemd ends a command of which nobody takes care any more."""
CUT = "\n[{} bytes are left out here]\n"
"""What stands for the middle of an output."""
LINES, LETTERS = 20, 500
"""What is shown of an output: its last lines, each up to so many letters."""
SYSTEMD_RUN = "systemd-run"
BEGIN = "import os, sys; os.write(2, os.fsencode(sys.argv[1]) + b'\\n'); os.execvp(sys.argv[2], sys.argv[2:])"
"""Says that the cell is set up, and becomes the command.

A program of Python's, as the launcher is: walls that let the app's commands through let this one through, too.
"""
BUS = "/run/dbus/system_bus_socket"
"""Where systemd is asked to run a command."""

SLICE = "system-slipwaybuilds.slice"
"""In which all builds are: an app is built on each core at once."""
SLICE_FILE = f"/run/systemd/system/{SLICE}"
"""Where systemd finds it when a build names it. Nothing else needs it, so it may be gone when the host has restarted."""
SLICE_TEXT = """\
# Managed by Slipway: what all builds of virtualenvs may take together.
[Slice]
MemoryMax=75%
"""

BUILD = (
    "ProtectSystem=strict",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "PrivateIPC=yes",
    "PrivateUsers=yes",
    "ProtectProc=invisible",
    "ProtectHostname=yes",
    "ProtectClock=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    # AF_UNIX: compileall's processes need it from Python 3.12 on.
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "LockPersonality=yes",
    "RemoveIPC=yes",
    "KeyringMode=private",
    "DevicePolicy=closed",
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @resources",
    # What unpacks an archive sets owners; build tools count the processors that they may use.
    "SystemCallFilter=@chown sched_setaffinity",
    "SystemCallErrorNumber=EPERM",
    "UMask=0022",
    # The apps of the host go on meanwhile, however many builds there are.
    f"Slice={SLICE}",
    "TasksMax=1024",
)
"""The sandbox of a build: what packages need to be built, which is a network, a compiler and a folder."""
BUILD_LIMITS = {"core": 0, "fsize": 8 * 1024**3}
"""Of each of its processes. The largest libraries that a wheel brings have 2 GiB."""
BUILD_TASKS = 1024

PASSED = re.compile(
    r"(Ambient|Bind|CPU|Capability|Device|IO|IPAddress|Limit|Memory|Private|Protect|Restrict|SocketBind|SystemCall"
    r"|Tasks)\w*|(Exec|Inaccessible|NoExec|ReadOnly|ReadWrite)Paths|AppArmorProfile|KeyringMode|LockPersonality"
    r"|NetworkNamespacePath|Nice|NoNewPrivileges|OOMScoreAdjust|ProcSubset|RemoveIPC|SecureBits|Slice"
    r"|SupplementaryGroups|TemporaryFileSystem|UMask"
)
"""The settings of an instance's unit that hold for everything that runs as its user."""


@dataclass(frozen=True)
class Cell:
    """As whom a command runs, and within which walls."""

    user: str
    group: str
    unit: str
    """Of its transient unit, without the suffix. One at a time has it: what an earlier run left under it is ended first."""
    properties: tuple[str, ...] = ()
    """The settings of that unit."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """Limits of each process, as prlimit(1) calls them."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str
    timed_out: bool = False
    stopped: str = ""
    """Why it was ended before its deadline, where whoever watched it wanted that."""


def app(release: Manifest, what: str) -> Cell:
    """The cell for an app's code: the sandbox and the limits of the release's own instance.

    Args:
        release: whose.
        what: for what the command runs, a word.

    Raises:
        HostError: the release has no unit file.
    """
    path = os.path.join(release.path, release.unit_file)
    try:
        with open(path, encoding="utf-8") as handle:
            text = handle.read()
    except OSError as error:
        raise HostError(
            f"{path} cannot be read ({error.strerror}): the release is incomplete; deploy it again"
        ) from error
    properties: tuple[str, ...] = ("NoNewPrivileges=yes", "UMask=0027")
    limits: dict[str, int] = {}
    if release.manager == "systemd":
        properties = sandbox(text)
    else:
        limits = {name: int(number) for name, number in re.findall(r"--limit (\w+)=(\d+)", text)}
    return Cell(release.user, release.group, f"slipway-{release.app}-{what}", properties, limits)


def builder(name: str, user: str, folders: Sequence[str], interpreter: str) -> Cell:
    """The cell for building an app's virtualenv, or the rest of its code: it writes `folders` and nothing else.

    An interpreter below /home, which only an app with a hole in its sandbox can use, can be read, too.
    """
    home = interpreter.startswith(("/home/", "/root/", "/run/user/"))
    writes = (f"ReadWritePaths={folder}" for folder in folders)
    properties = (*BUILD, *writes, f"ProtectHome={'read-only' if home else 'yes'}")
    limits = dict(BUILD_LIMITS)
    if not managers.systemd_runs():  # what the units limit together, each process is limited in
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        limits |= {"as": memory, "nproc": BUILD_TASKS}
    return Cell(user, user, f"slipway-{name}-build", properties, limits)


def installer(folder: str) -> Cell:
    """The cell in which root has a tool fill a folder: it has no other right than that."""
    properties = (*BUILD, f"ReadWritePaths={folder}", "ProtectHome=yes")
    return Cell("root", "root", "slipway-interpreter-install", properties, BUILD_LIMITS)


def sandbox(unit: str) -> tuple[str, ...]:
    """Of a unit file's [Service] section the settings that hold for everything that runs as its user, in their order."""
    found = []
    section = ""
    for line in map(str.strip, re.sub(r"\\\n", " ", unit).splitlines()):
        if line.startswith("["):
            section = line
        key, equals, value = line.partition("=")
        if section == "[Service]" and equals and PASSED.fullmatch(key.strip()):
            found.append(f"{key.strip()}={value.strip().replace('%%', '%')}")
    return tuple(found)


def run(
    command: Sequence[str], cell: Cell, deadline: float, stdin: bytes = b"", watch: Callable[[], str] | None = None
) -> Outcome:
    """Run a command in its cell; when this returns nothing of it is alive.

    Args:
        command: what the user runs, with its arguments.
        cell: as whom and within which walls.
        deadline: seconds after which all of it is killed.
        stdin: what it may read.
        watch: asked while it runs; what it answers ends the command, and becomes the outcome's `stopped`.

    Raises:
        HostError: its cell could not be set up, or something in it cannot be ended.
    """
    if not managers.systemd_runs():
        return _Tree(command, cell).outcome(deadline, stdin, watch)
    if not _bus_answers():
        _systemctl("start", "dbus.socket")  # it may just have been installed, where nothing starts by itself
        if not _bus_answers():
            raise HostError(
                f"systemd cannot be asked to run a command for {cell.user}, since nobody listens on {BUS}: install the package "
                "dbus, or see why dbus.socket does not start"
            )
    if f"Slice={SLICE}" in cell.properties and not os.path.exists(SLICE_FILE):
        atomic.write(SLICE_FILE, SLICE_TEXT.encode())
    try:
        return _Unit(command, cell, deadline).outcome(deadline, stdin, watch)
    except _NotBegun as error:
        if "was already loaded" not in str(error):
            raise
    _systemctl("stop", cell.unit)
    return _Unit(command, cell, deadline).outcome(deadline, stdin, watch)


def ask(command: Sequence[str], deadline: float) -> Outcome:
    """Run a command of the system's own, as root, of whose output others may have written a part. Raises HostError."""
    return _Running(command, command[0]).outcome(deadline, b"", None)


def last(output: str, lines: int = LINES) -> str:
    """The last lines of an output, for a message."""
    return "\n".join(line[:LETTERS] for line in output.strip().splitlines()[-lines:])


def _bus_answers() -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        try:
            client.connect(BUS)
        except OSError:
            return False
        return True


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


class _NotBegun(HostError):
    """Nothing of a command has run: systemd did not set its cell up."""


class _Kept:
    """The beginning and the end of an output, whatever its length."""

    def __init__(self) -> None:
        self._head, self._tail, self._left_out = bytearray(), bytearray(), 0

    def add(self, data: bytes) -> None:
        room = HEAD - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > 2 * TAIL:  # not at each call: it moves all that is kept
            self._cut()

    def _cut(self) -> None:
        beyond = max(0, len(self._tail) - TAIL)
        del self._tail[:beyond]
        self._left_out += beyond

    def text(self) -> str:
        self._cut()
        between = CUT.format(self._left_out).encode() if self._left_out else b""
        return b"".join((self._head, between, self._tail)).decode("utf-8", "replace")


class _Running:
    """A command and its output."""

    def __init__(self, argv: Sequence[str], unit: str, pass_fds: Sequence[int] = ()) -> None:
        self._argv, self._unit, self._fds = argv, unit, pass_fds

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """Kill all of it."""
        process.kill()

    def outcome(self, deadline: float, stdin: bytes, watch: Callable[[], str] | None) -> Outcome:
        """Run it to its end, or to what ends it."""
        given = os.memfd_create("stdin")
        try:
            os.write(given, stdin)
            os.lseek(given, 0, os.SEEK_SET)
            process = subprocess.Popen(
                self._argv,
                stdin=given if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
                cwd="/",
                pass_fds=self._fds,
            )
        finally:
            os.close(given)
        try:
            return self._follow(process, time.monotonic() + deadline, watch)
        finally:
            if process.poll() is None:
                self._end(process)
            for pipe in (process.stdout, process.stderr):
                if pipe:
                    pipe.close()

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        self.end(process)
        try:
            process.wait(ENDED)
        except subprocess.TimeoutExpired:
            process.kill()
            raise HostError(
                f"{self._unit} was killed and does not end within {ENDED:.0f} s: what hangs in the kernel ends with its "
                "disk or a restart of the host"
            ) from None

    def _follow(self, process: subprocess.Popen[bytes], until: float, watch: Callable[[], str] | None) -> Outcome:
        kept = {pipe.fileno(): _Kept() for pipe in (process.stdout, process.stderr) if pipe}
        timed_out, stopped = False, ""
        with selectors.DefaultSelector() as selector:
            for pipe in kept:
                os.set_blocking(pipe, False)
                selector.register(pipe, selectors.EVENT_READ)
            while process.poll() is None:
                timed_out = time.monotonic() > until
                stopped = watch() if watch else ""
                if timed_out or stopped:
                    self._end(process)
                    break
                if not selector.get_map():  # it has closed its output, and goes on
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(TICK)
                for key, _ in selector.select(TICK) if selector.get_map() else ():
                    data = os.read(key.fd, PIECE)
                    kept[key.fd].add(data)
                    if not data:
                        selector.unregister(key.fd)
        # What is in a pipe still. Somebody to whom it was handed on may hold its other end: that is not waited for.
        for pipe, keep in kept.items():
            with contextlib.suppress(BlockingIOError):
                for _ in range(PIECES):
                    keep.add(os.read(pipe, PIECE))
        out, err = (keep.text() for keep in kept.values())
        return Outcome(process.returncode, out, err, timed_out, stopped)


class _Unit(_Running):
    """A transient unit: its control group ends with it."""

    def __init__(self, command: Sequence[str], cell: Cell, deadline: float) -> None:
        properties = (
            *cell.properties,
            *(f"Limit{name.upper()}={number}" for name, number in cell.limits.items()),
            f"User={cell.user}",
            f"Group={cell.group}",
            # What is left when the command ends gets no time of grace, and nobody is left when nobody watches any more.
            "KillMode=control-group",
            "KillSignal=SIGKILL",
            f"RuntimeMaxSec={deadline + BACKSTOP:.0f}",
        )
        options = ["--quiet", "--collect", "--wait", "--pipe", "--service-type=exec", f"--unit={cell.unit}"]
        options.append(f"--description=Slipway: {cell.unit.rpartition('-')[2]} for {cell.user}")
        options += [f"--property={text}" for text in properties]
        # systemd puts variables into a command's words, but for what is doubled.
        words = [word.replace("$", "$$") for word in command]
        # Both write to the same place, systemd-run and the command, but the command cannot before this is there. Nobody
        # knows it beforehand, and what comes after it steers nothing.
        self._mark = secrets.token_hex(16)
        begin = ["/usr/bin/python3", "-I", "-S", "-c", BEGIN, self._mark]
        super().__init__([SYSTEMD_RUN, *options, "--", *begin, *words], cell.unit)

    def outcome(self, deadline: float, stdin: bytes, watch: Callable[[], str] | None) -> Outcome:
        done = super().outcome(deadline, stdin, watch)
        said, begun, own = done.stderr.partition(f"{self._mark}\n")
        if begun:
            return replace(done, stderr=own)
        if done.timed_out or done.stopped:
            return done
        lines = said.strip().splitlines()[:1]
        if not lines:
            from .systemd import Systemd

            lines = [line for line in Systemd().words(self._unit) if "Failed " in line][:2]
        raise _NotBegun(f"{self._unit} could not be started: {'; '.join(lines) or f'status {done.status}'}")

    def end(self, process: subprocess.Popen[bytes]) -> None:
        _systemctl("stop", self._unit)


class _Tree(_Running):
    """A tree of processes below one that watches over it."""

    def __init__(self, command: Sequence[str], cell: Cell) -> None:
        from . import reaper

        theirs, self._ours = os.pipe()
        self._theirs = theirs
        # A process that is given this module's own search path: it may be a zip of Ansible's.
        code = f"import sys; sys.path[:0] = {sys.path!r}; from {reaper.__name__} import main; main()"
        super().__init__(
            [sys.executable, "-I", "-S", "-c", code, str(theirs), *_as(cell), *command], cell.unit, [theirs]
        )

    def outcome(self, deadline: float, stdin: bytes, watch: Callable[[], str] | None) -> Outcome:
        try:
            return super().outcome(deadline, stdin, watch)
        finally:
            self._let_go()
            os.close(self._theirs)

    def end(self, process: subprocess.Popen[bytes]) -> None:
        self._let_go()

    def _let_go(self) -> None:
        if self._ours >= 0:
            os.close(self._ours)
            self._ours = -1


def _as(cell: Cell) -> list[str]:
    """The words in front of a command that give it its user and its limits; only root can give another user."""
    words = ["prlimit", *(f"--{name}={number}" for name, number in cell.limits.items()), "--"] if cell.limits else []
    if pwd.getpwnam(cell.user).pw_uid != os.geteuid():
        user = [f"--reuid={cell.user}", f"--regid={cell.group}", "--init-groups", "--no-new-privs"]
        words += ["setpriv", *user, "--"]
    return words
