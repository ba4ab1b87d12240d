"""What an app does once on a host (`hooks.setup`), and the memory of it: root's, until the app is removed with its data."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Sequence

from ...contract import names
from ...contract.job import Setup
from ..base import atomic
from ..base.ending import ending
from ..process import confine
from ..system import releases
from . import lacking

_TABLE = re.compile(r"no such table|relation \S+ does not exist|[Tt]able \S+ doesn't exist")


class SetupError(Exception):
    """A command failed; `output` is what it printed."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


def once(
    app: str,
    root: str,
    release_id: str,
    wanted: Setup,
    run: Callable[[Sequence[str], float], confine.Outcome],
) -> None:
    """Run an app's commands, each within the timeout, unless the app has done so on this host.

    It is remembered when all of them have succeeded.

    Args:
        app: its name.
        root: its folder.
        release_id: the release that does it.
        wanted: the commands.
        run: runs one of them as the app.

    Raises:
        SetupError: one of them failed or took too long.
    """
    path = _path(app)
    if not wanted.commands or os.path.exists(path):
        return
    for command in wanted.commands:
        result = run(command, wanted.timeout)
        shown = shlex.join(command)
        if result.timed_out:
            raise SetupError(
                f"hook setup ({shown}) was not done after {wanted.timeout:g} s and was killed; raise its timeout or make it faster",
                output_of(result),
            )
        if result.status:
            failure = f"hook setup ({shown}) failed with {ending(result.status)}"
            raise SetupError("; ".join(filter(None, (failure, *_advice(output_of(result), root)))), output_of(result))
    os.makedirs(names.SETUP, 0o700, exist_ok=True)
    atomic.write_json(path, {"when": releases.now(), "release": release_id})


def _advice(text: str, root: str) -> tuple[str, ...]:
    tables = _TABLE.search(text)
    first = "setup runs before the hook migrate: what needs tables makes them first, by a command of setup's own"
    return lacking.began(text), lacking.remedy(text, root), first if tables else ""


def forget(app: str) -> bool:
    """Forget that an app has done it; say whether it had."""
    return atomic.remove_file(_path(app))


def output_of(result: confine.Outcome) -> str:
    """Both outputs of a command, errors last."""
    return f"{result.stdout}\n{result.stderr}"


def _path(app: str) -> str:
    return os.path.join(names.SETUP, f"{app}.json")
