"""Runs the commands of ``source.build`` on the controller, before the source is shipped.

No other code of a source runs on the controller. The operator writes these commands. They run as the operator in a copy of
the source, which then becomes the source. The copy is kept as long as neither source nor commands change.
"""

from __future__ import annotations

import errno
import inspect
import os
import re
import selectors
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..host.base import locks, reaper
from ..host.base.ending import ending
from .cache import Cache, key
from .errors import SourceError, masked, printable
from .files import Files
from .folder import everything

DEADLINE = locks.STEP - 60
"""Seconds for all commands together: another run, which wants the same source, waits a little longer than that."""
LINES, TAIL = 20, 64 * 1024
"""What is shown of a failed command's output: its last lines; and bytes that are kept for that."""
TICK = 0.25
"""Seconds between two looks at a command that prints nothing."""
PRIVATE = re.compile(r"ANSIBLE|VAULT|MOLECULE", re.IGNORECASE)
"""In the names of variables that are about this run, or that may lead to its secrets."""


def built(
    files: Files, commands: Sequence[Sequence[str]], folder: str, store: Cache, log: Callable[[str], None]
) -> tuple[Files, list[str]]:
    """The files as the commands have left them, and warnings about those. ``folder`` is where they run, in the source.

    Raises SourceError when one of them fails.
    """
    name = key("build", files.hash, folder, *(shlex.join(command) for command in commands))

    def fill(place: Path) -> None:
        _unpack(files, place)
        until = time.monotonic() + DEADLINE
        for command in commands:
            log(f"source.build: {shlex.join(command)}")
            _run(command, place / folder, until)

    with store.lock(name):
        return everything(store.tree(name, fill), files.by_path)


def _unpack(files: Files, place: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="slipway-") as scratch:
        archive = Path(scratch) / "source.tar"
        files.write_tar(archive)
        with tarfile.open(archive) as packed:
            if hasattr(tarfile, "tar_filter"):
                packed.extraction_filter = staticmethod(tarfile.tar_filter)
            packed.extractall(place)  # noqa: S202  # nosec B202 # written by this code; no name or link leads out


def environment() -> dict[str, str]:
    """Return the commands' environment: the operator's variables, except those of Ansible and its vault."""
    kept = {name: value for name, value in os.environ.items() if not PRIVATE.search(name)}
    return {"PATH": os.defpath, "LANG": "C.UTF-8", **kept}


def _run(command: Sequence[str], place: Path, until: float) -> None:
    """Run one command, and end all of it. Raises SourceError."""
    shown = printable(shlex.join(command))
    theirs, ours = os.pipe()
    try:
        process = _started(command, place, theirs)
    except OSError as error:
        os.close(ours)
        raise SourceError(
            f"`source.build` ({shown}) cannot be run on this controller: {error.strerror}; install the program, or correct the command."
        ) from error
    finally:
        os.close(theirs)
    try:
        output, late = _followed(process, until)
    finally:
        os.close(ours)  # which has it end them
        process.wait()
        if process.stdout:
            process.stdout.close()
    if late:
        raise SourceError(f"`source.build` was not done within {DEADLINE:.0f} s, and {shown} was killed.{output}")
    if process.returncode:
        raise SourceError(f"`source.build` ({shown}) failed with {ending(process.returncode)}.{output}")


def _started(command: Sequence[str], place: Path, control: int) -> subprocess.Popen[bytes]:
    """Start a command below a process that ends all its processes when the pipe closes.

    Raises:
        OSError: There is no such program.
    """
    environ = environment()
    program = str(place / command[0]) if "/" in command[0] else command[0]
    if not shutil.which(program, path=environ["PATH"]):
        number = errno.EACCES if os.path.isfile(program) else errno.ENOENT
        raise OSError(number, os.strerror(number))
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", inspect.getsource(reaper), str(control), *command],
        cwd=place,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=[control],
    )


def _followed(process: subprocess.Popen[bytes], until: float) -> tuple[str, bool]:
    """The last lines that a command has printed, until its end or the deadline; and whether that came first."""
    pipe = process.stdout.fileno() if process.stdout else -1  # which it is not
    kept, ended = bytearray(), False
    os.set_blocking(pipe, False)
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while not ended and time.monotonic() < until:
            ended = process.poll() is not None  # the rest in the pipe is read once more
            if not selector.get_map() and not ended:  # it has closed its output, and keeps running
                time.sleep(TICK)
                continue
            while selector.get_map() and selector.select(0 if ended else TICK):
                data = os.read(pipe, TAIL)
                kept += data
                del kept[:-TAIL]
                if not data:
                    selector.unregister(pipe)
                elif time.monotonic() > until:
                    break
    text = kept.decode("utf-8", "replace")
    return "".join(f"\n    {printable(masked(line))}" for line in text.strip().splitlines()[-LINES:]), not ended
