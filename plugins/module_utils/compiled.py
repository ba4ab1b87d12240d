"""The kit's own templates as Python's code, kept in the controller's cache.

To compile a template takes three quarters of the time of rendering it. Each task would do so again in its process, for each host.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path

import jinja2
from ansible.release import __version__
from jinja2.bccache import Bucket, BytecodeCache

from .sources.cache import KEPT, prune

VERSIONS = f"{__version__}-{jinja2.__version__}"
"""What decides about the code beside the template and the version of Python, which Jinja compares."""
OPTIONS = (
    "block_start_string", "block_end_string", "variable_start_string", "variable_end_string", "comment_start_string",
    "comment_end_string", "line_statement_prefix", "line_comment_prefix", "trim_blocks", "lstrip_blocks", "newline_sequence",
    "keep_trailing_newline",
)  # fmt: skip
"""Jinja's options of how it reads a template."""
SIZE = 32
"""Bytes of a SHA-256."""
LIMIT = 8 << 20
"""Bytes of a template's code: a hundred times what the largest has."""


class Compiled(BytecodeCache):
    """Jinja's cache for the templates below one folder. Those of users, which may hold a secret, are not kept.

    Each file is the SHA-256 of a template's code, then the code.
    """

    def __init__(self, folder: Path, templates: str) -> None:
        self.folder, self.templates = folder, os.path.join(templates, "")

    def get_bucket(self, environment: jinja2.Environment, name: str, filename: str | None, source: str) -> Bucket:
        """The place of a template's code. The key of one that is not kept is empty."""
        if not filename or not filename.startswith(self.templates):
            return Bucket(environment, "", self.get_source_checksum(source))
        return super().get_bucket(environment, f"{name} {_options(environment)}", filename, source)

    def load_bytecode(self, bucket: Bucket) -> None:
        """Read the code. A file that is damaged or not the operator's is as good as none."""
        with contextlib.suppress(OSError):
            descriptor = os.open(self.folder / bucket.key, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                about = os.fstat(descriptor)
                if not stat.S_ISREG(about.st_mode) or not _is_ours(about):
                    return
                data = file.read(LIMIT)
            digest, code = data[:SIZE], data[SIZE:]
            if hashlib.sha256(code).digest() == digest:
                bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep the code where that is possible."""
        if not bucket.key:
            return
        code = bucket.bytecode_to_string()
        with contextlib.suppress(OSError):
            prune(self.folder, KEPT)
            descriptor, temporary = tempfile.mkstemp(dir=self.folder)
            with os.fdopen(descriptor, "wb") as file:
                file.write(hashlib.sha256(code).digest() + code)
            os.replace(temporary, self.folder / bucket.key)


def _options(environment: jinja2.Environment) -> list[str]:
    """What else decides about the code of a template: a user's template may set other options for those that it extends."""
    return [*(repr(getattr(environment, name)) for name in OPTIONS), *sorted(environment.extensions)]


def _is_ours(about: os.stat_result) -> bool:
    """Whether only this user can write what this is about."""
    return about.st_uid == os.geteuid() and not about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


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
    return Compiled(folder, templates) if all(map(_is_ours, places)) else None
