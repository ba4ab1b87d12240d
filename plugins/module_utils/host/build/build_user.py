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


def clear(user: str) -> list[str]:
    """End every process of a build user, or of an app that is purged, and remove what it left in PLACES.

    Returns:
        What may be left, as sentences: other users may have put more into PLACES than is looked at.

    Raises:
        HostError: something does not end, or cannot be removed.
    """
    processes.end_everything(user)
    try:
        uid = pwd.getpwnam(user).pw_uid
    except KeyError:
        return []
    if uid in (0, os.geteuid()):
        return []  # the user that runs the kit
    removals = {place: trees.remove_of(uid, place, LOOKED_AT) for place in PLACES}
    remains = [text for one in removals.values() for text in one.remains]
    if remains:
        raise HostError(f"what {user} has left stays: {'; '.join(remains)}")
    return [
        f"Files of {user} may be left in {place}, since not all of it was looked at: {why}. `find {place} -xdev -uid {uid}` lists them."
        for place, one in removals.items()
        for why in one.unseen
    ]
