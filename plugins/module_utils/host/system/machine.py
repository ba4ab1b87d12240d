"""What the machine gives: cores, memory, IPv6, what starts at boot. The limits of control groups count, of version 1 and 2."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import socket

from ...contract import names
from .reading import at, read

UNITS = ("/etc/systemd/system", names.SYSTEMD)
"""The folders with an administrator's links to units. A unit that is linked to nothing there is masked."""


def ipv6() -> bool:
    """Say whether this host can listen on IPv6 at all; where it cannot, nginx would not start."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as server:
            server.bind(("::1", 0))
    except OSError:
        return False
    return True


def starts_at_boot(root: str, service: str) -> bool:
    """Say whether a service starts at boot, by the links that the host's init reads. A masked one does not."""
    if not os.path.isdir(at(root, names.SYSTEMD)):
        return bool(glob.glob(at(root, f"/etc/rc[2-5].d/S[0-9][0-9]{service}")))
    return not masked(root, service) and bool(glob.glob(at(root, f"{UNITS[0]}/*.wants/{service}.service")))


def masked(root: str, service: str) -> bool:
    """Say whether an administrator has masked a service. systemd then starts it no more, and does not reload it either."""
    for folder in UNITS:
        with contextlib.suppress(OSError):
            if os.readlink(at(root, f"{folder}/{service}.service")) == os.devnull:
                return True
    return False


def cores(root: str) -> int:
    """Return the cores this host may use: the smaller of the affinity and the control groups' quota, at least 1."""
    count = float(len(os.sched_getaffinity(0)))
    for folder in cgroups(root, "cpu"):
        limit = (read("/", f"{folder}/cpu.max") or "").split()  # version 2: "quota period" or "max period"
        if not limit:
            parts = [read("/", f"{folder}/cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
            limit = [part.strip() for part in parts]
        if len(limit) == 2 and limit[0].isdigit() and limit[1].isdigit() and int(limit[1]) > 0:
            count = min(count, int(limit[0]) / int(limit[1]))
    return max(1, int(count))


def memory(root: str) -> int:
    """Return the bytes this host may use: the smaller of the machine's memory and the control groups' limit."""
    match = re.search(r"^MemTotal:\s+(\d+) kB", read(root, "/proc/meminfo") or "", re.MULTILINE)
    sizes = [int(match[1]) * 1024] if match else []
    for folder in cgroups(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = (read("/", f"{folder}/{name}") or "").strip()
            if text.isdigit():
                sizes.append(int(text))
    return min(sizes, default=0)


def cgroups(root: str, controller: str) -> list[str]:
    """Return the control group folders whose limits hold here, for versions 1 and 2, innermost first."""
    base = at(root, "/sys/fs/cgroup")
    folders: list[str] = []
    for line in (read(root, "/proc/self/cgroup") or "0::/").splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number == "0":
            tops = [base, os.path.join(base, "unified")]
        elif controller in names.split(","):
            tops = [os.path.join(base, names), os.path.join(base, controller)]
        else:
            continue
        for top in tops:
            # in a container the path may be the host's, of which only the root is visible here
            while True:
                folders.append(os.path.join(top, path.strip("/")))
                if path.strip("/") == "":
                    break
                path = os.path.dirname(path.rstrip("/"))
            path = rest.partition(":")[2]
    return [folder for folder in dict.fromkeys(os.path.normpath(folder) for folder in folders) if os.path.isdir(folder)]
