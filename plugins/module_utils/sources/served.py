"""Checks the files of a source that nginx would serve, without a host. The host's check is `host/files/assets.py`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ..host.files.assets import hidden
from ..model.spelling import as_yaml
from .errors import printable
from .files import Files, located, resolve


def missing(files: Files, folder: str, source: Mapping[str, object], base: Path) -> str | None:
    """Say why a source has no file in a static folder, and what to do; None if it has one."""
    top = resolve(files.links, folder.encode().strip(b"/"))
    if top is None or any(entry.path.startswith(top + b"/") for entry in files.entries):
        return None
    remedy = (
        "build it on the host by `build` or on the controller by `source.build`, or commit it after a line in .gitignore such "
        f"as `!/{folder.strip('/')}/`"
    )
    # Only whether the folder exists; nothing in it is read.
    if "path" in source and os.path.isdir(located(base, str(source["path"])) / folder):
        return (
            f"is {as_yaml(folder)}, which is there but is not shipped, since git ignores it (or it is empty); take it in by "
            f"`source.include: [{folder.strip('/')}]`, or {remedy}"
        )
    if _ignored(files, folder.strip("/")):
        return f"is {as_yaml(folder)}, which the source does not have: it is built, and git ignores it; {remedy}"
    return f"is {as_yaml(folder)}, which the source does not have; correct it, or have `build` make it"


def shadowed(files: Files, folder: str, app_folder: str) -> str:
    """Warn that a static folder is in `shared/` on the host although the source has the same path; empty if it has not."""
    top = "/".join(part for part in (app_folder.strip("/"), folder.strip("/")) if part)
    if not any(path.startswith(f"{top}/") for path in files.files):
        return ""
    return (
        f"static: {folder} is in the app's shared folder on the host, not in its source; write ./{folder} to serve the "
        "source's"
    )


def _ignored(files: Files, folder: str) -> bool:
    """Whether a plain pattern in a .gitignore of the source names a folder."""
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
    """Report the first link in a static folder that leads out of the folder; None if there is none."""
    top = resolve(links, folder.encode().strip(b"/"))
    if top is None:
        return f"is {as_yaml(folder)}, which leads out of the source"
    for path, target in sorted(links.items()):
        if not path.startswith(top + b"/"):
            continue
        goal = resolve(links, path)
        secret = any(hidden(part.decode(errors="replace")) for part in path[len(top) + 1 :].split(b"/"))
        if not secret and (goal is None or not (goal + b"/").startswith(top + b"/")):
            return (
                f"is {as_yaml(folder)}, where {printable(path)} is a link to {printable(target)}, which leads out of that folder, so it "
                "would be served; put the file itself there"
            )
    return None
