"""Finds what keeps an app's module from ever being imported: a server started at import."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .files import Files

SERVERS = frozenset(
    {
        "aiohttp.web.run_app",
        "bottle.run",
        "cherrypy.quickstart",
        "django.core.management.execute_from_command_line",
        "eventlet.wsgi.server",
        "uvicorn.run",
        "waitress.serve",
        "werkzeug.serving.run_simple",
    }
)
"""Functions that serve until they are stopped, by their full names."""

SERVER_NAMES = frozenset({"serve_forever", "run_app", "run_simple", "execute_from_command_line"})
"""The same by their last name alone: no other thing is called so."""

TEXT = 120
"""Characters of a line that are shown."""

LARGEST = 1 << 20
"""Bytes of a file that is looked at: parsed, it takes a hundred times as many."""


def blocking_calls(files: Files, module: str) -> list[tuple[str, int, str]]:
    """Calls that never return and run when ``module`` (``pkg.mod`` or ``pkg.mod:attribute``) is imported.

    Gives (file, line, the line's text) for the module's file and the packages above it, at the top of the tree or in
    ``src/``. It reads the source only and judges by names, so it explains an import that did not end; by itself it
    proves nothing. Nothing is found in a file that does not parse.
    """
    dotted, _, attribute = module.partition(":")
    parts = dotted.split(".")
    found = []
    for count in range(1, len(parts) + 1):
        stem = "/".join(parts[:count])
        for path in (f"{top}{stem}{end}" for top in ("", "src/") for end in ("/__init__.py", ".py")):
            entry = files.find(path)
            if entry is not None:
                content = (files.read(path) or b"") if entry.size <= LARGEST else b""
                app = attribute.partition("(")[0] if count == len(parts) else ""
                found += [(path, line, text) for line, text in _in_file(content, app)]
                break
    return found


def _in_file(content: bytes, app: str) -> list[tuple[int, str]]:
    try:
        tree = ast.parse(content)
        finder = _Finder(tree, app)
        finder.visit(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    lines = content.decode("utf-8", "replace").splitlines()
    return [(number, printed[:TEXT]) for number in sorted(finder.lines) for printed in [lines[number - 1].strip()]]


def _dotted(node: ast.expr) -> str:
    """``a.b.c`` for a name or an attribute of one, else an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := _dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def _bound(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """The names that ``node`` binds, with their values."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name):
                yield target.id, node.value
    elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and isinstance(node.target, ast.Name) and node.value:
        yield node.target.id, node.value


class _Finder(ast.NodeVisitor):
    """Walks what runs at import: not the bodies of functions, unless one is called there, nor what is under __main__."""

    def __init__(self, tree: ast.Module, app: str) -> None:
        self.lines: set[int] = set()
        self.imports: dict[str, str] = {}
        self.made = {app} - {""}
        self.functions: dict[str, ast.FunctionDef] = {}
        self.entered: set[str] = set()
        for statement in tree.body:
            if isinstance(statement, ast.FunctionDef):
                self.functions[statement.name] = statement
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self.imports[alias.asname or alias.name.partition(".")[0]] = (
                        alias.name if alias.asname else alias.name.partition(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    self.imports[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            self.made.update(name for name, value in _bound(node) if isinstance(value, ast.Call))

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        guarded = _main_guard(node.test)
        for statement in [*([] if guarded is True else node.body), *([] if guarded is False else node.orelse)]:
            self.visit(statement)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for part in [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]:
            self.visit(part)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        pass

    def visit_Call(self, node: ast.Call) -> None:
        name = _dotted(node.func)
        if self._blocks(node.func, name):
            self.lines.add(node.lineno)
        elif name in self.functions and name not in self.entered:
            self.entered.add(name)
            for statement in self.functions[name].body:
                self.visit(statement)
        self.generic_visit(node)

    def _blocks(self, function: ast.expr, name: str) -> bool:
        first, dot, rest = name.partition(".")
        full = self.imports.get(first, first) + dot + rest
        if full in SERVERS:
            return True
        last = function.attr if isinstance(function, ast.Attribute) else name
        if last in SERVER_NAMES and not (isinstance(function, ast.Name) and name in self.functions):
            return True
        if not isinstance(function, ast.Attribute) or function.attr != "run":
            return False
        receiver = function.value
        return isinstance(receiver, ast.Call) or (isinstance(receiver, ast.Name) and receiver.id in self.made)


def _main_guard(test: ast.expr) -> bool | None:
    """True when ``test`` holds only in the main program, False when it holds everywhere else, None when neither."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return True if any(_main_guard(value) is True for value in test.values) else None
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = _main_guard(test.operand)
        return None if inner is None else not inner
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return None
    sides = [test.left, test.comparators[0]]
    names = any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)
    mains = any(
        isinstance(leaf, ast.Constant) and leaf.value == "__main__" for side in sides for leaf in ast.walk(side)
    )
    if not names or not mains:
        return None
    return isinstance(test.ops[0], ast.Eq | ast.In)
