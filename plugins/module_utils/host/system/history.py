"""What releases an app has on this host, and how they came there."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

from ...contract.manifest import app_name, release_path
from ...contract.names import RELEASE
from ..base import atomic, trees
from . import releases
from .lock import JOURNAL


def history(root: str, journal: str = JOURNAL) -> list[dict[str, Any]]:
    """The complete releases of an app, the last made current first."""
    app, current = app_name(root), releases.current(root)
    previous = releases.Activation(root, current).previous if current else None
    by = {line.get("to"): line.get("who") for line in lines(journal) if line.get("app") == app}
    entries = []
    for name in atomic.directories(os.path.join(root, "releases")):
        manifest = atomic.read_json(os.path.join(root, "releases", name, "manifest.json"))
        if not RELEASE.fullmatch(name) or not manifest:
            continue
        mark = releases.mark_of(root, name)
        entries.append(
            {
                "app": app,
                "id": name,
                "version": manifest.get("version", ""),
                "when": releases.Activation(root, name).when,
                "who": by.get(name) or "",
                "bytes": trees.size(release_path(root, name)),
                "current": name == current,
                "previous": name == previous,
                "bad": mark.reason if mark else None,
            }
        )
    return sorted(entries, key=lambda one: (one["when"], one["id"]), reverse=True)


def lines(journal: str = JOURNAL) -> list[dict[str, Any]]:
    """The journal's lines; one that a full disk cut short is left out."""
    entries = []
    for line in (atomic.read(journal) or b"").splitlines():
        with contextlib.suppress(ValueError):
            one = json.loads(line)
            entries += [one] if isinstance(one, dict) else []
    return entries
