"""Root takes over a virtualenv that the build user made: from then on nobody but root can change it.

Everything that ran as the build user has ended before. What it left may still be meant to harm: nothing of it is run or
followed here.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

DEEPEST = 64
"""Folders in each other. The deepest of real packages are some twenty deep."""
ENTRIES = 1_000_000
LINKS = (".pth", ".egg-link")
"""Endings of files with which packages add folders to Python's path."""
LINKED = 64 * 1024
"""Bytes of such a file that are read."""


class Refused(Exception):
    """A virtualenv that root does not take over; the text says what is wrong with it."""


def take_over(path: str, owner: int, group: int, python: str, sources: Sequence[str] = ()) -> None:
    """Make all of a virtualenv root's, with modes as packages have them, and let `group` into it.

    Args:
        path: the virtualenv.
        owner: whose everything in it is.
        group: who is let in.
        python: its interpreter.
        sources: the folders that it was built from, into which nothing in it may lead: they go, and it stays.

    Raises:
        Refused: there is something in it that a virtualenv needs not have: another user's file, a device, a link that
            leads out of it, another interpreter than `python`, or a package that is linked and not installed.
    """
    steps = chain(python)
    entries = 0
    root, roots = os.geteuid(), os.getegid()
    for place, folders, names, descriptor in os.fwalk(path, follow_symlinks=False):
        inside = os.path.relpath(place, path)
        depth = 0 if inside == "." else inside.count("/") + 1
        entries += len(folders) + len(names)
        if depth > DEEPEST or entries > ENTRIES:
            raise Refused(f"{inside[:200]} is {depth} folders deep, and there are {entries} entries")
        if depth:
            os.chown(descriptor, root, roots)
            os.chmod(descriptor, 0o755)  # noqa: S103  # nosec B103 # closed at the top
        for name in (*folders, *names):
            shown = os.path.normpath(os.path.join(inside, name))
            info = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if info.st_uid != owner:
                raise Refused(f"{shown} belongs to another user ({info.st_uid})")
            if stat.S_ISDIR(info.st_mode):
                continue
            if stat.S_ISLNK(info.st_mode):
                target = os.readlink(name, dir_fd=descriptor)
                if not leads_inside(target, depth) and target not in steps:
                    raise Refused(f"the link {shown} leads out of it, to {target[:200]}")
            elif not stat.S_ISREG(info.st_mode):
                raise Refused(f"{shown} is neither a file nor a folder nor a link")
            elif name.endswith(LINKS) and (source := _names(descriptor, name, sources)):
                raise Refused(f"{shown} leads to {source}, which another release replaces")
            os.chown(name, root, roots, dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISREG(info.st_mode):  # after chown: and no setuid bit survives
                os.chmod(name, 0o755 if info.st_mode & 0o111 else 0o644, dir_fd=descriptor)
    if os.path.realpath(f"{path}/bin/python") != os.path.realpath(python):
        raise Refused(f"its bin/python is not {python}")
    if home(path) not in {os.path.dirname(step) for step in steps}:
        raise Refused(f"its pyvenv.cfg names another home than that of {python}")
    # Last, and so the sign that all of it is root's.
    os.chown(path, root, group)
    os.chmod(path, 0o750)  # noqa: S103  # nosec B103 # the group runs from it


def _names(folder: int, name: str, sources: Sequence[str]) -> str:
    """The first of some paths that a file names; empty when it names none."""
    with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder), "rb") as handle:
        text = handle.read(LINKED)
    return next((source for source in sources if os.fsencode(source) in text), "")


def leads_inside(target: str, depth: int) -> bool:
    """Whether a link `depth` folders deep stays inside.

    Steps up come first only: behind a name, which may be a link, they lead elsewhere than they seem to.
    """
    parts = target.split("/")
    up = 0
    while up < len(parts) and parts[up] in ("..", "."):
        up += 1
    return bool(target) and not target.startswith("/") and parts[:up].count("..") <= depth and ".." not in parts[up:]


def chain(python: str) -> list[str]:
    """The interpreter's path and each that it leads to."""
    steps = [python]
    while os.path.islink(steps[-1]) and len(steps) < 40:
        steps.append(os.path.normpath(os.path.join(os.path.dirname(steps[-1]), os.readlink(steps[-1]))))
    return [*steps, os.path.realpath(python)]


def home(path: str) -> str:
    """Where a virtualenv says that its interpreter is (PEP 405)."""
    with open(f"{path}/pyvenv.cfg", encoding="utf-8", errors="replace") as handle:
        lines = handle.read(4096).splitlines()
    found = [line.partition("=")[2].strip() for line in lines if line.partition("=")[0].strip() == "home"]
    return found[-1] if found else ""
