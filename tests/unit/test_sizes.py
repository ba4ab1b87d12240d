"""A file is text. It is short, or its docstring says why it is not."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.lint.style import tracked

ROOT = Path(__file__).parents[2]
MOST = {"plugins/": 400, "tests/": 800, "molecule/": 800}
"""Lines of a Python file. Tests may be longer: they are lists of cases, read one by one, and share their fixtures."""
REASON = re.compile(r"\bone (?:module|file)\b|\bfile is long\b", re.IGNORECASE)


def lengths() -> dict[str, int]:
    """The Python files that are longer than their folder allows."""
    files = [path for path in tracked() if path.endswith(".py") and path.startswith(tuple(MOST))]
    lines = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in files}
    return {
        path: count for path, count in lines.items() if count > next(MOST[top] for top in MOST if path.startswith(top))
    }


def test_a_long_file_says_why_it_is_one_file() -> None:
    unexplained = {
        path: count
        for path, count in lengths().items()
        if not REASON.search(ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8"))) or "")
    }
    assert unexplained == {}, "divide these, or write into the docstring why each is one module"


def test_no_binary_file_is_tracked() -> None:
    """Such as a wheel that a command has left in the folder. An earlier kit, which `upgrade` starts from, is the only one."""
    files = {path: ROOT / path for path in tracked()}
    binary = [path for path, file in files.items() if file.is_file() and b"\0" in file.read_bytes()]
    assert binary == ["molecule/upgrade/before/kit.tar.xz"]
