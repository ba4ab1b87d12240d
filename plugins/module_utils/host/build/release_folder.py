"""Writes a release's folder: its files, with the owner and mode of each, durably."""

from __future__ import annotations

import grp
import os
import shutil

from ...contract.job import Job, Variant
from ...contract.manifest import Manifest
from ..base import atomic, trees
from .errors import BuildError


def share(path: str, group: str, mode: int) -> None:
    """Let a group, beside root, into a folder as far as the mode says. What is in it may be shared with other releases."""
    shutil.chown(path, os.geteuid(), group)
    os.chmod(path, mode)


def clear(path: str) -> None:
    """Remove what is in a build's way. Raises BuildError that names what remains."""
    remains = trees.remove(path).remains
    if remains:
        raise BuildError(f"{path} could not be removed: {'; '.join(remains)}")


def write(path: str, text: str, mode: int, group: str) -> None:
    """Put a text at `path` in one step, for root and a group; the name is made durable by `sync_directory`."""
    owner = (os.geteuid(), grp.getgrnam(group).gr_gid)
    atomic.write(path, text.encode(), mode, owner, durable_name=False)


def write_programs(job: Job) -> None:
    """The kit's own programs, of which the app's user starts one itself."""
    path, group = job.manifest.path, job.manifest.group
    for name, text in job.programs.items():
        folder = os.path.dirname(f"{path}/{name}")
        if not os.path.isdir(folder):
            os.makedirs(folder, 0o700)
            share(folder, group, 0o750)
        write(f"{path}/{name}", text, 0o750 if name == "exec" else 0o640, group)


def lead_to(variant: Variant) -> None:
    """Let the release's link lead to the virtualenv of the variant: what serves it is in there, too."""
    link = f"{variant.manifest.path}/venv"
    if os.path.lexists(link):
        os.unlink(link)
    os.symlink(os.path.relpath(variant.manifest.venv, variant.manifest.path), link)


def write_variant(variant: Variant) -> None:
    """The files that depend on the interface; the manifest, which makes the release complete, is not one of them."""
    for name, text in variant.files.items():
        write(f"{variant.manifest.path}/{name}", text, 0o640, variant.manifest.group)


def lead_out(manifest: Manifest) -> None:
    """Link the release to what its programs have outside of it, and make their logs."""
    links = {"run": manifest.run, "log": manifest.log}
    links |= {f"log.{program.name}": program.log for program in manifest.processes}
    for name, target in links.items():
        os.symlink(target, f"{manifest.path}/{name}")
    logs = [*(program.log for program in manifest.programs), *(timer.log for timer in manifest.timers)]
    for log in logs:
        _open_log(log, manifest.group)


def _open_log(path: str, group: str) -> None:
    """The log exists before the manager appends to it, so that the app's group may read it."""
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    if not os.path.exists(path):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o640))
        os.chmod(path, 0o640)
        shutil.chown(path, None, group)
