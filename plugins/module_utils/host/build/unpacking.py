"""Lays out a release's code: from the archive that was sent, and by links to what other releases have."""

from __future__ import annotations

import base64
import filecmp
import io
import math
import os
import shutil
import tarfile
from collections.abc import Callable, Sequence

from ...contract import names
from ...contract.job import Code, Job
from ..base import atomic
from .errors import Lacking

ALTERED = "altered.json"
"""The file in a release that names what of the source's files its code has no more, or otherwise."""
SLACK = 1.0
"""Seconds by which a file may be newer than the manifest of its release, which was written last: file systems round times."""


def lay_out_code(job: Job) -> None:
    """Unpack the code, or link it from a release that has the same."""
    target, source = f"{job.manifest.path}/code", job.code
    if not source.folder:
        os.mkdir(target, 0o755)
        # What a build user gets to write is no file of another release's.
        _keep(target, source.like, source.keep, _copy if job.make else _link)
        with _archive(source) as archive:
            # The controller wrote it and lets no name or link in it leave the folder. Python checks the same where it
            # can (PEP 706; Debian 12's 3.11.2 cannot).
            if hasattr(tarfile, "tar_filter"):
                archive.extraction_filter = staticmethod(tarfile.tar_filter)
            archive.extractall(target)  # noqa: S202  # nosec B202 # see above
        if not job.make:
            date(target, source.like)
    else:
        # Hard links: both releases are read-only and root's.
        built = _built(source.folder)

        def take(file: str, path: str) -> None:
            _refuse_changed(file, built)
            os.link(file, path)

        shutil.copytree(source.folder, target, symlinks=True, copy_function=take)


def _keep(target: str, like: str, files: Sequence[str], take: Callable[[str, str], None]) -> None:
    """Take the files that did not change from the release before. Raises Lacking when it has not all of them as they were sent."""
    folder, built = os.path.dirname(like), _built(like)
    altered = set((atomic.read_json(os.path.join(folder, ALTERED)) or {}).get("altered", ()))
    altered.update((atomic.read_json(os.path.join(folder, names.MANIFEST)) or {}).get("placed", ()))
    for name in files:
        if name in altered:
            raise Lacking(f"the release before has another {name} than its source")
        path = os.path.join(target, name)
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        try:
            _refuse_changed(os.path.join(like, name), built)
            take(os.path.join(like, name), path)
        except FileNotFoundError as exc:
            raise Lacking(f"the release before has no {name} any more") from exc


def _built(code: str) -> float:
    """When the release with this code was built; without end where its manifest does not tell."""
    try:
        return os.stat(os.path.join(os.path.dirname(code), names.MANIFEST)).st_mtime
    except OSError:
        return math.inf


def _refuse_changed(file: str, built: float) -> None:
    """Raise Lacking for a file that was changed on the host: a link would spread the change into the new release, unseen."""
    if os.lstat(file).st_mtime > built + SLACK:
        raise Lacking(f"{file} was changed on the host after its release was built")


def _link(file: str, path: str) -> None:
    os.link(file, path, follow_symlinks=False)


def _copy(file: str, path: str) -> None:
    shutil.copy2(file, path, follow_symlinks=False)


def _archive(source: Code) -> tarfile.TarFile:
    """The code as it was sent: in the job itself, or as a file beside it."""
    if source.stream:
        return tarfile.open(fileobj=io.BytesIO(base64.b64decode(source.stream)), mode="r:*")
    return tarfile.open(source.archive, "r:*")


def date(target: str, like: str) -> None:
    """Give every file the time of this build, or make it the same file as in the release before, where it is alike.

    The archive carries no times, so that equal code makes equal releases; but web servers tell versions of a file apart
    by time and size.
    """
    for place, _folders, files in os.walk(target):
        for name in files:
            file = os.path.join(place, name)
            if os.path.islink(file):
                continue
            before = os.path.join(like, os.path.relpath(file, target)) if like else ""
            if before and not os.path.islink(before) and os.path.isfile(before) and _alike(before, file):
                if not os.path.samefile(before, file):
                    os.unlink(file)
                    os.link(before, file)
            else:
                os.utime(file)


def _alike(one: str, other: str) -> bool:
    if os.path.samefile(one, other):
        return True
    return os.stat(one).st_mode == os.stat(other).st_mode and filecmp.cmp(one, other, shallow=False)
