"""How ssh lets people into this host: on which ports, and whether by password. `root` stands for `/`, as in `facts`."""

from __future__ import annotations

import os
import re
import subprocess
from typing import Any

from ...contract.errors import HostError
from .reading import program


def access(root: str = "/", me: int | None = None) -> dict[str, Any]:
    """What sshd's configuration says, and the port by which the connection came that this process belongs to.

    Raises:
        HostError: sshd is there, and does not understand its own configuration.
    """
    session = session_port(root, os.getpid() if me is None else me)
    sshd = program(root, "sshd")
    settings = effective(sshd) if sshd and root == "/" else ""
    return {
        "sshd": bool(sshd),
        "ports": sorted({*ports(settings), *([session] if session else [])}),
        "passwords": "passwordauthentication yes" in settings or "kbdinteractiveauthentication yes" in settings,
    }


def effective(sshd: str) -> str:
    """The whole configuration of sshd, defaults and drop-ins included, one setting a line."""
    result = subprocess.run([sshd, "-T"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if result.returncode:
        raise HostError(f"sshd does not understand its configuration, correct it first: {result.stderr.strip()}")
    return result.stdout


def ports(settings: str) -> set[int]:
    """Where sshd listens: it says so address by address, each with its port."""
    return {int(port) for port in re.findall(r"^(?:port |listenaddress .*:)(\d+)$", settings, re.MULTILINE)}


def session_port(root: str, process: int) -> int | None:
    """This host's port of the ssh connection that a process came by; None when it came by none.

    sudo takes the variable away, so the processes above are asked, up to the shell that sshd started.
    """
    while process > 1:
        try:
            with open(os.path.join(root, f"proc/{process}/environ"), "rb") as handle:
                match = re.search(rb"(?:^|\0)SSH_CONNECTION=\S+ \d+ \S+ (\d+)(?:\0|$)", handle.read())
            with open(os.path.join(root, f"proc/{process}/stat"), encoding="utf-8", errors="replace") as handle:
                process = int(handle.read().rpartition(")")[2].split()[1])  # the parent (proc(5), field 4)
        except OSError:
            return None
        if match:
            return int(match[1])
    return None
