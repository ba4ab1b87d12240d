"""Runs the tests of Ansible's internals with every supported ansible-core: `python -m tests.internals [LINE …]`.

Each line, such as 2.20, gets a virtualenv in .cache/ansible/ with its newest release. uv installs it, and a fitting Python
where this machine has none. The unit tests that use Ansible follow, and the tests of bad input.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests import interpreters

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache/ansible"
UV = Path(sys.executable).with_name("uv")
SUPPORTED: Mapping[str, tuple[int, int]] = {"2.19": (3, 11), "2.20": (3, 12), "2.21": (3, 12)}
"""Each line of ansible-core that the kit supports, the oldest first, with the oldest Python that it runs on."""
NEEDS = ("pytest", "pytest-xdist", "hypothesis", "uv", "cryptography", "jinja2")
TESTS = (
    "tests/internals",
    "tests/unit/action",
    "tests/unit/callback",
    "tests/unit/connection",
    "tests/unit/lookup",
    *(
        f"tests/unit/module_utils/test_{name}.py"
        for name in ("answers", "inventory", "placed", "rendering", "resident")
    ),
    "tests/e2e/test_bad_input.py",
)


def fitting(oldest: tuple[int, int]) -> str:
    """A Python of this machine that is new enough; else the version that uv is to fetch."""
    known = {tuple(map(int, version.split(".")[:2])): place for version, place in interpreters.installed().items()}
    wanted = min((version for version in known if version >= oldest), default=None)
    if wanted is None:
        return ".".join(map(str, oldest))
    return str(known[wanted] / f"bin/python{'.'.join(map(str, wanted))}")


def environment(line: str) -> Path:
    """Make the virtualenv of a line; returns its Python."""
    folder = CACHE / line
    subprocess.run([UV, "venv", "--quiet", "--clear", "--python", fitting(SUPPORTED[line]), folder], check=True)
    python = folder / "bin/python"
    argv = [str(UV), "pip", "install", "--quiet", "--python", str(python), f"ansible-core=={line}.*", *NEEDS]
    subprocess.run(argv, check=True)
    return python


def main(lines: Sequence[str]) -> int:
    """Run the tests with the lines, or with all; returns the exit status."""
    unknown = set(lines) - SUPPORTED.keys()
    if unknown:
        print(f"not supported: {', '.join(sorted(unknown))}; there are: {', '.join(SUPPORTED)}", file=sys.stderr)
        return 2
    failed = False
    for line in lines or SUPPORTED:
        python = environment(line)
        variables = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "collections"),
            "PATH": f"{python.parent}:{os.environ['PATH']}",
        }
        print(f"ansible-core {line}", flush=True)
        argv = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
        failed |= subprocess.run(argv, cwd=ROOT, env=variables, check=False).returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
