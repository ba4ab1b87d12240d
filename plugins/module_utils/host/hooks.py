"""Hooks: what else a team does when a release goes live, as the app's user and with its environment."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from subprocess import TimeoutExpired

from . import building, files, releases
from .manifest import HostError, app_name, release_path


@dataclass(frozen=True)
class Hook:
    """One app's command of a hook."""

    root: str
    release: str
    command: tuple[str, ...]
    timeout: float
    """Seconds."""


def run(name: str, hook: Hook) -> str:
    """Run a hook's command in its release; returns its last lines.

    Raises:
        HostError: it failed or took too long; the message carries its last lines.
    """
    app, path = app_name(hook.root), release_path(hook.root, hook.release)
    with open(os.path.join(path, "manifest.json"), encoding="utf-8") as handle:
        user = json.load(handle)["user"]
    shown = " ".join(hook.command)
    try:
        done = building.as_app({"path": path, "user": user}, hook.command, hook.timeout)
    except TimeoutExpired as error:
        raise HostError(
            f"{app}: hook {name} ({shown}) was not done after {hook.timeout:g} s and was killed; raise its timeout or make it faster"
        ) from error
    output = "\n".join((done.stdout + done.stderr).strip().splitlines()[-20:])
    if done.returncode:
        raise HostError(
            f"{app}: hook {name} ({shown}) failed with status {done.returncode}" + (f"\n{output}" if output else "")
        )
    if name == "migrate":
        files.write_json(os.path.join(path, "migrated.json"), {"when": releases.now()})
    return output
