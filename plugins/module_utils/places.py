"""The place of a value in the inventory: `file:line:column`, short enough to read and to click."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

try:  # ansible-core 2.19 keeps the origin, but has no public name for it yet
    from ansible._internal._datatag._tags import Origin
except ImportError:
    Origin = None


def of(*values: Any) -> str:
    """Return the place of the first value that has one: `-e` for the command line, empty if none has."""
    for value in values:
        origin = None if Origin is None else value if isinstance(value, Origin) else Origin.get_tag(value)
        if origin is None:
            continue
        if origin.path:
            near = Path(origin.path).is_relative_to(Path.cwd())
            parts = (os.path.relpath(origin.path) if near else origin.path, origin.line_num, origin.col_num)
            return ":".join(str(part) for part in parts if part)
        if "-e" in (origin.description or ""):
            return "-e"
    return ""
