"""Reads files and asks programs of a host.

Every function takes ``root``, the folder that stands for ``/``, so that tests can show it a machine of their making.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from typing import Any


def at(root: str, path: str) -> str:
    """The path below the stand-in for ``/``."""
    return path if root == "/" else os.path.join(root, path.lstrip("/"))


def read(root: str, path: str) -> str | None:
    """The text of a file; None when it is not there or may not be read."""
    try:
        with open(at(root, path), encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return None


def read_object(path: str) -> dict[str, Any]:
    """Return the JSON object in a file; an empty one when there is none."""
    try:
        with open(path, encoding="utf-8") as handle:
            data = json.load(handle)
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


class Started:
    """A process that runs while other facts are read."""

    def __init__(self, argv: Sequence[str]) -> None:
        try:
            self.process: subprocess.Popen[str] | None = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        except OSError:
            self.process = None

    def output(self) -> str:
        """Return what it printed; nothing when it failed or took longer than 10 s, which no version query does."""
        if self.process is None:
            return ""
        try:
            text, _ = self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            return ""
        return text if self.process.returncode == 0 else ""


def program(root: str, name: str) -> str:
    """Return the path of a system program, an empty text where there is none."""
    for folder in ("/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"):
        if os.access(at(root, f"{folder}/{name}"), os.X_OK):
            return f"{folder}/{name}"
    return ""
