"""Makes what the source of a release lacks, by the app's own commands (`build`): as the build user, in the release's code.

The code is the build user's while its commands run, at the path where it stays, so that paths which they write are right.
No file of it is one that another release has. Then root takes all of it over, by a copy (`takeover`).
"""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import shlex
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ...contract.job import Job, Make
from ..base import acl, trees
from ..base.ending import ending
from ..process import confine
from . import build_user, lacking, placed, setup
from .takeover import Refused, Stopped, take_over_code
from .virtualenv_bytecode import FOLDER as BYTECODE

TAKEN = ".taken"
"""Root's folder in the release while the code is taken over."""
PIECE = 1024 * 1024
"""Bytes that are read at once."""
NOT_FOUND = 127
"""The launcher's status for a command that is not there."""


class MakeError(Exception):
    """The commands failed, or what they made cannot be used; `output` is what they printed."""

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output


@dataclass(frozen=True)
class Made:
    """What the commands did to the code."""

    altered: list[str]
    """The files and links of the source that they changed or removed."""
    bound: bool
    """Whether something that they made names this release, as its own path does, so that no other release can have it."""


def make(job: Job, wanted: Make, cache: str, watch: Callable[[], str]) -> Made:
    """Run a job's commands in its code, which is root's before and after.

    Args:
        job: the release.
        wanted: the commands, and what they get to see.
        cache: where the build user's own folder is made, and removed.
        watch: asked meanwhile; what it answers ends the commands.

    Raises:
        BuildError: There is no build user.
        MakeError: A command failed, took too long, or made what cannot be taken over.
    """
    manifest = job.manifest
    code = f"{manifest.path}/code"
    user = build_user.begin(manifest.builder)
    before = marks(code)
    try:
        placed.place(code, wanted.files, user.pw_uid, user.pw_gid)
    except placed.PlaceError as exc:
        raise MakeError(str(exc)) from None
    trees.remove(cache)
    _builders_folder(cache, wanted.environment, user)
    _hand_over(code, user)
    venv = os.path.realpath(f"{manifest.path}/venv")
    try:
        acl.let_in(venv, user.pw_uid)
        _run(job, wanted, code, venv, cache, watch)
    except acl.NoAccessLists as exc:
        raise MakeError(str(exc)) from None
    finally:
        build_user.clear(manifest.builder)
        acl.shut_out(venv, 0o750)
        trees.remove(cache)
    _take_over(manifest.path, code, user.pw_uid, watch)
    after = marks(code)
    fresh = [name for name, mark in after.items() if before.get(name) != mark]
    return Made(
        sorted(name for name, mark in before.items() if after.get(name) != mark),
        any(_mentions(os.path.join(code, name), os.fsencode(manifest.release_id)) for name in fresh),
    )


