"""Static files: what nginx serves of a release, and of those before it that are still kept.

`releases/<id>/static/` leads from URL paths to the release's folders; nginx looks there first, through `current`. A page
that was loaded before a switch asks for files of the release it came from: `<root>/assets/` has the files of all kept
releases as hard links, and nginx looks there second.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

from . import files


def lay_out(path: str, folders: Mapping[str, str]) -> list[str]:
    """Make `<path>/static/` of a release: each URL prefix a link to its folder; returns the folders that are not there."""
    missing = []
    for prefix, folder in folders.items():
        target = os.path.join(path, "code", folder.strip("/"))
        if not os.path.isdir(target):
            missing.append(folder)
            continue
        link = os.path.join(path, "static", prefix.strip("/"))
        os.makedirs(os.path.dirname(link), 0o755, exist_ok=True)
        os.symlink(target, link)
    return missing


def published(path: str, folders: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Every static file of the release at `path`: its place below `assets/`, and itself. Links are left out."""
    for prefix, folder in folders.items():
        top = os.path.join(path, "code", folder.strip("/"))
        for place, _folders, names in os.walk(top):
            for name in names:
                file = os.path.join(place, name)
                if not os.path.islink(file) and os.path.isfile(file):
                    yield os.path.join(prefix.strip("/"), os.path.relpath(file, top)), file


def publish(root: str, path: str, folders: Mapping[str, str]) -> None:
    """Add a release's static files to `<root>/assets/`; of two with one name the last release's stays."""
    for name, file in published(path, folders):
        target = os.path.join(root, "assets", name)
        os.makedirs(os.path.dirname(target), 0o755, exist_ok=True)
        if not (os.path.exists(target) and os.path.samefile(target, file)):
            draft = f"{target}.slipway-new"
            files.remove_file(draft)
            os.link(file, draft)
            os.rename(draft, target)


def unneeded(root: str, kept: Iterable[tuple[str, Mapping[str, str]]]) -> list[str]:
    """The files below `<root>/assets/` that no kept release (its path and folders) has."""
    top = os.path.join(root, "assets")
    needed = {name for path, folders in kept for name, _file in published(path, folders)}
    found = []
    for place, _folders, names in os.walk(top):
        found += [
            os.path.join(place, name) for name in names if os.path.relpath(os.path.join(place, name), top) not in needed
        ]
    return found
