"""Words of messages that several parts share, and counted ones, right for one as for several."""

from __future__ import annotations

STOPPED = "stopped"
"""What a process manager's state of a program is called that was asked to stop, and did so."""

CONFLICT = "conflicting server name"
"""How nginx begins to say that it ignores one of two sites, because both have a name."""


def counted(number: int, noun: str, several: str = "") -> str:
    """A number with its noun: `1 request`, `2 requests`, `0 requests`.

    Args:
        number: how many.
        noun: the noun for one, perhaps with words after it.
        several: the same for several, where an `s` at its end is not it.
    """
    return f"{number} {noun if number == 1 else several or noun + 's'}"
