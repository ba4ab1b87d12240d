"""Finds files that git ignores although the app seems to need them, for warnings only.

A settings file next to the code, or the output of a build, exists on the developer's machine but not on the host. git lists
the ignored files. If these have Python code, the shipped files are searched for imports of it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ..contract.words import counted
from .descriptors import Folder
from .errors import SourceError, printable
from .files import EXECUTABLE, FILE, Files

MOST = 2_000
"""Most ignored files, and most files of code to search for their imports."""
LARGEST = 1 << 20
"""Most bytes of a file to parse; its syntax tree takes a hundred times as many."""
SHOWN = 5
"""Names in a warning."""


def modules(root: Path, ignored: Sequence[bytes]) -> tuple[bytes, ...]:
    """List the ignored Python files, also those in ignored folders."""
    code: list[bytes] = []
    with Folder(root) as folder:
        for name in ignored:
            if name.endswith(b".py"):
                code.append(name)
            elif name.endswith(b"/"):
                code += _code(folder, name)
            if len(code) >= MOST:
                break
    return tuple(code[:MOST])


def _code(folder: Folder, below: bytes) -> Iterator[bytes]:
    """The Python files in a folder, and in the packages in it."""
    try:
        for path, link in folder.walk(lambda path: folder.has(path + b"/__init__.py"), MOST, below):
            if path.endswith(b".py") and not link:
                yield path
    except SourceError:
        return  # too many or unreadable, which does not matter for a warning


def warnings(
    files: Files, left_out: Sequence[bytes], code: Sequence[bytes], entry: Mapping[str, object], below: str
) -> list[str]:
    """Write the warnings for an app's entry, a line for each kind.

    Args:
        files: The files that are shipped.
        left_out: The paths that git ignores, as in `worktree.Listed`.
        code: The Python files among these.
        entry: The app's entry.
        below: The folder of the app in the source, from which its modules and static folders count.
    """
    top = f"{below}/" if below else ""
    made = {f"{top}{name}".encode() for name in _mapping(entry.get("files"))}  # the kit writes these itself
    missing = [path for path in code if path not in made and path not in files.by_path]
    texts = []
    module = str(entry.get("module", "")).partition(":")[0]
    named = [path for path in missing if module and _dotted(path, top) == module]
    if named:
        texts.append(f"`module` names {_listed(named)}, which git ignores, so that it is not shipped; {_remedy(named)}")
    rest = [path for path in missing if path not in named]
    imported = _imported(files, rest, top) if rest else {}
    if imported:
        importer, first = next((printable(by), path) for path, by in imported.items())
        more = f", and {counted(len(imported) - 1, 'more such import')}" if len(imported) > 1 else ""
        texts.append(
            f"{importer} imports {printable(first)}{more}, which git ignores, so that it is not shipped; "
            f"{_remedy([*imported])}"
        )
    built = "build" in entry or "build" in _mapping(entry.get("source"))  # a build may create these files
    for prefix, folder in _mapping(entry.get("static") if not built else None).items():
        place = f"{top}{str(folder).strip('/')}/".encode()
        lost = [path for path in left_out if path.startswith(place) and path != place and not _hidden(path)]
        if lost and any(one.path.startswith(place) for one in files.entries):
            texts.append(
                f"of the static folder {folder} ({prefix}) {_listed(lost)} {'is' if len(lost) == 1 else 'are'} not shipped, "
                f"since git ignores {'it' if len(lost) == 1 else 'them'}; {_remedy(lost)}"
            )
    return texts


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _hidden(path: bytes) -> bool:
    return any(part.startswith(b".") for part in path.split(b"/"))


def _listed(paths: Sequence[bytes]) -> str:
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return ", ".join(printable(path) for path in paths[:SHOWN]) + more


def _remedy(paths: Sequence[bytes]) -> str:
    names = ", ".join(printable(path.rstrip(b"/")) for path in paths[:SHOWN])
    return f"if the host needs it, name it in `source.include: [{names}{', …' if len(paths) > SHOWN else ''}]`"


def _dotted(path: bytes, top: str) -> str:
    """Return the name by which code imports a file, from the app's folder or from `src` in it."""
    text = path.decode("utf-8", "replace")
    text = text.removeprefix(top).removeprefix("src/")
    return text.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _imported(files: Files, missing: Sequence[bytes], top: str) -> dict[bytes, bytes]:
    """Map those of `missing` that a shipped file imports to that file."""
    dotted = {_dotted(path, top): path for path in missing}
    words = {name.rpartition(".")[2].encode() for name in dotted}
    word = re.compile(rb"\b(" + b"|".join(map(re.escape, sorted(words))) + rb")\b")
    importers: dict[bytes, bytes] = {}
    looked = 0
    for entry in files.entries:
        if entry.kind not in (FILE, EXECUTABLE) or not entry.path.endswith(b".py") or entry.size > LARGEST:
            continue
        if not entry.path.startswith(top.encode()):
            continue
        looked += 1
        if looked > MOST or len(importers) == len(dotted):
            break
        text = files.read(entry.path) or b""
        if word.search(text):
            for name in _names(text, _dotted(entry.path, top), entry.path.endswith(b"/__init__.py")):
                if name in dotted:
                    importers.setdefault(dotted[name], entry.path)
    return importers


def _names(text: bytes, module: str, package: bool) -> Iterable[str]:
    """List the full names of all modules that a file may import; none if it does not parse."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    parts = module.split(".") if package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            up = node.level - 1
            before = parts[: len(parts) - up] if node.level else []
            base = ".".join([*before, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)
