"""How a process ended, in words."""

from __future__ import annotations

import signal

BY_SHELL = 128
"""What a shell adds to a signal's number to make a status of it."""


def ending(status: int) -> str:
    """The words for a status, as in "failed with …": of a signal, its name."""
    number = -status if status < 0 else status - BY_SHELL
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"status {status}"
    return f"signal {name}" if status < 0 else f"status {status} ({name})"
