"""What a set of files would take away of what others have written: it is kept, or the set is refused."""

from __future__ import annotations

import os

from .paths import Refused, write
from .planning import Item, Step, name_of
from .written import Memory, described, fingerprint


def wished(item: Item) -> str | None:
    """What is remembered of an entry once it is in place; None of a folder, and of what is gone."""
    if item["state"] == "file":
        return fingerprint("file", item["text"])
    return fingerprint("link", item["target"]) if item["state"] == "link" else None


def remember(memory: Memory, item: Item) -> None:
    """Remember an entry that is in place. With a folder that is gone, all that was below it is forgotten."""
    path = item["dest"]
    memory.set(path, wished(item))
    if item["state"] == "absent":
        for below in [known for known in memory.known if known.startswith(f"{path}/")]:
            memory.set(below, None)


def drift(steps: list[Step], memory: Memory, on_drift: str) -> list[dict[str, str]]:
    """Return what the ``steps`` would take away of what others have written, and where it is to be kept.

    Raises ``Refused`` when there is any and that is how the user wants it. What is no file is named and not kept.
    """
    differences = []
    for step in steps:
        path, now = step.item["dest"], described(step.before)
        if not memory.changed(path, now) or now == wished(step.item):
            continue
        data = step.before.get("data") if step.before else None
        differences.append({"path": path, "kept": "" if data is None else memory.aside(path, data)})
        if "before_header" in step.diff:
            step.diff["before_header"] = f"{path} (changed since Slipway wrote it)"
    if differences and on_drift == "refuse":
        paths = ", ".join(one["path"] for one in differences)
        raise Refused(f"changed by another user or program since Slipway wrote it, and on_drift is refuse: {paths}")
    return differences


def keep_changes(steps: list[Step], drifted: list[dict[str, str]]) -> None:
    """Put what others have written under the names for it, with its owner and mode. Raises ``Refused``."""
    kept = {one["path"]: one["kept"] for one in drifted if one["kept"]}
    for step in steps:
        path, before = step.item["dest"], step.before
        if path in kept and before is not None:
            try:
                mask = os.umask(0o077)
                try:
                    os.makedirs(os.path.dirname(kept[path]), exist_ok=True)
                finally:
                    os.umask(mask)
                write(kept[path], before["data"], before["uid"], before["gid"], before["mode"])
            except OSError as exc:
                raise Refused(f"{name_of(step.item)}: what was there cannot be kept: {exc}") from exc
