"""What differs between process managers or init systems is asked of their objects: no other code compares their names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.lint.style import tracked

ROOT = Path(__file__).parents[2]
REGISTRY = (
    "plugins/module_utils/model/managers.py",
    "plugins/module_utils/host/process/managers.py",
    "plugins/module_utils/host/process/systemd.py",
    "plugins/module_utils/host/process/supervisor.py",
)
ALLOWED: Mapping[str, str] = {
    "plugins/module_utils/host/system/facts.py": "finds out which init the host has",
    "plugins/module_utils/host/system/machine.py": "reads the links by which the host's init starts services at boot",
    "plugins/module_utils/host/system/certificates.py": "chooses the timer that renews certificates: the host's registry is above it",
    "plugins/module_utils/host/run/terminal.py": "gives a terminal, which only one of the runners can",
    "plugins/module_utils/programs/certificates/confined.py": "runs on the host without the rest of the kit",
    "roles/supervisor/tasks/main.yml": "is the role of one process manager",
    "templates/logrotate/slipway.j2": "has the writers of both managers open new logs, since an app may move between them",
}
"""Files that ask for one of them anyway, each with the reason."""
NAMES = frozenset({"systemd", "supervisor", "sysvinit"})
PLACE = "/run/systemd/system"
ASKING = re.compile(rf"^[\w.]+\.runs\(\)$|^os\.path\.\w+\(.*(?:{PLACE}['\"]|names\.SYSTEMD\b)")
TEXT = re.compile(rf"[=!]= *'(?:{'|'.join(NAMES)})'|\['systemd'\]|facts\.systemd\b|-d {PLACE}\b")
FILES = [
    path
    for path in tracked()
    if path.startswith(("plugins/", "roles/", "playbooks/", "templates/")) and path.endswith((".py", ".yml", ".j2"))
]


def is_about_one(node: ast.expr) -> bool:
    """Whether an expression names one of them: a text, or an object of the registries."""
    if isinstance(node, ast.Constant):
        return node.value in NAMES
    parts = ast.unparse(node).lower().split(".")
    return any(part.removesuffix("_init") in NAMES for part in parts) or parts == ["transient", "run"]


def branches(code: str) -> Iterator[int]:
    """The lines of a program that compare with one of them, or ask whether it is there."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Compare):
            asks = any(map(is_about_one, [node.left, *node.comparators]))
        elif isinstance(node, ast.If | ast.IfExp):
            asks = isinstance(node.test, ast.Attribute) and is_about_one(node.test)
        else:
            asks = isinstance(node, ast.Call) and bool(ASKING.search(ast.unparse(node)))
        if asks:
            yield node.lineno


def places(path: str) -> list[int]:
    """The lines of a file that do."""
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.endswith(".py"):
        return list(branches(text))
    return [number for number, line in enumerate(text.splitlines(), 1) if TEXT.search(line)]


def test_only_the_registries_know_one_process_manager_from_another() -> None:
    asking = {path: places(path) for path in FILES if path not in REGISTRY}
    assert {path: lines for path, lines in asking.items() if lines and path not in ALLOWED} == {}


def test_each_exception_is_needed() -> None:
    assert [path for path in ALLOWED if not places(path)] == []


@pytest.mark.parametrize(
    "code",
    [
        "x = 1 if manager.name == 'systemd' else 2",
        "if init.name != 'systemd': pass",
        "y = a if manager is SYSTEMD else b",
        "z = SYSTEMD_INIT if facts.systemd else SYSVINIT",
        "if manifest.manager == systemd.Systemd.name: pass",
        "if systemd.Systemd.runs(): pass",
        "if os.path.isdir('/run/systemd/system'): pass",
        "if managers.runner() is transient.run: pass",
    ],
)
def test_each_way_of_asking_is_seen(code: str) -> None:
    assert list(branches(code)) == [1]
