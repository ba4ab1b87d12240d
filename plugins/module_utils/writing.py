"""Whether the controller can write a file, checked before any host is asked."""

from __future__ import annotations

import os


def obstacle(path: str) -> str:
    """Why a file cannot be written at `path`, as the end of a sentence that begins with the path; empty if it can."""
    path = os.path.abspath(os.path.expandvars(os.path.expanduser(path)))  # as Ansible reads an option of type `path`
    folder = os.path.dirname(path)
    if os.path.isdir(path):
        return "is a folder; name a file in it"
    if not os.path.isdir(folder):
        what = "is no folder" if os.path.lexists(folder) else "does not exist"
        return f"cannot be written: {folder} {what}; create it, or name another file"
    if os.path.exists(path):
        return "" if os.access(path, os.W_OK) else "cannot be written: you may not change that file; name another one"
    if not os.access(folder, os.W_OK):
        return f"cannot be written: you may not write in {folder}; name another file"
    return ""
