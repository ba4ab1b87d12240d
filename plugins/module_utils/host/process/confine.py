"""Runs what an app or a package wrote: as an unprivileged user, under a deadline and limits, and all of it ends with it.

Root never runs such a thing itself: not what builds a virtualenv, not an app's import, not a hook. Under systemd each
command gets a transient unit. Elsewhere a process of the kit watches over it (`reaper`), with the limits that a process
can have.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from ...contract.errors import HostError
from ...contract.manifest import Manifest
from . import managers
from .cells import Cell, Outcome, Sink
from .running import LETTERS, ask, last
from .transient import SLICE

__all__ = ["LETTERS", "Cell", "Outcome", "Sink", "app", "ask", "builder", "installer", "last", "run"]

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
    # The apps of the host keep running meanwhile, however many builds there are.
    f"Slice={SLICE}",
    "TasksMax=1024",
)
"""The sandbox of a build: what packages need to be built, which is a network, a compiler and a folder."""
BUILD_LIMITS = {"core": 0, "fsize": 8 * 1024**3}
"""Of each of its processes. The largest libraries that a wheel brings have 2 GiB."""
BUILD_TASKS = 1024


def app(manifest: Manifest, what: str) -> Cell:
    """The cell for an app's code: the sandbox and the limits of the release's own instance.

    Args:
        manifest: of the release that the app runs from.
        what: for what the command runs, a word.

    Raises:
        HostError: the release has no unit file.
    """
    path = os.path.join(manifest.path, manifest.unit_file)
    try:
        with open(path, encoding="utf-8") as handle:
            text = handle.read()
    except OSError as error:
        raise HostError(
            f"{path} cannot be read ({error.strerror}): the release is incomplete; deploy it again"
        ) from error
    properties, limits = managers.kind(manifest.manager).confinement(text)
    return Cell(manifest.user, manifest.group, f"slipway-{manifest.app}-{what}", properties, limits)


def builder(name: str, user: str, folders: Sequence[str], interpreter: str) -> Cell:
    """The cell for building an app's virtualenv, or the rest of its code: it writes `folders` and nothing else.

    An interpreter below /home, which only an app with a hole in its sandbox can use, can be read, too.
    """
    home = interpreter.startswith(("/home/", "/root/", "/run/user/"))
    writes = (f"ReadWritePaths={folder}" for folder in folders)
    properties = (*BUILD, *writes, f"ProtectHome={'read-only' if home else 'yes'}")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    apart = {"as": memory, "nproc": BUILD_TASKS}
    return Cell(user, user, f"slipway-{name}-build", properties, BUILD_LIMITS, apart)


def installer(folder: str) -> Cell:
    """The cell in which root has a tool fill a folder: it has no other right than that."""
    properties = (*BUILD, f"ReadWritePaths={folder}", "ProtectHome=yes")
    return Cell("root", "root", "slipway-interpreter-install", properties, BUILD_LIMITS)


def run(
    command: Sequence[str],
    cell: Cell,
    deadline: float,
    stdin: bytes | int = b"",
    watch: Callable[[], str] | None = None,
    sink: Sink | None = None,
) -> Outcome:
    """Run a command in its cell; when this returns nothing of it is alive.

    Args:
        command: what the user runs, with its arguments.
        cell: its user and limits.
        deadline: seconds after which all of it is killed.
        stdin: what it may read, or a descriptor to read from.
        watch: asked while it runs; what it answers ends the command, and becomes the outcome's `stopped`.
        sink: takes its standard output as it comes; the outcome has none then.

    Raises:
        HostError: its cell could not be set up, or something in it cannot be ended.
    """
    return managers.runner()(command, cell, deadline, stdin, watch, sink)
