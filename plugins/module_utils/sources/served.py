"""What nginx would serve of a source: the check that needs no host. The host's own is `host/assets.py`."""

from __future__ import annotations

from collections.abc import Mapping

from ..host.assets import hidden
from .errors import printable
from .files import resolve


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
