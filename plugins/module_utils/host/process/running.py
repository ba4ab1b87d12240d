"""Runs a command to its end, its deadline or whatever else ends it, and keeps the begin and the end of its output."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Sequence

from ...contract.errors import HostError
from .cells import Outcome, Sink

HEAD, TAIL = 64 * 1024, 192 * 1024
"""Bytes that are kept of an output: its beginning and its end, where programs say what they do and why they failed."""
PIECE, PIECES = 64 * 1024, 16
"""Bytes that are read at once; and how often, of an output that its command has left behind. A pipe holds 1 MiB at most."""
TICK = 0.25
"""Seconds between two looks at what is watched while a command runs."""
ENDED = 20.0
"""Seconds within which what was killed is gone, unless the kernel or a disk holds it."""
CUT = "\n[{} bytes are left out here]\n"
"""What stands for the middle of an output."""
LINES, LETTERS = 20, 500
"""What is shown of an output: its last lines, each up to so many letters."""


class Running:
    """A command and its output."""

    def __init__(self, argv: Sequence[str], unit: str, pass_fds: Sequence[int] = ()) -> None:
        self._argv, self._unit, self._fds = argv, unit, pass_fds

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """Kill all of it."""
        process.kill()

    def outcome(
        self, deadline: float, stdin: bytes | int, watch: Callable[[], str] | None, sink: Sink | None = None
    ) -> Outcome:
        """Run it to its end, or to what ends it."""
        given = os.dup(stdin) if isinstance(stdin, int) else os.memfd_create("stdin")
        try:
            if isinstance(stdin, bytes):
                os.write(given, stdin)
                os.lseek(given, 0, os.SEEK_SET)
            process = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL if stdin == b"" else given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
                cwd="/",
                pass_fds=self._fds,
            )
        finally:
            os.close(given)
        try:
            return self._follow(process, time.monotonic() + deadline, watch, sink)
        finally:
            if process.poll() is None:
                self._end(process)
            for pipe in (process.stdout, process.stderr):
                if pipe:
                    pipe.close()

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        self.end(process)
        try:
            process.wait(ENDED)
        except subprocess.TimeoutExpired:
            process.kill()
            raise HostError(
                f"{self._unit} was killed and does not end within {ENDED:.0f} s: what hangs in the kernel ends with its "
                "disk or a restart of the host"
            ) from None

    def _follow(
        self, process: subprocess.Popen[bytes], until: float, watch: Callable[[], str] | None, sink: Sink | None
    ) -> Outcome:
        out, err = _Kept(), _Kept()
        takers: tuple[Sink, Sink] = (sink or out, err)
        kept = {
            pipe.fileno(): taker for pipe, taker in zip((process.stdout, process.stderr), takers, strict=True) if pipe
        }
        timed_out, stopped = False, ""
        with selectors.DefaultSelector() as selector:
            for pipe in kept:
                os.set_blocking(pipe, False)
                selector.register(pipe, selectors.EVENT_READ)
            while process.poll() is None:
                timed_out = time.monotonic() > until
                stopped = watch() if watch else ""
                if timed_out or stopped:
                    self._end(process)
                    break
                # It has closed its output and keeps running, or it has to wait for the reader of it.
                if not selector.get_map() or takers[0].full():
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(TICK)
                    continue
                for key, _ in selector.select(TICK):
                    data = os.read(key.fd, PIECE)
                    kept[key.fd].add(data)
                    if not data:
                        selector.unregister(key.fd)
        # What is in a pipe still. Another program may have inherited its other end: that is not waited for.
        for pipe, keep in kept.items():
            with contextlib.suppress(BlockingIOError):
                for _ in range(PIECES):
                    keep.add(os.read(pipe, PIECE))
        return Outcome(process.returncode, out.text(), err.text(), timed_out, stopped)


class _Kept:
    """The beginning and the end of an output, whatever its length."""

    def __init__(self) -> None:
        self._head, self._tail, self._left_out = bytearray(), bytearray(), 0

    def full(self) -> bool:
        return False

    def add(self, data: bytes) -> None:
        room = HEAD - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > 2 * TAIL:  # not at each call: it moves all that is kept
            self._cut()

    def _cut(self) -> None:
        beyond = max(0, len(self._tail) - TAIL)
        del self._tail[:beyond]
        self._left_out += beyond

    def text(self) -> str:
        self._cut()
        between = CUT.format(self._left_out).encode() if self._left_out else b""
        return b"".join((self._head, between, self._tail)).decode("utf-8", "replace")


def ask(command: Sequence[str], deadline: float) -> Outcome:
    """Run a command of the system's own, as root, of whose output others may have written a part. Raises HostError."""
    return Running(command, command[0]).outcome(deadline, b"", None)


def last(output: str, lines: int = LINES) -> str:
    """The last lines of an output, for a message."""
    return "\n".join(line[:LETTERS] for line in output.strip().splitlines()[-lines:])
