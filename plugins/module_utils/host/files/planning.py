"""Finds which changes a set of files needs, in the order in which they must be made. Writes nothing."""

from __future__ import annotations

import grp
import os
import pwd
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...contract.names import RANDOM
from .paths import Refused, snapshot

Item = dict[str, Any]
KEY = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
"""Random digits that a file has already."""


@dataclass
class Step:
    """One change that is due: the entry, the present state, and how the diff describes it."""

    item: Item
    before: dict[str, Any] | None
    diff: dict[str, str]


def plan(items: list[Item], check: bool) -> list[Step]:
    """Return the changes that are due, in the order in which they must be made. Writes nothing."""
    made = {item["dest"] for item in items if item["state"] == "directory"}
    removed = {item["dest"] for item in items if item["state"] == "absent"}
    steps = []
    for item in ordered(items):
        try:
            if item["state"] != "absent" and any(item["dest"].startswith(path + "/") for path in removed):
                raise Refused("the set removes a folder above it")
            step = due(item, made, removed, check)
        except (OSError, Refused) as exc:
            raise Refused(f"{name_of(item)}: {exc}") from exc
        if step is not None:
            steps.append(step)
    return steps


def due(item: Item, made: set[str], removed: set[str], check: bool) -> Step | None:
    """Return the change that ``item`` needs, or None; raises ``Refused`` when it cannot be made.

    ``made`` are the folders that the set itself makes, ``removed`` the paths that it removes. ``check`` forgives what
    an earlier step of the run would have made.
    """
    path, state = item["dest"], item["state"]
    before = snapshot(path)
    diff = {"before_header": path, "after_header": item.get("src") or f"{path} ({state})"}
    if state == "absent":
        return _removal(item, before, diff, removed)
    folder = os.path.dirname(path)
    if not os.path.isdir(folder) and folder not in made and not check:
        raise Refused(f"the folder {folder} is not there: add it to the set with state: directory")
    if state == "link":
        return _link(item, before, diff)
    kind = before["type"] if before is not None else None
    if kind is not None and (kind == "directory") != (state == "directory"):
        raise Refused(f"there is a {kind}, where a {state} shall be: remove it first")
    item["uid"] = number_of(item["owner"], pwd.getpwnam, "user", check)
    item["gid"] = number_of(item["group"], grp.getgrnam, "group", check)
    attributes = _attributes(item, before)
    return _directory(item, before, attributes) if state == "directory" else _file(item, before, diff, attributes)


def _removal(item: Item, before: dict[str, Any] | None, diff: dict[str, str], removed: set[str]) -> Step | None:
    if before is None:
        return None
    path, kind = item["dest"], before["type"]
    names = os.listdir(path) if kind == "directory" else []
    if not item["recursive"] and any(os.path.join(path, name) not in removed for name in names):
        raise Refused("the folder is not empty: say recursive: true to remove it with all that it holds")
    old = before.get("data", f"({kind})\n".encode())
    return Step(item, before, {**diff, "before": shown(item, old, "old"), "after": ""})


def _link(item: Item, before: dict[str, Any] | None, diff: dict[str, str]) -> Step | None:
    was = ""
    if before is not None:
        if before["type"] == "directory":
            raise Refused("there is a folder, which a link cannot replace: remove it first")
        if before["type"] == "link" and before["target"] == item["target"]:
            return None
        was = f"link to {before['target']}\n" if before["type"] == "link" else f"{before['type']}\n"
    return Step(item, before, {**diff, "before": was, "after": f"link to {item['target']}\n"})


def _attributes(item: Item, before: dict[str, Any] | None) -> list[str]:
    """What changes of owner and mode, in words."""
    attributes: list[str] = []
    if before is not None and before["type"] != "link":
        if (before["uid"], before["gid"]) != (item["uid"], item["gid"]):
            attributes.append(f"owner {before['uid']}:{before['gid']} -> {item['owner']}:{item['group']}")
        if before["mode"] != item["bits"]:
            attributes.append(f"mode {before['mode']:04o} -> {item['bits']:04o}")
    return attributes


def _directory(item: Item, before: dict[str, Any] | None, attributes: list[str]) -> Step | None:
    if before is not None and not attributes:
        return None
    change = ", ".join(attributes) or f"new folder {item['owner']}:{item['group']} {item['bits']:04o}"
    return Step(item, before, {"prepared": f"{item['dest']}: {change}\n"})


def _keyed(text: str, before: dict[str, Any] | None) -> str:
    """The text with random digits in their place: those of the present file where nothing else in it changes.

    So a later run changes nothing. A kit that changes the file ends an earlier key, which a program may have got by a fault.
    """
    data = (before or {}).get("data", b"")
    present = KEY.search(data)
    same = text.replace(RANDOM, present[0].decode()) if present else ""
    return same if present and same.encode() == data else text.replace(RANDOM, secrets.token_hex(16))


def _file(item: Item, before: dict[str, Any] | None, diff: dict[str, str], attributes: list[str]) -> Step | None:
    if item.get("random"):
        item["text"] = _keyed(item["text"], before)
    after = item["text"].encode("utf-8")
    same = before is not None and before["type"] == "file" and before["data"] == after
    if same and not attributes:
        return None
    if not same:
        old = None if before is None else before.get("data", b"(link)\n")
        diff.update(before=shown(item, old, "old"), after=shown(item, after, "new"))
    if attributes:
        diff["prepared"] = f"{item['dest']}: {', '.join(attributes)}\n"
    return Step(item, before, diff)


def ordered(items: list[Item]) -> list[Item]:
    """Folders from the top down, then files and links as given, then removals from the bottom up."""
    rank = {"directory": 0, "file": 1, "link": 1, "absent": 2}

    def key(item: Item) -> tuple[int, int]:
        depth = item["dest"].count("/")
        return rank[item["state"]], {0: depth, 1: 0, 2: -depth}[rank[item["state"]]]

    return sorted(items, key=key)


def name_of(item: Item) -> str:
    """The entry as messages call it, with its place in the task and its template."""
    source = f"{item['src']} -> " if item.get("src") else ""
    return f"files[{item['number']}] ({source}{item['dest']})"


def number_of(name: str, table: Callable[[str], Any], kind: str, lenient: bool) -> int | None:
    """The uid or gid for a name or number; None when it is unknown and ``lenient``, as in check mode."""
    if name.isdigit():
        return int(name)
    try:
        return int(table(name)[2])
    except KeyError:
        if lenient:
            return None
        raise Refused(f"there is no {kind} {name} on this host: create it first") from None


def shown(item: Item, data: bytes | None, word: str) -> str:
    """What a diff may show of ``data``."""
    if data is None:
        return ""
    return data.decode("utf-8", "replace") if item["diff"] else f"({word} content is hidden)\n"
