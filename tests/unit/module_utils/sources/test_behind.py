"""A lock that is older than its project is no secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.sources import behind, fetch

LOCK = """version = 1
[[package]]
name = "shop"
version = "1"
source = { virtual = "." }
[[package]]
name = "flask"
version = "3.1.3"
source = { registry = "https://pypi.org/simple" }
[[package]]
name = "zope-interface"
version = "7.2"
source = { registry = "https://pypi.org/simple" }
"""


def warned(tmp_path: Path, project: str, lock: str = LOCK, name: str = "uv.lock") -> list[str]:
    (tmp_path / "pyproject.toml").write_text(project)
    (tmp_path / name).write_text(lock)
    tree = fetch(
        {"path": str(tmp_path)}, requirements=None, base=tmp_path, cache=tmp_path.with_suffix(".cache"), log=print
    )
    return [line for line in tree.warnings if "older than" in line]


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ('"flask>=3", "Zope.Interface"', ""),
        ('"flask[async] >= 3.1, < 4"', ""),
        ('"flask", "requests"', "it lacks requests"),
        ('"flask>=3.2"', "it has flask 3.1.3, not flask>=3.2"),
        ('"flask==3.1.*", "pywin32; sys_platform == \'win32\'"', ""),
        ('"a", "b", "c", "d", "e"', "it lacks a, it lacks b, it lacks c and 2 more"),
        ('"no requirement"', ""),
    ],
)
def test_what_the_lock_does_not_have_is_named(tmp_path: Path, wanted: str, text: str) -> None:
    project = f'[project]\nname = "shop"\nversion = "1"\ndependencies = [{wanted}]\n'
    lines = [f"{tmp_path}: uv.lock is older than pyproject.toml and is what gets installed: {text}; run: uv lock"]
    assert warned(tmp_path, project) == (lines if text else [])


def test_what_a_project_replaces_is_not_judged(tmp_path: Path) -> None:
    project = '[project]\nname = "shop"\nversion = "1"\ndependencies = ["requests"]\n'
    assert (
        warned(tmp_path, f"{project}[tool.uv]\noverride-dependencies = [\"requests; sys_platform == 'never'\"]\n") == []
    )
    assert warned(tmp_path, "[project]\nname = 3\ndependencies = 4\n") == []


def test_every_tool_has_its_command(tmp_path: Path) -> None:
    project = '[project]\nname = "shop"\nversion = "1"\ndependencies = ["requests"]\n'
    for name, command in behind.TOOLS.items():
        folder = tmp_path / command
        folder.mkdir()
        lock = LOCK.replace("[[package]]", '[[package]]\ngroups = ["main", "default"]')
        assert warned(folder, project, lock, name)[0].endswith(f"it lacks requests; run: {command}")
