"""What nginx would serve of a source: the check that needs no host. The host's own is `host/files/assets.py`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ..host.files.assets import hidden
from .errors import printable
from .files import Files, located, resolve


def missing(files: Files, folder: str, source: Mapping[str, object], base: Path) -> str | None:
    """Why a source has no file in a static folder, and what to do; None when it has one."""
    top = resolve(files.links, folder.encode().strip(b"/"))
    if top is None or any(entry.path.startswith(top + b"/") for entry in files.entries):
        return None
    remedy = (
        "have it made, on the host by `build` or on the controller by `source.build`, or take it out of .gitignore, by a line such "
        f"as `!/{folder.strip('/')}/`, and commit it"
    )
    # Only whether it is there; nothing of it is read.
    if "path" in source and os.path.isdir(located(base, str(source["path"])) / folder):
        return (
            f"is {folder!r}, which is there but is not shipped, since git ignores it (or it is empty); take it in by "
            f"`source.include: [{folder.strip('/')}]`, or {remedy}"
        )
    if _ignored(files, folder.strip("/")):
        return f"is {folder!r}, which the source does not have: it is built, and git ignores it; {remedy}"
    return f"is {folder!r}, which the source does not have; correct it, or have `build` make it"


def shadowed(files: Files, folder: str, app_folder: str) -> str:
    """That a static folder is the app's own on the host though the source has one of that path; empty where it has none."""
    top = "/".join(part for part in (app_folder.strip("/"), folder.strip("/")) if part)
    if not any(path.startswith(f"{top}/") for path in files.files):
        return ""
    return (
        f"static: {folder} is that folder of the app's shared folder on the host, and not the one of its source; write ./{folder} "
        "to serve the source's"
    )


def _ignored(files: Files, folder: str) -> bool:
    """Whether a .gitignore of the source names a folder, as far as its plain patterns tell."""
    parts = folder.split("/")
    for depth in range(len(parts)):
        text = files.read("/".join([*parts[:depth], ".gitignore"])) or b""
        for line in text.decode("utf-8", "replace").splitlines():
            pattern = line.strip().strip("/")
            if pattern and (
                pattern in ("/".join(parts[depth:]), *parts[depth:])
                or (pattern.startswith("**/") and pattern[3:] in parts)
            ):
                return True
    return False


def fault(links: Mapping[bytes, bytes], folder: str) -> str | None:
    """What is wrong with a static folder of a source with these `links`: the first one that leads out of the folder."""
    top = resolve(links, folder.encode().strip(b"/"))
    if top is None:
        return f"is {folder!r}, which leads out of the source"
    for path, target in sorted(links.items()):
        if not path.startswith(top + b"/"):
            continue
        goal = resolve(links, path)
        secret = any(hidden(part.decode(errors="replace")) for part in path[len(top) + 1 :].split(b"/"))
        if not secret and (goal is None or not (goal + b"/").startswith(top + b"/")):
            return (
                f"is {folder!r}, where {printable(path)} is a link to {printable(target)}, which leads out of that folder, so it "
                "would be served; put the file itself there"
            )
    return None
