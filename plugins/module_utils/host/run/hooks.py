"""Hooks: what else a team does when a release goes live, as the app's user and with its environment."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from ...contract.errors import HostError
from ...contract.manifest import read_manifest, release_path
from ..base import atomic
from ..base.ending import ending
from ..build import lacking, proving
from ..process import confine
from ..process.masking import Masking
from ..system import releases


@dataclass(frozen=True)
class Hook:
    """One app's command of a hook."""

    root: str
    release_id: str
    command: tuple[str, ...]
    timeout: float
    """Seconds."""


def run(name: str, hook: Hook) -> str:
    """Run a hook's command in its release; returns its last lines.

    Raises:
        HostError: it failed or took too long; the message carries its last lines.
    """
    path = release_path(hook.root, hook.release_id)
    manifest = read_manifest(hook.root, hook.release_id)
    hide = Masking(path, manifest.secrets)
    record = os.path.join(path, "migrated.json")
    before = atomic.read(record)
    if name == "migrate":
        # Before it runs: one that fails halfway has changed something, too.
        atomic.write_json(record, {"when": releases.now()})
    if not hook.command:
        return ""
    shown = hide(shlex.join(hook.command))
    try:
        result = proving.as_app(manifest, "hook", hook.command, hook.timeout)
    except HostError as error:
        raise HostError(hide(str(error))) from None
    text = hide(result.stdout) + hide(result.stderr)
    last_lines = confine.last(text)
    output = f"\n{last_lines}" if last_lines else ""
    if result.timed_out:
        raise HostError(
            f"hook {name} ({shown}) was not done after {hook.timeout:g} s and was killed; raise its timeout or make it faster"
            + output
        )
    if result.status:
        remedy = lacking.remedy(text, hook.root)
        failure = f"hook {name} ({shown}) failed with {ending(result.status)}"
        raise HostError("; ".join(filter(None, (failure, lacking.began(text), remedy))) + output)
    if name == "migrate" and had_nothing_to_do(hook.command, text):
        if before is None and (earlier := _tried(hook)):
            atomic.write_json(record, {"when": earlier})
        elif before is None:
            atomic.remove_file(record)
        else:
            atomic.write(record, before)
    return output


def _tried(hook: Hook) -> str:
    """When a release migrated last that never became current, since the current one did; empty for never.

    A release that has nothing to do any more takes its record over, since the retirement removes such a release.
    """
    current = releases.current(hook.root)
    since = releases.Activation(hook.root, current).when if current else ""
    times = [""]
    for name in os.listdir(os.path.join(hook.root, "releases")):
        path = release_path(hook.root, name)
        if name != hook.release_id and not os.path.exists(os.path.join(path, "activated.json")):
            times.append(str((atomic.read_json(os.path.join(path, "migrated.json")) or {}).get("when", "")))
    return max(when for when in times if not when or when > since)


def had_nothing_to_do(command: Sequence[str], text: str) -> bool:
    """Whether a command says that the database was up to date, as Django and Alembic (also in Flask-Migrate) do.

    Any other command counts as a migration, and so does a shell's text: more than that may have run. The record is only for the
    warning of a rollback.
    """
    if not {"migrate", "upgrade"} & set(command):
        return False
    if "No migrations to apply." in text:
        return "  Applying " not in text
    return "[alembic.runtime.migration]" in text and "Running " not in text
