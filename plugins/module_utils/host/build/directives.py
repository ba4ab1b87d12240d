"""Finds lines of `unit_extra` that the host's systemd would ignore, since it does not know their names."""

from __future__ import annotations

import difflib
import os
import re
import subprocess
from collections.abc import Sequence

from .errors import BuildError

PROGRAMS = ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")
"""Where distributions have systemd's own program. It lists all names that it knows in 10 ms."""
SECTION = "[Service]"
"""The section into which templates write `unit_extra`."""


def check(names: Sequence[str]) -> None:
    """Refuse a name that systemd does not know.

    Raises:
        BuildError: with the name, and the nearest known one.
    """
    known = _known() if names else []
    for name in names:
        if known and name not in known:
            near = difflib.get_close_matches(name.lower(), [one.lower() for one in known], n=1)
            nearest = next((one for one in known if near and one.lower() == near[0]), "")
            hint = f"did you mean {nearest}?" if nearest else "correct it, or leave it out"
            raise BuildError(
                f"unit_extra sets {name}, which this host's systemd does not know and would ignore; {hint}"
            )


def _known() -> list[str]:
    """The names of a service's settings; empty where systemd does not list them."""
    program = next((path for path in PROGRAMS if os.path.exists(path)), None)
    if program is None:
        return []
    result = subprocess.run(
        [program, "--dump-configuration-items"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    section = result.stdout.partition(f"{SECTION}\n")[2].partition("\n[")[0]
    return [] if result.returncode else re.findall(r"(?m)^(\w+)=", section)
