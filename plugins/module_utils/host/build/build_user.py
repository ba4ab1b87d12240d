"""What a user leaves behind beyond its own folders: processes, and files where every user may write.

Without systemd a build or an app sees the host's own /tmp; under systemd at least /dev/shm is the host's. A setuid program that is left
there would let every user of the host run as the build user. That user writes what later builds are made of.
"""

from __future__ import annotations

import os
import pwd

from ...contract.errors import HostError
from ..base import processes, trees
from .errors import BuildError

PLACES = ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run/lock")  # noqa: S108  # nosec B108 # nothing is made there
"""The folders in which every user of a Debian host may make files."""
LOOKED_AT = 500_000
"""Entries of each that are looked at, those on top first: others may have put any number there, and a look takes 2 µs."""


def begin(user: str) -> pwd.struct_passwd:
    """The account of a build user, of which nothing is left that a killed run may have begun.

    Raises:
        BuildError: there is no such user.
        HostError: as `clear`.
    """
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise BuildError(f"there is no user {user} on this host to build with; run site.yml to make it") from None
    clear(user)
    return account


def clear(user: str) -> None:
    """End every process of a build user, or of an app that is purged, and remove what it left in PLACES.

    Raises:
        HostError: something does not end, or cannot be removed.
    """
    processes.end_everything(user)
    try:
        uid = pwd.getpwnam(user).pw_uid
    except KeyError:
        return
    if uid in (0, os.geteuid()):
        return  # the user that runs the kit
    remains = [text for place in PLACES for text in trees.remove_of(uid, place, LOOKED_AT).remains]
    if remains:
        raise HostError(f"what {user} has left stays: {'; '.join(remains)}")
