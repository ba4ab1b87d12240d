"""Makes the bytecode of a virtualenv's modules while root copies them.

An unprivileged process compiles what root sends to it, and root writes what it answers (`compiling`). So the bytecode is of the
very sources that root copied, and what packages brought or a build left as bytecode is not used. For a module that root shares
with an older virtualenv, the bytecode that root wrote there gets a second name.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from ..process.cells import Outcome, Sink
from .compiling import BYTECODE, MODULE, TAG

TIME = 315532800
"""1980-01-01, the first time that an archive can hold: the time of every module, so that equal modules have equal bytecode."""
FOLDER = "__pycache__"
"""The folder of bytecode."""
ENDING = ".py"
LARGEST = 32 * 1024**2
"""Bytes of a module that is compiled, and of its bytecode. The largest real modules have some 10 MiB."""
PIPE = 1024**2
"""Bytes that root may be ahead of the compiler: as many as a pipe may have on a Linux that is set up as usual."""
_PLACE = re.compile(r"lib/python[^/]*/site-packages/(?P<shown>(?P<folder>.*/)?[^/]+)\.py", re.DOTALL)
_TAG = re.compile(rb"[a-z]+-?[0-9]+[a-z]?", re.ASCII)


class Bytecode:
    """The bytecode of a virtualenv that is being copied. It is a context, at whose end the compiler ends."""

    def __init__(self, copy: str, run: Callable[[int, Sink], Outcome], like: str = "", tag: str = "") -> None:
        """Begin without a compiler, which starts with the first module that needs it.

        Args:
            copy: root's copy.
            run: runs the compiler, given its standard input and what takes its output.
            like: an older virtualenv, whose bytecode root wrote; empty where there is none.
            tag: the interpreter's tag in the names of that bytecode.
        """
        self._copy, self._run, self._like, self._tag = copy, run, like, tag
        self._pool = ThreadPoolExecutor(1)
        self._outcome: Future[Outcome] | None = None
        self._writer = -1
        self._answers = _Answers(copy)

    def __enter__(self) -> Bytecode:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._pool.shutdown()

    def shared(self, place: str) -> bool:
        """Give the bytecode of a module that is the older virtualenv's a second name; False where it has to be compiled.

        A module without bytecode there cannot be compiled.
        """
        if not wanted(place):
            return True
        if not self._tag:
            return False
        name = cached(place, self._tag)
        try:
            _link(f"{self._like}/{name}", f"{self._copy}/{name}")
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in (errno.EMLINK, errno.EXDEV):
                raise
            return False
        return True

    def copied(self, place: str, module: int) -> None:
        """Have a module compiled that root has copied; `module` is the copy's descriptor."""
        if not wanted(place) or (size := os.fstat(module).st_size) > LARGEST:
            return
        if self._outcome is None:
            self._start()
        source = os.pread(module, size, 0)
        number = self._answers.expect(place)
        path = os.fsencode(shown(place))
        data = memoryview(MODULE.pack(number, TIME, len(path), len(source)) + path + source)
        with contextlib.suppress(BrokenPipeError):  # the outcome says why it has ended
            while data:
                data = data[os.write(self._writer, data) :]

    def finish(self) -> tuple[Outcome | None, str]:
        """Wait for the compiler; its outcome, and the tag in the names of the bytecode, empty where some is not made."""
        self._end()
        if self._outcome is None:
            return None, self._tag
        outcome = self._outcome.result()
        whole = not outcome.status and not self._answers.expected
        return outcome, self._answers.tag if whole else ""

    def _start(self) -> None:
        reader, self._writer = os.pipe()
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._writer, fcntl.F_SETPIPE_SZ, PIPE)

        def run() -> Outcome:
            try:
                return self._run(reader, self._answers)
            finally:
                os.close(reader)  # else `copied` waited for a reader

        self._outcome = self._pool.submit(run)

    def _end(self) -> None:
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1


class _Answers:
    """Takes what the compiler answers, and writes it: root's own files. An answer that was not asked for is dropped."""

    def __init__(self, copy: str) -> None:
        self._copy = copy
        self._data = bytearray()
        self._number = 0
        self.expected: dict[int, str] = {}
        self.tag = ""

    def expect(self, place: str) -> int:
        """A new number for a module."""
        self._number += 1
        self.expected[self._number] = place
        return self._number

    def full(self) -> bool:
        return False

    def add(self, data: bytes) -> None:
        self._data += data
        while len(self._data) >= BYTECODE.size:
            number, size = BYTECODE.unpack_from(self._data)
            if size > LARGEST:
                raise OSError(errno.EFBIG, "the compiler's answer is too large", self.expected.get(number))
            end = BYTECODE.size + size
            if len(self._data) < end:
                break
            self._take(number, bytes(self._data[BYTECODE.size : end]))
            del self._data[:end]

    def _take(self, number: int, answer: bytes) -> None:
        if number == TAG:
            if not self.tag and _TAG.fullmatch(answer):
                self.tag = answer.decode("ascii")
            return
        place = self.expected.pop(number, None)
        if place is None or not answer or not self.tag:
            return
        path = f"{self._copy}/{cached(place, self.tag)}"
        with contextlib.suppress(FileExistsError):
            os.mkdir(os.path.dirname(path), 0o755)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644), "wb") as out:
            out.write(answer)


def wanted(place: str) -> bool:
    """Whether the file at a place in a virtualenv gets bytecode."""
    return bool(_PLACE.fullmatch(place))


def shown(place: str) -> str:
    """The path of a module in its bytecode, which does not name the virtualenv."""
    return place.split("/", 3)[3]


def cached(place: str, tag: str) -> str:
    """Where Python looks for a module's bytecode (PEP 3147)."""
    folder, name = os.path.split(place)
    return f"{folder}/{FOLDER}/{name.removesuffix(ENDING)}.{tag}.pyc"


def _link(existing: str, new: str) -> None:
    try:
        os.link(existing, new, follow_symlinks=False)
    except FileNotFoundError:
        if os.path.isdir(os.path.dirname(new)):
            raise
        os.stat(existing)
        os.mkdir(os.path.dirname(new), 0o755)
        os.link(existing, new, follow_symlinks=False)
