"""Compiles a release's code, which no process can write later, and compresses its static files."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import Any

from ...contract.job import Job
from ..files import compressed

COMPILE_MEMORY = 2 * 1024**3
"""Bytes that Python may take to compile code."""


def compile_and_sync(job: Job) -> None:
    """Make bytecode and compressed copies of static files, then have everything that was made so far go to the disk."""
    _compile(job)
    earlier = os.path.join(os.path.dirname(job.code.like), "static") if job.code.like else ""
    compressed.compress(os.path.join(job.manifest.path, "static"), earlier)
    os.sync()


def _compile(job: Job) -> None:
    """Write the bytecode of the code. No process can write it later, so every worker would compile all code at each start.

    The bytecode of a file that did not change is linked from the previous release. A file that cannot be compiled gets none,
    which is no fault: the import probe shows whether the app needs it. Python checks the bytecode against its source at
    each use (PEP 552), so that an edit of a release in an emergency has an effect.
    """
    path, like = job.manifest.path, job.code.like
    # The interpreter itself, without anything that a package may run at Python's start: we are root.
    python = [job.python, "-I", "-S"]
    asked = subprocess.run(
        [*python, "-c", "import sys; print(sys.implementation.cache_tag)"], stdout=subprocess.PIPE, **_QUIET
    )
    tag = asked.stdout.strip()
    static = tuple(os.path.join(path, "code", folder.strip("/"), "") for folder in job.manifest.static.values())
    secret = {f"{path}/code/{name}" for name in job.files}  # their bytecode would be as secret, so it is not written
    todo = []
    for place, _folders, files in os.walk(f"{path}/code"):
        for name in files:
            file = os.path.join(place, name)
            if not name.endswith(".py") or os.path.islink(file) or file.startswith(static) or file in secret:
                continue
            bytecode = _bytecode(file, tag)
            before = os.path.join(like, os.path.relpath(file, f"{path}/code")) if like else ""
            if os.path.exists(bytecode):
                continue
            if before and os.path.exists(_bytecode(before, tag)) and os.path.samefile(before, file):
                os.makedirs(os.path.dirname(bytecode), 0o755, exist_ok=True)
                os.link(_bytecode(before, tag), bytecode)
            elif file.isprintable():  # compileall takes names as lines of text
                todo.append(file)
    if todo:
        compileall = ["-m", "compileall", "-qq", "-j", "0", "--invalidation-mode", "checked-hash", "-i", "-"]
        with contextlib.suppress(subprocess.TimeoutExpired):
            limit = f"--as={COMPILE_MEMORY}"
            subprocess.run(
                ["prlimit", limit, *python, "-X", "utf8", *compileall],
                input="\n".join(todo),
                stdout=subprocess.DEVNULL,
                timeout=job.deadline,
                **_QUIET,
            )


_QUIET: dict[str, Any] = {"cwd": "/", "stderr": subprocess.DEVNULL, "text": True, "errors": "replace", "check": False}


def _bytecode(file: str, tag: str) -> str:
    """Where Python looks for a file's bytecode (PEP 3147)."""
    place, name = os.path.split(file)
    return os.path.join(place, "__pycache__", f"{name.removesuffix('.py')}.{tag}.pyc")
