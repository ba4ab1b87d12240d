"""Remembers the code that the controller sent, so that it sends only changed files next time."""

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
    """Return a mark that distinguishes a file from any other at the same path."""
    detail = entry.target if entry.kind == LINK else entry.digest
    return (entry.kind + detail.hex().encode()).decode("ascii")


def remember(cache: Cache, files: Files) -> None:
    """Keep the paths and marks of the files under their hash. Drop those not used for long."""
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
    """Return the marks of the files with that hash, by path; None if this controller did not send them, or long ago."""
    path = cache.folder("listings") / os.path.basename(code)
    with contextlib.suppress(OSError, ValueError, EOFError):
        marks: dict[str, str] = json.loads(gzip.decompress(path.read_bytes()))
        return marks
    return None


def since(files: Files, before: Mapping[str, str]) -> tuple[Files, list[str]]:
    """Split files into those that are new or changed since `before`, and the paths of the others."""
    same = {name for name, entry in zip(files.files, files.entries, strict=True) if before.get(name) == mark(entry)}
    changed = tuple(entry for name, entry in zip(files.files, files.entries, strict=True) if name not in same)
    return Files(changed, files.root), sorted(same)
