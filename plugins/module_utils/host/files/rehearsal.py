"""Whether nginx will take a set of files, by its own parser and before anything is changed: in a copy of its folder.

The copy is made of links, except for the files that name others in nginx's folder: those lead into the copy instead.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Collection

from ...contract import names
from .commands import validated
from .fileset import Wanted
from .paths import Refused
from .planning import Step, plan

ETC = "/etc/nginx"
"""nginx's folder, with nginx.conf in it."""
HOME = names.STATE
"""Where the copy is made: root's alone, since a site may hold secrets."""
LARGEST = 1024 * 1024
"""Bytes of a file that is looked through for paths; larger ones are data, such as a list of addresses."""


def rehearse(wanted: Wanted, etc: str = ETC, home: str = HOME) -> None:
    """Raise ``Refused``, with nginx's reason, when it would not take the set. Nothing is asked where nothing would change."""
    for item in wanted.items:
        item["bits"] = int(item["mode"], 8)
    steps = plan(wanted.items, check=True)
    if not steps:
        return
    os.makedirs(home, mode=0o700, exist_ok=True)
    copy = tempfile.mkdtemp(prefix="nginx-", dir=home)
    try:
        _copy(etc, copy, copy, etc, _folders(wanted, etc))
        for step in steps:
            _overlay(step, copy, etc)
        try:
            validated([*wanted.validate, "-c", f"{copy}/nginx.conf"], [_seen(step, copy, etc) for step in steps])
        except Refused as exc:
            raise Refused(
                f"nginx would not take the new configuration; no app and no site was changed.\n{str(exc).replace(copy, etc)}"
            ) from exc
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def _led(data: bytes, copy: str, etc: str) -> bytes:
    """A file's text with the paths in nginx's folder leading into the copy."""
    return re.sub(rb"(?<![\w./-])%s/" % re.escape(etc.encode()), copy.encode() + b"/", data)


def _folders(wanted: Wanted, etc: str) -> set[str]:
    """The folders below nginx's that hold files of the set."""
    folders = set()
    for item in wanted.items:
        path = os.path.dirname(item["dest"])
        while path.startswith(f"{etc}/"):
            folders.add(path)
            path = os.path.dirname(path)
    return folders


def _copy(folder: str, place: str, copy: str, etc: str, ours: Collection[str]) -> None:
    """Make ``place``, in the copy of nginx's folder, what ``folder`` is.

    A link to a folder stays one, unless it is one of ``ours``: what is written there must stay in the copy.
    """
    for entry in os.scandir(folder):
        target = os.path.join(place, entry.name)
        if entry.is_dir(follow_symlinks=etc + target[len(copy) :] in ours):
            os.mkdir(target)
            _copy(os.path.realpath(entry.path), target, copy, etc, ours)
        elif entry.is_file() and entry.stat().st_size <= LARGEST:
            with open(entry.path, "rb") as handle:
                data = handle.read()
            led = _led(data, copy, etc)
            if led == data:
                os.symlink(entry.path, target)
            else:
                _write(target, led)
        else:  # large, a link to a folder, as for modules, or nothing that nginx could read: it is to say so here, too
            os.symlink(os.path.realpath(entry.path), target)


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as handle:
        handle.write(data)


def _overlay(step: Step, copy: str, etc: str) -> None:
    """Make one change of the set in the copy; what is elsewhere is not nginx's."""
    path, state = step.item["dest"], step.item["state"]
    if not path.startswith(f"{etc}/"):
        return
    target = copy + path[len(etc) :]
    if state == "directory":
        os.makedirs(target, exist_ok=True)
        return
    if os.path.lexists(target):
        shutil.rmtree(target) if os.path.isdir(target) and not os.path.islink(target) else os.unlink(target)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if state == "link":
        os.symlink(step.item["target"], target)
    elif state == "file":
        _write(target, _led(step.item["text"].encode("utf-8"), copy, etc))


def _seen(step: Step, copy: str, etc: str) -> Step:
    """The step as nginx's messages name its file."""
    path = step.item["dest"]
    return Step({**step.item, "dest": copy + path[len(etc) :] if path.startswith(f"{etc}/") else path}, None, {})
