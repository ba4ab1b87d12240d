"""Slow clients (slowhttptest) and many requests at once (h2load), and how long a normal client waits meanwhile."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .site import Site

CONNECTIONS = 500
"""Slow clients at once, if the host that attacks can start as many in the time."""
LEAST = 100
"""How many there must be, so that the attack is one."""
SECONDS = 12
"""How long each attack lasts."""
PATIENCE = 1.0
"""Seconds that a normal client waits at most."""
ATTACKS: Mapping[str, tuple[str, ...]] = {
    "headers": ("-H", "-i", "2", "-x", "24"),
    "body": ("-B", "-i", "2", "-s", "8192", "-x", "10"),
    "read": ("-X", "-w", "10", "-y", "20", "-n", "2", "-z", "16", "-k", "3"),
}
"""Headers and bodies that never end, and answers that are read a few bytes at a time."""
REQUESTS, CLIENTS, STREAMS = 10_000, 50, 20


def slow(site: Site, kind: str, path: str) -> list[str]:
    """The command for an attack with slow clients. The host that runs it must know the site's name."""
    limits = ["-c", str(CONNECTIONS), "-r", str(CONNECTIONS // 2), "-l", str(SECONDS), "-p", "5"]
    return ["slowhttptest", *ATTACKS[kind], *limits, "-u", f"https://{site.name}{path}"]


def opened(output: str) -> int:
    """How many slow clients were connected at most, by slowhttptest's reports."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    return max((int(number) for number in re.findall(r"connected:\s+(\d+)", plain)), default=0)


def many(site: Site, path: str) -> list[str]:
    """The command that sends REQUESTS over HTTP/2."""
    load = [f"--requests={REQUESTS}", f"--clients={CLIENTS}", f"--max-concurrent-streams={STREAMS}"]
    return ["h2load", *load, f"--connect-to={site.address}:443", f"https://{site.name}{path}"]


def lost(output: str) -> int:
    """How many of h2load's requests got no answer with a status of 2xx."""
    match = re.search(r"^status codes: (\d+) 2xx", output, re.MULTILINE)
    return REQUESTS - int(match[1] if match else 0)
