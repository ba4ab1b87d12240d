"""The kit's modules as a host keeps them, compiled: what a call needs of Ansible there, and how they get there.

Ansible sends a module with everything that it imports at each call, and the host compiles all of it each time. That is most
of what a call costs (docs/performance.md). `pack` is what is sent instead, once; `install.py` and `run.py` are programs that
run on the host, with its Python.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from ..contract import names

PLUGINS = Path(__file__).parents[2]
PACKAGE = "ansible_collections/slipway/kit/plugins"
"""Where the modules look for each other."""
DOTTED = PACKAGE.replace("/", ".")
IMPORT = re.compile(r"^ *from ([\w.]+) import (\([^)]*\)|[^(\n]+)", re.MULTILINE)
FOLDER = names.MODULES
"""Where a host keeps them, a folder for each version of the kit."""


def program(name: str) -> str:
    """The text of a program for the host."""
    return Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")


def files() -> Iterator[tuple[str, bytes]]:
    """Each file of a folder that a host keeps, with its path there."""
    yield "run.py", program("run").encode()
    for path in sources():
        yield f"{PACKAGE}/{path.relative_to(PLUGINS)}", path.read_bytes()


def sources() -> list[Path]:
    """The modules and all that they import of the kit, found by following their imports; with their packages' own files."""
    waiting = list((PLUGINS / "modules").glob("*.py"))
    followed: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in followed or not path.is_file():
            continue
        followed.add(path)
        waiting += _imported(path)
        waiting += [folder / "__init__.py" for folder in path.parents if PLUGINS in folder.parents]
    return sorted(followed)


def _imported(path: Path) -> Iterator[Path]:
    """The files that `path` may import of the kit, anywhere in it; some of them are not there."""
    # A pattern, since each task reads again and Python's parser would take a fifth of a second for all files.
    for module, imported in IMPORT.findall(path.read_text(encoding="utf-8")):
        name = module.lstrip(".")
        if name != module:
            folder = path.parents[len(module) - len(name) - 1]
        elif name.startswith(DOTTED):
            folder, name = PLUGINS, name.removeprefix(DOTTED).strip(".")
        else:
            continue
        target = folder.joinpath(*name.split(".")) if name else folder
        for candidate in (target, *(target / word for word in re.findall(r"\w+", imported))):
            yield candidate.with_suffix(".py")
            yield candidate / "__init__.py"


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