def _builders_folder(cache: str, environment: Mapping[str, str], user: pwd.struct_passwd) -> None:
    """Make the build user's own folder, with its home and the environment of its commands."""
    os.mkdir(cache, 0o700)
    home, settings = f"{cache}/home", f"{cache}/environment.json"
    os.mkdir(home, 0o700)
    with open(os.open(settings, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as out:
        json.dump({**environment, "HOME": home, "XDG_CACHE_HOME": f"{home}/.cache"}, out)
    for path in (settings, home, cache):
        os.chown(path, user.pw_uid, user.pw_gid)


def _hand_over(code: str, user: pwd.struct_passwd) -> None:
    """Give all of the code to the build user; no other user may enter it."""
    for place, folders, names in os.walk(code, topdown=False):
        for name in (*folders, *names):
            os.lchown(os.path.join(place, name), user.pw_uid, user.pw_gid)
    os.chmod(code, 0o700)
    os.chown(code, user.pw_uid, user.pw_gid)


def _run(job: Job, wanted: Make, code: str, venv: str, cache: str, watch: Callable[[], str]) -> None:
    manifest, limit = job.manifest, job.deadline
    cell = confine.builder(manifest.app, manifest.builder, [code, cache], job.python)
    # The launcher by its text: the release's own can be read by the app alone.
    launch = [
        "/usr/bin/python3",
        "-I",
        "-S",
        "-c",
        job.programs["exec"],
        "--chdir",
        os.path.join(code, manifest.folder),
    ]
    launch += ["--venv", venv, "--umask", "0022", f"{cache}/environment.json", "--"]
    until = time.monotonic() + limit
    for command in wanted.commands:
        shown = shlex.join(command)
        result = confine.run([*launch, *command], cell, max(0.1, until - time.monotonic()), watch=watch)
        output = setup.output_of(result)
        if result.stopped:
            raise MakeError(f"`build` ({shown}) was ended: {result.stopped}", output)
        if result.timed_out:
            raise MakeError(
                f"`build` was not done within {limit:g} s, and {shown} was killed; raise timeouts.build, or see what takes so long",
                output,
            )
        if result.status:
            raise MakeError(
                f"`build` ({shown}) failed with {ending(result.status)}{_remedy(result, command[0], wanted)}",
                output,
            )


def _remedy(result: confine.Outcome, program: str, wanted: Make) -> str:
    """What to do about a command that failed, as the end of a sentence."""
    if result.status == NOT_FOUND and f"there is no command {program!r}" in result.stderr:
        return (
            f"; neither the virtualenv nor the host has {program}. Name a package that brings it in the app's dependencies or in "
            "`system_packages`, or build on the controller with `source.build`"
        )
    text = setup.output_of(result)
    remedies = [lacking.began(text)]
    if any(word in text for word in lacking.NO_ROOM):
        remedies.append(
            "`build` may write the release's own code and nothing else, neither shared/ nor home/ of the app"
        )
    names, values = wanted.unset, wanted.environment
    if any(name in text or values.get(name, name) in text for name in names):
        remedies.append(
            f"it got stand-ins for these secrets: {', '.join(names)}. One that it needs has to be in `build_secrets`"
        )
    return "".join(f"; {one}" for one in remedies if one)


def _take_over(folder: str, code: str, owner: int, watch: Callable[[], str]) -> None:
    taken = f"{folder}/{TAKEN}"
    os.mkdir(taken, 0o700)
    try:
        os.rename(code, f"{taken}/theirs")
        take_over_code(f"{taken}/theirs", f"{taken}/ours", owner, watch)
        os.rename(f"{taken}/ours", code)
    except Stopped as exc:
        raise MakeError(f"what `build` made was not taken over: {exc}") from None
    except (Refused, OSError) as exc:
        raise MakeError(f"what `build` made is not used: {exc}; see which of its commands made this") from None
    finally:
        trees.remove(taken)


def marks(code: str) -> dict[str, str]:
    """A mark for each file and link of a folder of root, which differs from any other's at that path; no bytecode."""
    return {os.path.relpath(path, code): _mark(path) for path in _files(code)}


def _files(code: str) -> Iterator[str]:
    for place, folders, names in os.walk(code):
        folders[:] = [name for name in folders if name != BYTECODE]
        for name in (*folders, *names):
            path = os.path.join(place, name)
            if name in names or os.path.islink(path):
                yield path


def _mark(path: str) -> str:
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return f"link {os.readlink(path)}"
    total = hashlib.sha256()
    with open(path, "rb") as handle:
        while piece := handle.read(PIECE):
            total.update(piece)
    return f"{'program' if mode & stat.S_IXUSR else 'file'} {total.hexdigest()}"


def _mentions(path: str, word: bytes) -> bool:
    """Whether a file's content has the word in it. Links are not examined."""
    if os.path.islink(path):
        return False  # none of them is absolute
    end = b""
    with open(path, "rb") as handle:
        while piece := handle.read(PIECE):
            if word in end + piece:
                return True
            end = piece[-len(word) :]
    return False
