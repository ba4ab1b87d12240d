"""The kit's modules as a host keeps them, compiled: what a call needs of Ansible there, and how they get there.

Ansible sends a module with everything that it imports at each call, and the host compiles all of it each time. That is most
of what a call costs (docs/performance.md). `pack` is what is sent instead, once; `install.py` and `run.py` are programs that
run on the host, with its Python.
"""

from __future__ import annotations

import functools
import hashlib
import io
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from ..contract import names

PLUGINS = Path(__file__).parents[2]
PACKAGE = "ansible_collections/slipway/kit/plugins"
"""Where the modules look for each other."""
IMPORT = re.compile(rb"^ *from (\.*)([\w.]*) import (\([^)]*\)|[^(\n]+)", re.MULTILINE)
WORD = re.compile(rb"\w+")
TERMINAL = "module_utils/host/run/terminal.py"
"""What slipway-run on the host imports (programs/slipway_run.py)."""
FOLDER = names.MODULES
"""Where a host keeps them, a folder for each version of the kit."""


def program(name: str) -> str:
    """The text of a program for the host."""
    return Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")


@functools.cache
def files() -> tuple[tuple[str, bytes], ...]:
    """Each file of a folder that a host keeps, with its path there, as it was when a run first asked."""
    kept = ((f"{PACKAGE}/{name}", content) for name, content in sorted(sources().items()))
    return (("run.py", program("run").encode()), *kept)


def sources() -> dict[str, bytes]:
    """The modules and all that they import of the kit, found by following their imports; with their packages' own files.

    Returns:
        Contents by path, relative to `PLUGINS`.
    """
    # Texts and patterns, since every run does this: with pathlib and Python's parser it takes ten times as long.
    waiting = [f"modules/{name}" for name in os.listdir(PLUGINS / "modules") if name.endswith(".py")]
    waiting.append(TERMINAL)
    followed: dict[str, bytes] = {}
    known = {
        os.path.relpath(os.path.join(folder, name), PLUGINS)
        for folder, _, modules in os.walk(PLUGINS / "module_utils")
        for name in modules
    }
    while waiting:
        path = waiting.pop()
        if path in followed:
            continue
        followed[path] = content = (PLUGINS / path).read_bytes()
        waiting += known.intersection(_imported(path, content))
        folder = os.path.dirname(path)
        while folder not in ("", "modules"):
            waiting.append(f"{folder}/__init__.py")
            folder = os.path.dirname(folder)
    return followed


def _imported(path: str, content: bytes) -> Iterator[str]:
    """The files that a file may import of the kit, anywhere in it; some of them do not exist."""
    parts = path.split("/")
    for dots, module, imported in IMPORT.findall(content):
        name = module.decode().replace(".", "/")
        if dots:
            target = "/".join((*parts[: -len(dots)], *filter(None, [name])))
        elif name.startswith(PACKAGE):
            target = name[len(PACKAGE) + 1 :]
        else:
            continue
        for candidate in (target, *(f"{target}/{word.decode()}" for word in WORD.findall(imported))):
            yield f"{candidate}.py"
            yield f"{candidate}/__init__.py"


def home() -> str:
    """The folder on the host for the kit as it is now."""
    digest = hashlib.sha256()
    for name, content in files():
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return f"{FOLDER}/{digest.hexdigest()[:16]}"


def pack() -> bytes:
    """All of it, as a zip."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files():
            archive.writestr(name, content)
    return out.getvalue()
