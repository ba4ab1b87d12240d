"""The kit's modules as a host keeps them, compiled: what a call needs of Ansible there, and how they come to be there.

Ansible sends a module with everything that it imports at each call, and the host compiles all of it each time; that is
most of what a call costs (docs/performance.md). `pack` is what is sent instead, once; `install.py` and `run.py` are
programs that run on the host, with its Python.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

PLUGINS = Path(__file__).parents[2]
PACKAGE = "ansible_collections/slipway/kit/plugins"
"""Where the modules look for each other."""
FOLDER = "/var/lib/slipway/modules"
"""Where a host keeps them, a folder for each version of the kit."""


def program(name: str) -> str:
    """The text of a program for the host."""
    return Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")


def files() -> Iterator[tuple[str, bytes]]:
    """Each file of a folder that a host keeps, with its path there."""
    yield "run.py", program("run").encode()
    for folder in ("modules", "module_utils", "module_utils/host"):
        for path in sorted((PLUGINS / folder).glob("*.py")):
            if folder != "module_utils" or path.stem == "__init__":  # the rest of that folder is the controller's
                yield f"{PACKAGE}/{folder}/{path.name}", path.read_bytes()


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
