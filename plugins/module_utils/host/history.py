"""What releases an app has on this host, and how they came there."""

from __future__ import annotations

import json
import os
from typing import Any

from . import files, releases
from .lock import JOURNAL
from .manifest import RELEASE, app_name, release_path


def history(root: str, journal: str = JOURNAL) -> list[dict[str, Any]]:
    """The complete releases of an app, the last made current first."""
    app, current = app_name(root), releases.current(root)
    previous = releases.Activation(root, current).previous if current else None
    by = {line["to"]: line["who"] for line in lines(journal) if line["app"] == app and line["outcome"] == "ok"}
    found = []
    for name in files.directories(os.path.join(root, "releases")):
        manifest = files.read_json(os.path.join(root, "releases", name, "manifest.json"))
        if not RELEASE.fullmatch(name) or not manifest:
            continue
        bad = files.read_json(os.path.join(release_path(root, name), "bad.json"))
        found.append(
            {
                "app": app,
                "id": name,
                "version": manifest["version"],
                "when": releases.Activation(root, name).when,
                "who": by.get(name, ""),
                "bytes": size(release_path(root, name)),
                "current": name == current,
                "previous": name == previous,
                "bad": bad["reason"] if bad else None,
            }
        )
    return sorted(found, key=lambda one: (one["when"], one["id"]), reverse=True)


def lines(journal: str = JOURNAL) -> list[dict[str, Any]]:
    """The journal's lines; one that a full disk cut short is left out."""
    found = []
    for line in (files.read(journal) or b"").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def size(path: str) -> int:
    """Bytes of the files below a folder; what releases share by hard links counts for each of them."""
    total = 0
    for folder, _folders, names in os.walk(path):
        for name in names:
            total += os.lstat(os.path.join(folder, name)).st_size
    return total
