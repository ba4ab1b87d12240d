"""Packs what a host needs to be judged, since it has Python and nothing else: `python -m tests.judge.pack ARCHIVE`."""

from __future__ import annotations

import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = ("tests/__init__.py", "tests/patience.py", "tests/judge")
PYTEST = ("pytest", "_pytest", "py", "pluggy", "iniconfig", "packaging", "pygments")
"""Pure Python, all of it: this machine's files serve every host."""


def main(archive: str) -> None:
    """Write the archive."""

    def source(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if member.name.endswith("__pycache__") else member

    with tarfile.open(archive, "w:gz", compresslevel=1) as out:
        for path in OURS:
            out.add(ROOT / path, path, filter=source)
        for name in PYTEST:
            path = Path(str(find_spec(name).origin))  # type: ignore[union-attr]
            path = path.parent if path.name == "__init__.py" else path
            out.add(path, path.name, filter=source)


if __name__ == "__main__":
    main(sys.argv[1])
