"""MODULE taken apart, and the files of the app."""

from __future__ import annotations

import ast
import functools
import os
import re
import sys
from collections.abc import Iterable
from typing import Any

from .faults import Fault

SKIPPED_FOLDERS = {"__pycache__", "node_modules", "site-packages", "venv", "tests", "test", "migrations", "static"}
MOST_FILES = 1000  # looked at for a suggestion; a bigger tree gets a suggestion from its first files


class Target:
    """MODULE taken apart, and the folders in which it is looked for."""

    def __init__(self, text: str, code: str, tree: str = "", dependencies: str = "") -> None:
        self.text = text
        self.code = os.path.realpath(code)
        self.tree = os.path.realpath(tree or code)
        self.dependencies = dependencies or "the app's dependencies"
        source = os.path.join(self.code, "src")
        self.roots = [self.code, source] if os.path.isdir(source) else [self.code]
        self.module, _, expression = text.partition(":")
        expression = expression if ":" in text else "application"
        self.call: tuple[list[Any], dict[str, Any]] | None = None
        self.attribute = self._attribute(expression)
        if not all(part.isidentifier() for part in self.module.split(".")):
            guess = re.sub(r"\.py$", "", self.module).strip("/").replace("/", ".")
            raise Fault(
                "bad-module",
                f"{self.module!r} in {text!r} is not the dotted name of a module",
                f'write "{guess}:{expression}": no .py, and dots instead of slashes',
            )

    def _attribute(self, expression: str) -> str:
        """Return the name after the colon, and keep the arguments of a factory."""
        wrong = Fault(
            "bad-module",
            f"{expression!r} in {self.text!r} is neither a name nor a call with plain values",
            'write "pkg.mod:app", "pkg.mod:create_app()" or "pkg.mod:create_app(\\"production\\", debug=False)"',
        )
        try:
            node = ast.parse(expression.strip(), mode="eval").body
            if isinstance(node, ast.Name):
                return node.id
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                keywords = {word.arg: ast.literal_eval(word.value) for word in node.keywords if word.arg is not None}
                if len(keywords) != len(node.keywords):
                    raise wrong
                self.call = ([ast.literal_eval(value) for value in node.args], keywords)
                return node.func.id
        except (SyntaxError, ValueError):
            pass
        raise wrong

    @property
    def called(self) -> str:
        """The words for what is called: `create_app()`."""
        return f"{self.attribute}()"

    def owns(self, path: str) -> bool:
        """Tell whether the file is the app's own, not a library's."""
        if path.startswith("<"):  # <frozen importlib._bootstrap>, <string>
            return False
        path = os.path.realpath(path)
        return path.startswith(self.tree + os.sep) and "/site-packages/" not in path

    def shown(self, path: str) -> str:
        """Return the file's name as its author knows it."""
        return os.path.relpath(os.path.realpath(path), self.code) if self.owns(path) else path

    @functools.cached_property
    def modules(self) -> dict[str, str]:
        """Return every module in the app's folders: dotted name to file, the shortest names first."""
        listing: dict[str, str] = {}
        for root in reversed(self.roots):
            for folder, folders, files in os.walk(root):
                prefix = os.path.relpath(folder, root).split(os.sep)
                prefix = [] if prefix == ["."] else prefix
                folders[:] = sorted(
                    name
                    for name in folders
                    if name.isidentifier()
                    and name not in SKIPPED_FOLDERS
                    and len(prefix) < 5
                    # src/ is a separate root
                    and not (os.path.join(folder, name) in self.roots and folder == self.code)
                )
                for name in sorted(files):
                    stem, extension = os.path.splitext(name)
                    if extension == ".py" and stem.isidentifier() and len(listing) < MOST_FILES:
                        dotted = ".".join(prefix if stem == "__init__" else [*prefix, stem])
                        if dotted:
                            listing[dotted] = os.path.join(folder, name)
        return dict(sorted(listing.items(), key=lambda item: (item[0].count("."), item[0])))

    def has(self, top: str) -> bool:
        """Tell whether a top-level module or package of this name is among the app's own."""
        return any(
            os.path.isfile(os.path.join(root, top + ".py")) or os.path.isdir(os.path.join(root, top))
            for root in self.roots
        )

    def elsewhere(self, name: str) -> str | None:
        """Return the folder of the source, seen from its top, in which a module or package of this name lies."""
        looked = 0
        for folder, folders, files in os.walk(self.tree):
            folders[:] = sorted(one for one in folders if one not in SKIPPED_FOLDERS and not one.startswith("."))
            looked += len(files)
            holds = name in folders and any(one.endswith(".py") for one in os.listdir(os.path.join(folder, name)))
            if (holds or name + ".py" in files) and os.path.realpath(folder) not in self.roots:
                return os.path.relpath(folder, self.tree)
            if looked > MOST_FILES:
                break
        return None

    def packaged(self, folder: str) -> bool:
        """Tell whether a folder of the source, seen from its top, is a package or part of one."""
        parts = folder.split(os.sep)
        places = [os.path.join(self.tree, *parts[: length + 1]) for length in range(len(parts))]
        return any(os.path.isfile(os.path.join(place, "__init__.py")) for place in places)


def find_source(target: Target) -> str | None:
    """Return the file of the module, found without running any of the app (importlib's own way runs the parents)."""
    path: Any = None
    origin = None
    name = ""
    for part in target.module.split("."):
        name = f"{name}.{part}" if name else part
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = find(name, path) if find else None
            if spec is not None:
                break
        else:
            return None
        path, origin = spec.submodule_search_locations, spec.origin
    return origin if origin and origin.endswith(".py") and os.path.isfile(origin) else None


def quoted(names: Iterable[str], most: int = 8) -> str:
    """Join names for a sentence: the first few, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def bound_names(path: str) -> set[str]:
    """Return the names that the top level of a source file defines (imports do not count)."""
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read(), path)
    except (OSError, SyntaxError, ValueError):
        return set()
    names: set[str] = set()
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(statement.name)
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        names.update(name.id for name in targets if isinstance(name, ast.Name))
    return names
