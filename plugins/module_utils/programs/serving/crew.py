"""What the workers of an instance know about each other: how many of them serve, and whether one may leave.

Each worker that serves holds a lock on one byte of a file that only the instance's processes have open. The kernel frees the
lock when the worker ends, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import threading

PLACES = 1024
"""The most workers that are counted."""
_LEAVING = 0
"""The byte that the worker holds which leaves to be replaced."""
_FIRST, _LAST = 2, PLACES + 1
"""The places. The kernel joins locks of one process on adjacent bytes, so no other byte is beside a place."""
_COUNTER = _LAST + 2
"""The byte that the worker holds which reads and writes the count."""
_FLOCK = "hhqqi"
"""The kernel's `struct flock`: type, whence, start, length, process."""
_COUNT = "q"


class Crew:
    """The workers that share the file. The master makes it, and each worker inherits it."""

    def __init__(self) -> None:
        self._file = os.memfd_create("slipway-crew")
        self._place = 0
        """The byte that this worker holds; 0 while it does not serve."""
        self._has_left = False
        # The threads of a process share its locks in the kernel. So one of them could free what another one has just taken.
        self._one = threading.Lock()

    def join(self) -> None:
        """Note that this worker serves from now on."""
        for place in range(_FIRST, _LAST + 1):
            if self._takes(place):
                self._place = place
                return

    def serving(self) -> int:
        """How many workers serve."""
        others, ranges = 0, [(_FIRST, _LAST)]
        while ranges:
            first, last = ranges.pop()
            if first <= last and (place := self._taken(first, last)):
                others += 1
                ranges += [(first, place - 1), (place + 1, last)]
        return others + (self._place > 0)

    def leave(self, workers: int) -> bool:
        """Leave to be replaced, unless fewer than `workers` serve: those that are left have to answer everything meanwhile.

        Returns:
            Whether this worker has left. Until it ends, no other one can.
        """
        with self._one:
            if self._has_left:
                return True
            if not self._place or not self._takes(_LEAVING):
                return False
            if self.serving() < workers:
                self._free(_LEAVING)
                return False
            self._vacate()
            self._has_left = True
            return True

    def fail(self) -> None:
        """Note that this worker has to stop at once. Until its replacement serves, no other one can leave."""
        with self._one:
            self._vacate()

    def _vacate(self) -> None:
        if self._place:
            self._free(self._place)
            self._place = 0

    def counted(self, count: int) -> int:
        """How much greater a count is than when a worker last gave it. Only one worker learns of a difference."""
        with contextlib.suppress(OSError):
            fcntl.lockf(self._file, fcntl.LOCK_EX, 1, _COUNTER)
            try:
                before = os.pread(self._file, struct.calcsize(_COUNT), 0)
                os.pwrite(self._file, struct.pack(_COUNT, count), 0)
                return max(0, count - (struct.unpack(_COUNT, before)[0] if before else 0))
            finally:
                self._free(_COUNTER)
        return 0

    def _takes(self, place: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError:
            return False
        return True

    def _free(self, place: int) -> None:
        with contextlib.suppress(OSError):
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)

    def _taken(self, first: int, last: int) -> int:
        """A byte of the range that another worker holds; 0 for none."""
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, first, last - first + 1, 0)
        try:
            kind, _, place, _, _ = struct.unpack(_FLOCK, fcntl.fcntl(self._file, fcntl.F_GETLK, asked))
        except OSError:
            return 0
        return 0 if kind == fcntl.F_UNLCK else int(place)


CREW = Crew()
"""The workers of this instance: the master loads this module before it forks."""
