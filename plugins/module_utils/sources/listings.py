"""What the controller remembers of the code that it sent, so that the next time only what changed needs to travel."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from .cache import KEPT, Cache, prune
from .files import LINK, Entry, Files


def mark(entry: Entry) -> str:
    """What tells a file from any other at the same path."""
    detail = entry.target if entry.kind == LINK else entry.digest
    return (entry.kind + detail.hex().encode()).decode("ascii")


def remember(cache: Cache, files: Files) -> None:
    """Keep the paths and marks of the files under their hash; forget those that nobody used for long."""
    folder = cache.folder("listings")
    path = folder / files.hash
    if path.exists():
        os.utime(path)
        return
    prune(folder, KEPT)
    marks = {name: mark(entry) for name, entry in zip(files.files, files.entries, strict=True)}
    descriptor, temporary = tempfile.mkstemp(dir=folder)
    with os.fdopen(descriptor, "wb") as out:
        out.write(gzip.compress(json.dumps(marks).encode(), 3, mtime=0))
    Path(temporary).rename(path)


def recall(cache: Cache, code: str) -> Mapping[str, str] | None:
    """The marks by path of the files with that hash; None when they were not sent from here, or long ago."""
    path = cache.folder("listings") / os.path.basename(code)
    with contextlib.suppress(OSError, ValueError, EOFError):
        found: dict[str, str] = json.loads(gzip.decompress(path.read_bytes()))
        return found
    return None


def since(files: Files, before: Mapping[str, str]) -> tuple[Files, list[str]]:
    """The files that are new or changed since `before`, and the paths of those that are not."""
    same = {name for name, entry in zip(files.files, files.entries, strict=True) if before.get(name) == mark(entry)}
    changed = tuple(entry for name, entry in zip(files.files, files.entries, strict=True) if name not in same)
    return Files(changed, files.root), sorted(same)
