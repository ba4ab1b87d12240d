"""Runs git so that nothing in a repository, an address or this process's surroundings can steer or block it."""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import SourceError, masked, printable

PROTOCOLS = ("file", "git", "http", "https", "ssh")
"""What may be fetched with; git's others (ext::, fd::) run commands."""

QUICK = 120.0
"""Seconds for what only reads the local disk."""

NETWORK = 900.0
"""Seconds for a fetch, clone or submodule update of a large repository over a slow line."""

# `git rev-parse --local-env-vars`: set when we run inside a git hook or alias, they would point at another repository.
# GIT_CONFIG_COUNT stays: people use it to hand credentials and address rewrites to a pipeline.
_LOCAL = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_CONFIG",
        "GIT_CONFIG_PARAMETERS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_GRAFT_FILE",
        "GIT_INDEX_FILE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_REPLACE_REF_BASE",
        "GIT_PREFIX",
        "GIT_SHALLOW_FILE",
        "GIT_COMMON_DIR",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_NAMESPACE",
        "GIT_LITERAL_PATHSPECS",
        "GIT_GLOB_PATHSPECS",
        "GIT_NOGLOB_PATHSPECS",
        "GIT_ICASE_PATHSPECS",
    }
)

_OPTIONS = (
    # A repository may belong to another user, as when root deploys a user's folder. git only reads it, and runs nothing
    # that the repository's configuration names.
    *("-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"),
    # The files as committed, whatever this user's settings: the same commit is the same release everywhere.
    *("-c", "core.autocrlf=false", "-c", "core.eol=lf", "-c", "core.symlinks=true", "-c", "core.fileMode=true"),
    *("-c", "advice.detachedHead=false", "-c", "gc.autoDetach=false", "-c", "maintenance.autoDetach=false"),
    # A separate call does git-lfs's part of a checkout, see lfs.py.
    *("-c", "filter.lfs.smudge=", "-c", "filter.lfs.process=", "-c", "filter.lfs.required=false"),
    # A slower connection counts as dead after a minute.
    *("-c", "http.lowSpeedLimit=100", "-c", "http.lowSpeedTime=60"),
)

_NOISE = (
    "hint:",
    "please make sure you have the correct",
    "and the repository exists",
    "to add an exception",
    "git config",
    "use '--' to separate",
)


OUTPUT = 64 << 20
"""Bytes that a git command may print: the names of 200,000 files, each with 300."""

COMPLAINT = 1 << 16
"""Bytes of git's complaints that are kept."""


@dataclass(frozen=True)
class Result:
    """How a git command ended."""

    ok: bool
    output: bytes
    reason: str
    """Why it failed, in git's own words: one line, passwords hidden."""


def git(
    folder: Path,
    *arguments: str | bytes,
    protocols: Sequence[str] = PROTOCOLS,
    timeout: float = QUICK,
    place: Mapping[str, str] | None = None,
    memory: int | None = None,
) -> Result:
    """Run git without prompts.

    Args:
        folder: The current folder of git.
        arguments: The command line after `git`.
        protocols: The protocols that git may use.
        timeout: Seconds after which git is ended.
        place: Variables with the place of the repository, instead of git's own search.
        memory: The most bytes of memory for git, where it reads untrusted data.

    Raises:
        SourceError: git is not installed, does not end in time or prints too much.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _LOCAL}
    environment.update(LC_ALL="C", LANGUAGE="", GIT_TERMINAL_PROMPT="0", GIT_ALLOW_PROTOCOL=":".join(protocols))
    environment.update(GIT_OPTIONAL_LOCKS="0", GIT_ATTR_NOSYSTEM="1", GIT_NO_LAZY_FETCH="1", **(place or {}))
    environment.setdefault("SSH_ASKPASS_REQUIRE", "never")
    try:
        process = subprocess.Popen(
            ["git", *_OPTIONS, *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # no terminal on which ssh could ask; and one group to end
        )
    except FileNotFoundError as error:
        if error.filename != "git":
            raise
        raise SourceError(
            "git is not installed on the controller; install it (Debian: apt-get install git)."
        ) from error
    what = next(a for a in arguments if isinstance(a, str) and not a.startswith("-"))
    try:
        if memory is not None and hasattr(resource, "prlimit"):  # Linux
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(process.pid, resource.RLIMIT_AS, (memory, memory))
        output, complaint = _read(process, timeout)
    except _TooMuch:
        _end(process)
        raise SourceError(
            f"git {what} printed more than {OUTPUT >> 20} MiB; the source has more files, or longer names, than code has."
        ) from None
    except subprocess.TimeoutExpired:
        _end(process)
        raise SourceError(
            f"git {what} did not end within {timeout:.0f} s; see whether the repository answers from this machine."
        ) from None
    except BaseException:
        _end(process)
        raise
    return Result(process.returncode == 0, output, _reason(complaint))


class _TooMuch(Exception):
    pass


def _read(process: subprocess.Popen[bytes], timeout: float) -> tuple[bytes, bytes]:
    """What git prints and complains, until it has ended. Raises TimeoutExpired, and _TooMuch beyond OUTPUT."""
    end = time.monotonic() + timeout
    kept: dict[Any, bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
    with selectors.DefaultSelector() as streams:
        for stream in kept:
            streams.register(stream, selectors.EVENT_READ)
        while streams.get_map():
            ready = streams.select(end - time.monotonic())
            if not ready and time.monotonic() >= end:
                raise subprocess.TimeoutExpired(process.args, timeout)
            for key, _ in ready:
                data = os.read(key.fd, 1 << 16)
                if not data:
                    streams.unregister(key.fileobj)
                elif key.fileobj is process.stdout or len(kept[key.fileobj]) < COMPLAINT:
                    kept[key.fileobj] += data
            if len(kept[process.stdout]) > OUTPUT:
                raise _TooMuch
    process.wait(max(0.0, end - time.monotonic()))
    for stream in kept:
        stream.close()
    return bytes(kept[process.stdout]), bytes(kept[process.stderr])


def _end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _reason(complaint: bytes) -> str:
    lines = [line.strip() for line in complaint.decode("utf-8", "backslashreplace").splitlines()]
    lines = [line for line in lines if line and not line.lower().startswith(_NOISE)]
    # "Could not read from remote repository" only says that ssh or the other side gave up: the line before says why.
    # Of several, as for a submodule, the first is the cause.
    telling = [line for line in lines if not line.startswith("fatal: Could not read from remote repository")] or lines
    causes = [line for line in telling if line.startswith("fatal:")] or telling[-1:]
    return printable(masked(causes[0]))[:300] if causes else "git gave no reason"
