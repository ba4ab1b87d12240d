"""sudo's rules by which the members of an app's group run its commands: a file for each app.

An older kit wrote those of all apps into one file.
"""

from __future__ import annotations

import os

from ...contract import names
from ..base import atomic
from ..files.journal import store
from ..files.written import Memory, fingerprint


def forget(app: str, path: str = names.SUDOERS, home: str = names.STATE, check: bool = False) -> bool:
    """Remove the rule of an app; returns whether there was one.

    Args:
        app: The app's name.
        path: The one file of an older kit. Those of the apps begin with the same words.
        home: Where the kit remembers what it has written.
        check: Whether nothing is changed.
    """
    file = f"{path}-{app}"
    has_file = os.path.lexists(file)
    if has_file and not check:
        memory = Memory.read(home)
        memory.set(file, None)
        atomic.remove_file(file)
        store(memory)
    return _forget_line(app, path, home, check) or has_file


def _forget_line(app: str, path: str, home: str, check: bool) -> bool:
    """Remove an app's rule from the one file of an older kit; returns whether there was one.

    The rest of the file stays as it is, and its fingerprint counts as the kit's only if it did before.
    """
    before = atomic.read(path)
    if before is None:
        return False
    rule = f"{names.RUN_COMMAND} {app} *".encode()
    lines = before.splitlines(keepends=True)
    kept = [line for line in lines if line.startswith(b"#") or not line.rstrip().endswith(b" " + rule)]
    if len(kept) == len(lines) or check:
        return len(kept) < len(lines)
    info = os.stat(path)
    after = b"".join(kept)
    memory = Memory.read(home)
    if path in memory.known and not memory.changed(path, fingerprint("file", before)):
        memory.set(path, fingerprint("file", after))
    atomic.write(path, after, info.st_mode & 0o7777, (info.st_uid, info.st_gid))
    store(memory)
    return True
