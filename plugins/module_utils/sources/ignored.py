"""What of a folder is left out although the app seems to need it, since git ignores it: for a warning, never a refusal.

A settings file that was written beside the code, or a folder that a build made, works on the developer's machine and is not on
the host. What is ignored is known from git; only where that names Python code are the shipped files read for it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from .descriptors import Folder
from .errors import SourceError, printable
from .files import EXECUTABLE, FILE, Files

MOST = 2_000
"""Ignored files, and files of code that may import them, that are looked at."""
LARGEST = 1 << 20
"""Bytes of a file that is parsed: as a tree it takes a hundred times as many."""
SHOWN = 5
"""Names in a warning."""


def modules(root: Path, ignored: Sequence[bytes]) -> tuple[bytes, ...]:
    """The ignored files of Python code, those in folders that are ignored as a whole included."""
    found: list[bytes] = []
    with Folder(root) as folder:
        for name in ignored:
            if name.endswith(b".py"):
                found.append(name)
            elif name.endswith(b"/"):
                found += _code(folder, name)
            if len(found) >= MOST:
                break
    return tuple(found[:MOST])


def _code(folder: Folder, below: bytes) -> Iterator[bytes]:
    """The Python files in a folder, and in the packages in it."""
    try:
        for path, link in folder.walk(lambda path: folder.has(path + b"/__init__.py"), MOST, below):
            if path.endswith(b".py") and not link:
                yield path
    except SourceError:
        return  # too many, or not to be read: it is but a warning


def warnings(
    files: Files, left_out: Sequence[bytes], code: Sequence[bytes], entry: Mapping[str, object], below: str
) -> list[str]:
    """What to say of an app's entry, a line for each kind.

    Args:
        files: what is shipped.
        left_out: what git ignores, as `worktree.Listed` has it.
        code: the Python files in that.
        entry: the app's.
        below: the folder of the app in the source, from which its modules and static folders count.
    """
    top = f"{below}/" if below else ""
    made = {f"{top}{name}".encode() for name in _mapping(entry.get("files"))}  # the kit writes these itself
    missing = [path for path in code if path not in made and path not in files.by_path]
    said = []
    module = str(entry.get("module", "")).partition(":")[0]
    named = [path for path in missing if module and _dotted(path, top) == module]
    if named:
        said.append(f"`module` names {_told(named)}, which git ignores, so that it is not shipped; {_remedy(named)}")
    rest = [path for path in missing if path not in named]
    imported = _imported(files, rest, top) if rest else {}
    if imported:
        importer, first = next((printable(by), path) for path, by in imported.items())
        more = f", and {len(imported) - 1} more such import{'s' * (len(imported) > 2)}" if len(imported) > 1 else ""
        said.append(
            f"{importer} imports {printable(first)}{more}, which git ignores, so that it is not shipped; "
            f"{_remedy([*imported])}"
        )
    built = "build" in entry or "build" in _mapping(entry.get("source"))  # which may make just that
    for prefix, folder in _mapping(entry.get("static") if not built else None).items():
        place = f"{top}{str(folder).strip('/')}/".encode()
        lost = [path for path in left_out if path.startswith(place) and path != place and not _hidden(path)]
        if lost and any(one.path.startswith(place) for one in files.entries):
            said.append(
                f"of the static folder {folder} ({prefix}) {_told(lost)} {'is' if len(lost) == 1 else 'are'} not shipped, "
                f"since git ignores {'it' if len(lost) == 1 else 'them'}; {_remedy(lost)}"
            )
    return said


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _hidden(path: bytes) -> bool:
    return any(part.startswith(b".") for part in path.split(b"/"))


def _told(paths: Sequence[bytes]) -> str:
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return ", ".join(printable(path) for path in paths[:SHOWN]) + more


def _remedy(paths: Sequence[bytes]) -> str:
    names = ", ".join(printable(path.rstrip(b"/")) for path in paths[:SHOWN])
    return f"if the host needs it, name it in `source.include: [{names}{', …' if len(paths) > SHOWN else ''}]`"


def _dotted(path: bytes, top: str) -> str:
    """The name by which code imports a file, from the app's own folder or from `src` in it."""
    text = path.decode("utf-8", "replace")
    text = text.removeprefix(top).removeprefix("src/")
    return text.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _imported(files: Files, missing: Sequence[bytes], top: str) -> dict[bytes, bytes]:
    """Those of `missing` that a shipped file imports, with that file."""
    dotted = {_dotted(path, top): path for path in missing}
    words = {name.rpartition(".")[2].encode() for name in dotted}
    word = re.compile(rb"\b(" + b"|".join(map(re.escape, sorted(words))) + rb")\b")
    found: dict[bytes, bytes] = {}
    looked = 0
    for entry in files.entries:
        if entry.kind not in (FILE, EXECUTABLE) or not entry.path.endswith(b".py") or entry.size > LARGEST:
            continue
        if not entry.path.startswith(top.encode()):
            continue
        looked += 1
        if looked > MOST or len(found) == len(dotted):
            break
        text = files.read(entry.path) or b""
        if word.search(text):
            for name in _names(text, _dotted(entry.path, top), entry.path.endswith(b"/__init__.py")):
                if name in dotted:
                    found.setdefault(dotted[name], entry.path)
    return found


def _names(text: bytes, own: str, package: bool) -> Iterable[str]:
    """The full names of all modules that a file may import; nothing of one that does not parse."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    parts = own.split(".") if package else own.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            up = node.level - 1
            before = parts[: len(parts) - up] if node.level else []
            base = ".".join([*before, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)
