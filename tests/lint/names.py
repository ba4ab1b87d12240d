"""Checks Python for names that say nothing, which docs/style.md lists: `python -m tests.lint.names [FILE …]`."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping

from . import style
from .style import Finding

CHECK = "names"
OF_ANSIBLE = "names"
"""A good name for a list of names; refused only for Ansible's variables."""
OUTSIDE = ("tests/fixtures/", "benchmarks/serving/apps/", "examples/")
"""Apps as other people write them."""


def _mapping(annotation: ast.expr | None) -> bool:
    return annotation is not None and ast.unparse(annotation).split("[")[0].split(".")[-1] in ("dict", "Mapping")


def _ansible(value: ast.expr | None) -> bool:
    return value is not None and any(isinstance(node, ast.Name) and node.id == "task_vars" for node in ast.walk(value))


def bound(tree: ast.AST) -> Iterator[tuple[str, int, bool]]:
    """List every variable, parameter, field and function that a program names.

    Yields:
        The name, its line, and whether it holds Ansible's variables.
    """
    ansible = {
        id(target)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and _ansible(node.value)
        for target in node.targets
    }
    annotated = {id(node.target) for node in ast.walk(tree) if isinstance(node, ast.AnnAssign) and _ansible(node.value)}
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.arg, node.lineno, _mapping(node.annotation)
        elif isinstance(node, ast.FunctionDef):
            yield node.name, node.lineno, False
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno, id(node) in ansible | annotated
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno, False


def check(path: str, text: str, replacements: Mapping[str, str]) -> Iterator[Finding]:
    """Check the names of one program.

    Args:
        path: The file's path.
        text: What it holds.
        replacements: What to write, by each name that is refused.
    """
    for name, line, of_ansible in bound(ast.parse(text)):
        if name in replacements and (name != OF_ANSIBLE or of_ansible):
            yield Finding(path, line, f"`{name}` says nothing: write {replacements[name]}")


def main(named: list[str]) -> int:
    """Check the named files, or all that are not pending; returns the exit status."""
    table = {cell.split("`")[1]: good for cell, good in style.table("names").items()}

    def examine(path: str) -> list[Finding]:
        return list(check(path, (style.ROOT / path).read_text(encoding="utf-8"), table))

    paths = [path for path in style.tracked() if path.endswith(".py") and not path.startswith(OUTSIDE)]
    return style.main(CHECK, examine, paths, named)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
