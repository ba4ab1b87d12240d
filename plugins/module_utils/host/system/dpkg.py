"""Reads dpkg's own record: which packages are installed, and what they brought."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from .reading import read

STATUS = "/var/lib/dpkg/status"


def missing(root: str, names: Sequence[str]) -> list[str]:
    """Return those of ``names`` that are not installed."""
    status = _status(root)
    return [name for name in names if not _has(status, name)]


def brought(root: str, path: str, data: bytes) -> bool:
    """Say whether the configuration file ``path``, with the content ``data``, is as a package brought it."""
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()  # dpkg's own record is an md5
    return bool(re.search(rf"\n {re.escape(path)} {md5}(?=\s)", _status(root)))


def _status(root: str) -> str:
    return "\n" + (read(root, STATUS) or "")


def _has(status: str, name: str) -> bool:
    """Say whether a package is installed, or one that provides it, in any architecture."""
    for match in re.finditer(rf"\n(?:Package: |Provides: (?:.*[\s,])?){re.escape(name)}(?=[\s,(]|$)", status):
        start = status.rfind("\n\n", 0, match.start() + 1) + 1
        end = status.find("\n\n", match.start() + 1)
        if "\nStatus: install ok installed\n" in status[start : end if end >= 0 else None]:
            return True
    return False
