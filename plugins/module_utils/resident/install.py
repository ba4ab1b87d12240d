"""Unpacks the kit's modules on a host: `python3 -c … FOLDER`, with the zip on standard input. Writes all files or none."""

from __future__ import annotations

import compileall
import contextlib
import io
import os
import shutil
import sys
import tempfile
import time
import zipfile

OLD = 24 * 3600
"""Seconds after which another version of the kit, which another controller may be using, is no longer kept."""


def main(folder: str) -> None:
    """Unpack, compile and rename; raises OSError, and SystemExit for a Python that the modules do not run on."""
    if sys.version_info < (3, 10):  # noqa: UP036 (the host's Python, not the controller's)
        raise SystemExit("the modules need Python 3.10")
    parent = os.path.dirname(folder)
    os.umask(0o077)  # the state of the kit, which may lie around it, is root's alone
    os.makedirs(parent, exist_ok=True)
    os.chmod(os.path.dirname(parent), 0o700)  # older versions made this folder for all
    new = tempfile.mkdtemp(prefix=".new-", dir=parent)
    try:
        with zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read())) as archive:
            archive.extractall(new)
        compile_all(new)
        os.sync()  # a power cut right after it must not leave empty files behind
        with contextlib.suppress(OSError):  # another run was quicker
            os.rename(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    for name in os.listdir(parent):
        other = os.path.join(parent, name)
        with contextlib.suppress(OSError):
            if other != folder and os.stat(other).st_mtime < time.time() - OLD:
                shutil.rmtree(other, ignore_errors=True)


def compile_all(folder: str) -> None:
    """Compile the modules, half of them in another process."""
    entries = ((place, name) for place, _, names in os.walk(folder) for name in names)
    files = [os.path.join(place, name) for place, name in entries if name.endswith(".py")]
    child = os.fork()
    try:
        for file in files[bool(child) :: 2]:
            compileall.compile_file(file, quiet=2)
    finally:
        if not child:
            os._exit(0)
    os.waitpid(child, 0)


if __name__ == "__main__":
    main(sys.argv[1])
