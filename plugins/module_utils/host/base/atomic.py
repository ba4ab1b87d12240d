"""Small file operations that are whole or not at all, also when the power fails."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

PART = ".slipway-part-"
"""How half-written files begin: no daemon's include pattern matches a hidden name, and a crash's litter is known by it."""


def sync_directory(path: str) -> None:
    """Make the names in a directory durable: a rename is atomic at once, but on disk only after this."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(
    path: str, data: bytes, mode: int = 0o644, owner: tuple[int, int] | None = None, durable_name: bool = True
) -> None:
    """Put data at path by one rename: a reader sees the old file or the new one, never half of one.

    Args:
        path: its place.
        data: its content.
        mode: its mode.
        owner: the user and the group whose it is; without it, it is the caller's.
        durable_name: whether its name is on the disk, too, when this returns. Of many files in a folder, one
            `sync_directory` does that for all.
    """
    directory = os.path.dirname(path)
    temporary = os.path.join(directory, f"{PART}{os.urandom(8).hex()}")  # the module tempfile takes 4 ms to load
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(data)
            if owner:
                os.fchown(out.fileno(), *owner)
            os.fchmod(out.fileno(), mode)  # after fchown, which clears setuid bits
            out.flush()
            os.fsync(out.fileno())
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    if durable_name:
        sync_directory(directory)


def read(path: str) -> bytes | None:
    """The content of a file, or None when there is none."""
    try:
        with open(path, "rb") as handle:
            return handle.read()
    except FileNotFoundError:
        return None


def write_json(path: str, data: dict[str, Any], mode: int = 0o644) -> None:
    """Put a JSON object at path, as `write` does."""
    write(path, (json.dumps(data, indent=1, sort_keys=True) + "\n").encode(), mode)


def read_json(path: str) -> dict[str, Any] | None:
    """The JSON object at path; None when there is none or it cannot be read as one."""
    try:
        data = json.loads(read(path) or b"null")
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def point(link: str, target: str) -> None:
    """Let a symbolic link lead to target, atomically, whatever it led to before."""
    temporary = f"{link}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)  # left by a run that was killed
    os.symlink(target, temporary)
    os.rename(temporary, link)
    sync_directory(os.path.dirname(link))


def remove_file(path: str) -> bool:
    """Remove a file or a link; say whether there was one."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    sync_directory(os.path.dirname(path))
    return True


def directories(path: str) -> list[str]:
    """The names of the real directories (no links) in a directory, sorted; none when it does not exist."""
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []


def size(path: str) -> int:
    """The size of a file in bytes; 0 when there is none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def tail(path: str, lines: int = 20, start: int = 0) -> list[str]:
    """The last lines of a text file, but none that were written before the offset `start`."""
    try:
        with open(path, "rb") as handle:
            end = handle.seek(0, os.SEEK_END)
            start = start if start <= end else 0  # the file was rotated since
            handle.seek(max(start, end - 64 * 1024))
            text = handle.read()
    except OSError:
        return []
    return [line.rstrip() for line in text.decode("utf-8", "replace").splitlines() if line.strip()][-lines:]
