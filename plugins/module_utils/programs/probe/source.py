"""Before the import: calls at module level that never return."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from .faults import serves_at_import
from .target import Target, find_source

# Calls that serve without end, by the name under which they are imported.
SERVING_FUNCTIONS = {
    "aiohttp.web.run_app",
    "bottle.run",
    "cherrypy.quickstart",
    "eventlet.wsgi.server",
    "granian.Granian.serve",
    "hypercorn.run.run",
    "uvicorn.run",
    "waitress.serve",
    "werkzeug.run_simple",
    "werkzeug.serving.run_simple",
}
# Methods that serve without end on anything.
SERVING_METHODS = {"serve_forever", "run_simple", "run_app"}
# Methods that serve without end on an application. On other objects `run` is a common word, so the receiver must be
# the application, or made by something named like one. The deadline finds the rest.
RUN_METHODS = {"run", "run_server"}
MAKES_APPLICATION = re.compile(
    r"^(Flask|FastAPI|Quart|Sanic|Bottle|Starlette|Litestar|Dash|SocketIO|APIFlask|OpenAPI|\w*[aA]pp|\w*[aA]pplication)$"
)


def check_source(target: Target) -> None:
    """Raise a Fault when the module's own source serves without end on import."""
    path = find_source(target)
    if path is None:
        return
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read(), path)
    except (OSError, SyntaxError, ValueError):
        return  # the import itself will say so
    call = blocking_call(tree, target.attribute)
    if call is not None:
        line, words = call
        raise serves_at_import(f"{target.shown(path)}:{line}", words)


def blocking_call(tree: ast.Module, attribute: str) -> tuple[int, str] | None:
    """Return (line, words) of the first call in the module that would serve without end on import, or None.

    Looks only at what an import always runs: no function bodies, and no branches, because whether those are taken
    is not written in the source. ATTRIBUTE is the application's name.
    """
    imported, made_by = _imported(tree), _made_by(tree)
    for certain in _always_run(tree.body):
        for expression in _evaluated(certain):
            if isinstance(expression, ast.Call) and _serves(expression, attribute, imported, made_by):
                return expression.lineno, f"{ast.unparse(expression.func)}()"
    return None


def _imported(tree: ast.Module) -> dict[str, str]:
    """Return what each name stands for that the module imports."""
    imported: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                imported[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return imported


def _made_by(tree: ast.Module) -> dict[str, str]:
    """Return of each name to which the module assigns the result of a call what is called."""
    return {
        name.id: _dotted(statement.value.func).rpartition(".")[2]
        for statement in tree.body
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call)
        for name in statement.targets
        if isinstance(name, ast.Name)
    }


def _serves(call: ast.Call, attribute: str, imported: Mapping[str, str], made_by: Mapping[str, str]) -> bool:
    """Tell whether a call serves without end."""
    head, _, tail = _dotted(call.func).partition(".")
    if head in imported and (imported[head] + ("." + tail if tail else "")) in SERVING_FUNCTIONS:
        return True
    if not isinstance(call.func, ast.Attribute):
        return False
    if call.func.attr in SERVING_METHODS:
        return True
    if call.func.attr not in RUN_METHODS:
        return False
    receiver = call.func.value
    if isinstance(receiver, ast.Call):
        return bool(MAKES_APPLICATION.match(_dotted(receiver.func).rpartition(".")[2]))
    if not isinstance(receiver, ast.Name):
        return False
    return receiver.id == attribute or bool(MAKES_APPLICATION.match(made_by.get(receiver.id, "")))


def _dotted(node: ast.AST) -> str:
    """Return `a.b.c` of nested attributes, "" of anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        head = _dotted(node.value)
        return f"{head}.{node.attr}" if head else ""
    return ""


def _main_guard(test: ast.expr) -> bool | None:
    """Return what the test of an `if` is on import: False for the guard, True for its opposite, None if unknown."""
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        sides = [test.left, test.comparators[0]]
        named = any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)
        main = any(isinstance(side, ast.Constant) and side.value == "__main__" for side in sides)
        if named and main and isinstance(test.ops[0], ast.Eq | ast.NotEq):
            return isinstance(test.ops[0], ast.NotEq)
    if isinstance(test, ast.Constant):
        return bool(test.value)
    return None


def _always_run(body: list[ast.stmt]) -> Iterator[ast.stmt | ast.expr]:
    """Yield the simple statements of BODY that every import runs, in order."""
    for statement in body:
        if isinstance(statement, ast.If):
            taken = _main_guard(statement.test)
            if taken is not None:
                yield from _always_run(statement.body if taken else statement.orelse)
        elif isinstance(statement, ast.With):
            yield from (item.context_expr for item in statement.items)
            yield from _always_run(statement.body)
        elif isinstance(statement, ast.Try):
            yield from _always_run(statement.body)
            yield from _always_run(statement.finalbody)
        elif isinstance(statement, ast.ClassDef):
            yield from _always_run(statement.body)
        elif isinstance(statement, ast.Expr | ast.Assign | ast.AnnAssign):
            yield statement


def _evaluated(node: ast.AST) -> Iterator[ast.AST]:
    """Yield NODE and the expressions below it that are evaluated with it for certain."""
    yield node
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.BoolOp):
        yield from _evaluated(node.values[0])
    elif isinstance(node, ast.IfExp):
        yield from _evaluated(node.test)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _evaluated(child)
