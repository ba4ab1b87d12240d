"""Installing the distribution's packages: what is needed, whatever else is wrong with the host's package sources."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import time
from collections.abc import Sequence

from ...contract.errors import HostError
from .ports import name_of

LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock", "/var/cache/apt/archives/lock")
STATUS = "/var/lib/dpkg/status"
WAIT = 600.0
"""Seconds that another program may keep apt's locks: unattended-upgrades takes minutes on a host that was off for months."""
DEADLINE = 1800.0
"""Seconds of one command; a slow mirror and a slow disk take a few minutes."""
TELLING = re.compile(r"(?m)^(?:E|W|Err|dpkg|N): ?.*$")
UNKNOWN = "apt knows no such package on this host; correct the name, or add the source that has it to the host"
_ABSENT = re.compile(
    r"(?m)^E: (?:Unable to locate package (\S+)|Package '([^']+)' has no installation candidate|Couldn't find any package by \S+ '([^']+)')"
)
OPTIONS = (
    "-o",
    "DPkg::Lock::Timeout=120",
    "-o",
    "Dpkg::Options::=--force-confdef",
    "-o",
    "Dpkg::Options::=--force-confold",
    # A name that apt does not know is no pattern: libpython3.1 would bring 47 packages.
    "-o",
    "APT::Cmd::Pattern-Only=true",
)

LEAN = ("cron",)
"""Packages that are installed without those that they recommend: cron recommends a mail server."""


def install(names: Sequence[str], optional: Sequence[str] = ()) -> tuple[list[str], dict[str, str]]:
    """Install packages by apt. Raises HostError.

    The index is fetched only where it is needed. A source that does not answer matters only if no other source has what
    is needed.

    Args:
        names: what is needed.
        optional: those of them that an app asks for: without one of these the others are still installed.

    Returns:
        What the user should know, and the optional packages that are not available, each with the reason.
    """
    wait()
    if unfinished():
        run("dpkg", "--force-confdef", "--force-confold", "--configure", "-a")
    if not _apt(names)[0]:
        return [], {}
    wait()
    status, listing = run("apt-get", "--quiet", *OPTIONS, "update")
    faults = [line for line in TELLING.findall(listing) if "Failed to fetch" in line or line.startswith("E:") or status]
    failed, output = _apt(names)
    left, absent = list(names), dict[str, str]()
    if failed:
        absent = {name: UNKNOWN for groups in _ABSENT.findall(output) for name in groups if name in optional}
        if absent:
            left = [name for name in left if name not in absent]
            failed, output = _apt(left)
    if failed and set(left) & set(optional):
        # They do not go together, or not with what is installed. What the kit itself needs is no part of that.
        why = f"apt cannot install it: {'; '.join(TELLING.findall(output)[-3:])}"
        absent |= {name: why for name in left if name in optional}
        left = [name for name in left if name not in optional]
        failed, output = _apt(left)
    if failed:
        lines = [*TELLING.findall(output)[-5:], *faults[:5]] or output.strip().splitlines()[-5:]
        raise HostError(f"apt cannot install {', '.join(left)}:\n" + "\n".join(lines))
    what = "and not all that the apps need was found" if absent else "though all that is needed was found"
    return [f"a package source does not work, {what}: {line}" for line in faults[:3]], absent


def _apt(names: Sequence[str]) -> tuple[int, str]:
    """The status of an installation, and what apt printed."""
    reply = ""
    lean = [name for name in names if name in LEAN]
    rest = [name for name in names if name not in LEAN]
    for group, options in ((lean, ("--no-install-recommends",)), (rest, ())):
        if not group:
            continue
        wait()
        # Installed packages stay: another program needs them.
        status, output = run("apt-get", "--yes", "--quiet", *OPTIONS, *options, "--no-remove", "install", *group)
        reply += output
        if status:
            return status, reply
    return 0, reply


def run(*command: str) -> tuple[int, str]:
    """The status of a command and what it said. Raises HostError when it does not end."""
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
    try:
        result = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=DEADLINE,
        )
    except subprocess.TimeoutExpired:
        raise HostError(f"{' '.join(command[:2])} did not end within {DEADLINE:g} s") from None
    except OSError as exc:
        raise HostError(f"{command[0]} cannot be run: {exc}") from exc
    return result.returncode, result.stdout


def unfinished(path: str = STATUS) -> bool:
    """Say whether packages are unpacked and not configured, as after a power cut."""
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return (
                re.search(r"(?m)^Status: \S+ \S+ (?:half-configured|unpacked|half-installed)$", handle.read())
                is not None
            )
    except OSError:
        return False


def wait(locks: Sequence[str] = LOCKS, seconds: float = WAIT) -> None:
    """Wait until no process holds apt's locks. Raises HostError, with the holder's name, when that takes too long."""
    end = time.monotonic() + seconds
    while held := [(path, pid) for path in locks if (pid := holder(path))]:
        path, pid = held[0]
        if time.monotonic() > end:
            raise HostError(
                f"{name_of('/', pid) or 'a program'} (process {pid}) has held apt's lock {path} for more than {seconds:g} s; "
                "wait until it is done, or end it"
            )
        time.sleep(min(1.0, seconds / 10))


def holder(path: str) -> int:
    """The process that holds a lock; 0 when none does, or there is no such file."""
    try:
        with open(path, "rb+") as handle:
            asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind, _, _, _, pid = struct.unpack("hhqqi4x", fcntl.fcntl(handle, fcntl.F_GETLK, asked))
    except OSError:
        return 0
    return 0 if kind == fcntl.F_UNLCK else int(pid)
