"""Archives of this machine's own Pythons, in the layout of python-build-standalone's: to test the kit's way to install them.

The machine decides which ones these are: those of the PATH, and those next to the one that runs the tests. pyenv and uv
keep theirs there.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

LEFT_OUT = ("__pycache__", "site-packages", "test", "idlelib", "tkinter", "ensurepip", "turtledemo", "lib2to3")
"""What no app of the tests needs; also folders that begin with `config-`, which only the making of Python itself needs."""
ASK = "import json, platform, sys; print(json.dumps([platform.python_version(), sys.base_prefix]))"


def installed() -> dict[str, Path]:
    """Full versions of the Pythons of this machine to the folder that each is in."""
    places: dict[str, Path] = {}
    for program in _programs():
        result = subprocess.run([program, "-I", "-c", ASK], capture_output=True, text=True, check=False)
        if result.returncode == 0:
            version, prefix = json.loads(result.stdout)
            places.setdefault(version, Path(prefix))
    # A distribution spreads its Python over /usr: that is no folder to pack.
    return {version: place for version, place in places.items() if place != Path("/usr")}


def _programs() -> Iterator[str]:
    beside = Path(sys.base_prefix).resolve().parent
    for minor in range(10, 16):
        yield from filter(None, [shutil.which(f"python3.{minor}")])
        yield from map(str, sorted(beside.glob(f"*/bin/python3.{minor}")))


def pack(version: str, prefix: Path, archive: Path) -> str:
    """Write the archive of a Python; returns its SHA-256."""
    minor = version.rpartition(".")[0]
    with tarfile.open(archive, "w:gz", compresslevel=1) as out:
        _add(out, f"bin/python{minor}", prefix)
        for path in sorted((prefix / f"lib/python{minor}").rglob("*")):
            name = path.relative_to(prefix)
            left_out = any(part in LEFT_OUT or part.startswith("config-") for part in name.parts)
            if not left_out and path.is_file():
                _add(out, str(name), prefix)
        for path in sorted(prefix.glob(f"lib/libpython{minor}*")):
            _add(out, str(path.relative_to(prefix)), prefix)
    return hashlib.sha256(archive.read_bytes()).hexdigest()


def _add(out: tarfile.TarFile, name: str, prefix: Path) -> None:
    """Add a file unchanged, except where a program looks for its library: a relocatable one has a relative path there."""
    member = out.gettarinfo(prefix / name, f"python/{name}")
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    if not member.isreg():
        out.addfile(member)
        return
    data = (prefix / name).read_bytes()
    if name.startswith("bin/"):
        fixed, relative = f"{prefix}/lib\0".encode(), b"$ORIGIN/../lib"
        if fixed in data:
            data = data.replace(fixed, relative.ljust(len(fixed), b"\0"))
    member.size = len(data)
    out.addfile(member, io.BytesIO(data))
