"""Packs what a host needs to be judged, since it has Python and nothing else: `python -m tests.judge.pack ARCHIVE`."""

from __future__ import annotations

import sys
import tarfile
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = ("tests/__init__.py", "tests/patience.py", "tests/judge")
PYTEST = ("pytest", "_pytest", "py", "pluggy", "iniconfig", "packaging", "pygments")
"""Pure Python packages: this machine's files work on every host."""


def main(archive: str) -> None:
    """Write the archive."""

    def source(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if member.name.endswith("__pycache__") else member

    with tarfile.open(archive, "w:gz", compresslevel=1) as out:
        for path in OURS:
            out.add(ROOT / path, path, filter=source)
        for name in PYTEST:
            module = Path(str(import_module(name).__file__))
            files = module.parent if module.name == "__init__.py" else module
            out.add(files, files.name, filter=source)


if __name__ == "__main__":
    main(sys.argv[1])
