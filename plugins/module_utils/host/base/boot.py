"""Which boot of the host this is."""

from __future__ import annotations

from . import atomic


def boot_id() -> str:
    """What tells this boot of the host from the next."""
    data = atomic.read("/proc/sys/kernel/random/boot_id")
    return data.decode().strip() if data else ""
