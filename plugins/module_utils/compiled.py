"""The kit's own templates as Python's code, kept in the controller's cache.

To compile a template takes three quarters of the time of rendering it. Each task would do so again in its process, for each host.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

import jinja2
from ansible.release import __version__
from jinja2.bccache import Bucket, FileSystemBytecodeCache

from .sources.cache import KEPT, prune

VERSIONS = f"{__version__}-{jinja2.__version__}"
"""What decides about the code beside the template and the version of Python, which Jinja compares."""


class Compiled(FileSystemBytecodeCache):
    """Jinja's cache for the templates below one folder. Those of users, which may hold a secret, are not kept."""

    def __init__(self, folder: Path, templates: str) -> None:
        super().__init__(str(folder), pattern="%s")
        self.templates = os.path.join(templates, "")

    def get_bucket(self, environment: jinja2.Environment, name: str, filename: str | None, source: str) -> Bucket:
        """The place of a template's code. The key of one that is not kept is empty."""
        if not filename or not filename.startswith(self.templates):
            return Bucket(environment, "", self.get_source_checksum(source))
        return super().get_bucket(environment, name, filename, source)

    def load_bytecode(self, bucket: Bucket) -> None:
        """Read the code. A file that is broken is as good as none."""
        try:
            super().load_bytecode(bucket)
        except Exception:  # pickle raises nearly every kind
            bucket.reset()

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep the code where that is possible."""
        if bucket.key:
            with contextlib.suppress(OSError):
                prune(Path(self.directory), KEPT)
                super().dump_bytecode(bucket)


def cache(root: Path, templates: str) -> Compiled | None:
    """The cache below a folder for what can be made again; None where it cannot be used.

    What is in it runs as the operator. So it is used only where no other user can write.
    """
    folder = root / "compiled" / VERSIONS
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        places = [place.stat() for place in (root, folder.parent, folder)]
    except OSError:
        return None
    is_ours = all(one.st_uid == os.geteuid() and not one.st_mode & (stat.S_IWGRP | stat.S_IWOTH) for one in places)
    return Compiled(folder, templates) if is_ours else None
