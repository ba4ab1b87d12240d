"""What of an app outlives its releases and is its own to write: its home, and the folders of `shared/` that nginx serves."""

from __future__ import annotations

import grp
import inspect
import json
import os
import pwd
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...contract import bounded
from ...contract.errors import HostError
from ...contract.words import counted
from ..base import acl
from ..process import confine

DEADLINE = 600.0
"""Seconds that opening a folder may take: of a million files it takes a minute on a slow disk, and once."""
LONGEST, MOST = 4096, 10**12
"""Letters of an answer, and files in it, that are believed."""


def make_home(path: str, user: str) -> None:
    """Let the app have a home; on a host that an older kit has set up there is none. Its parent is root's alone."""
    account = pwd.getpwnam(user)
    os.makedirs(path, 0o700, exist_ok=True)
    if os.stat(path).st_uid != account.pw_uid:
        os.chown(path, account.pw_uid, account.pw_gid)


@dataclass(frozen=True)
class _Answer:
    """What the program says about one folder. The app's user runs it, so its text is untrusted and is checked."""

    fault: str = ""
    plain: bool = False
    """Whether the file system keeps no access lists."""
    foreign: int = 0
    """Files and folders that are another user's."""

    @classmethod
    def read(cls, line: str) -> _Answer:
        """Read a line of its output. Raises HostError where it is no answer."""
        try:
            words = bounded.loads(line, LONGEST)
        except ValueError:
            words = None
        if not isinstance(words, dict):
            raise HostError(f"what opens folders to nginx answered what it never says: {visible(line)}")
        foreign = words.get("foreign", 0)
        count = foreign if isinstance(foreign, int) and 0 <= foreign < MOST else 0
        return cls(visible(str(words.get("fault") or "")), words.get("plain") is True, count)


def visible(text: str) -> str:
    """An untrusted text for a message: on one line, and not too long."""
    return re.sub(r"[^ -~\xa1-\uffff]+", " ", text)[: confine.LETTERS]


def open_media(cell: confine.Cell, shared: str, folders: Sequence[str], group: str) -> list[str]:
    """Let nginx's group read folders of an app's shared folder, and make those that are missing.

    The app's user does it, since the files belong to it: `cell` is that of the app's code.

    Returns:
        What the operator should know.

    Raises:
        HostError: a folder cannot be opened.
    """
    if not folders:
        return []
    # The kernel translates the numbers in an access list, and in a user namespace nginx's group has none.
    cell = replace(cell, properties=(*cell.properties, "PrivateUsers=no"))
    job = {"shared": shared, "folders": list(folders), "group": grp.getgrnam(group).gr_gid}
    words = ["/usr/bin/python3", "-I", "-S", "-c", inspect.getsource(acl)]
    result = confine.run(words, cell, DEADLINE, json.dumps(job).encode())
    if result.timed_out:
        raise HostError(
            f"{shared} has too many files to open them to nginx within {DEADLINE:.0f} s; deploy again to continue"
        )
    warnings = []
    for folder, line in zip(folders, result.stdout.splitlines(), strict=False):
        answer = _Answer.read(line)
        if answer.fault:
            raise HostError(answer.fault)
        if answer.plain:
            warnings.append(
                f"the file system of {shared}/{folder} keeps no access lists. So nginx serves only what every user may read there: "
                "files of mode 0644 in folders of mode 0755"
            )
        elif answer.foreign:
            warnings.append(
                f"{counted(answer.foreign, 'file or folder', 'files or folders')} in {shared}/{folder} {'belongs' if answer.foreign == 1 else 'belong'} to another user, so that nginx may be unable to "
                f"read them: chown -R {cell.user}: {shared}/{folder}"
            )
    if result.status:
        raise HostError(f"{shared} could not be opened to nginx: {confine.last(result.stderr, 3)}")
    return warnings
