"""Writes the metadata of the app's project, so that ``importlib.metadata`` finds the app as after an installation.

The release runs the code in place, without building and installing it. So the name, version and entry points that a build
backend would state are read from files and written next to the code. No code of the source runs for that.
"""

from __future__ import annotations

import ast
import configparser
import hashlib
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

import tomllib
from packaging.version import Version

from .declared import has_long_keys
from .errors import SourceError
from .files import FILE, Entry, Files

SCM = re.compile(
    r"(?i)\b(setuptools[-_.]scm|hatch[-_.]vcs|pdm[-_.]backend|versioningit|poetry[-_.]dynamic[-_.]versioning)\b"
)
"""What takes a version from a repository's tags; no release has a repository."""
PROJECTS = 50
"""Projects in a source whose version is looked for."""
UNKNOWN = "0.dev0"
"""The version of what has no tag."""


def scm_version(label: str, revision: str | None) -> str:
    """The version that a tag stands for (``v1.2.0``, ``shop-1.2.0``); of other commits one that says which it is."""
    match = re.search(r"(?:^|[-_/])[vV]?(\d+(?:\.\d+)*\S*)$", label)
    if match:
        try:
            return str(Version(match[1]))
        except ValueError:  # InvalidVersion, or a number too long for Python
            pass
    return f"{UNKNOWN}+g{revision[:8]}" if revision else UNKNOWN


def scm_settings(files: Files, version: str) -> dict[str, str]:
    """Return the variables that state the versions of a source's projects while they are built."""
    settings = {}
    for path in [path for path in files.files if re.fullmatch(r"(.+/)?pyproject\.toml", path)][:PROJECTS]:
        document = _document(files, path)
        requires = " ".join(str(item) for item in _list(_table(document, "build-system").get("requires")))
        stated = _table(document, "project").get("name") or _setup(files, posixpath.dirname(path)).get("name", "")
        name = re.sub(r"[-_.]+", "_", str(stated)).upper()
        if re.search(r"(?i)setuptools[-_.]scm", requires) and re.fullmatch(r"[A-Z0-9_]+", name):
            settings[f"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_{name}"] = version
        elif re.search(r"(?i)hatch[-_.]vcs", requires):
            settings["SETUPTOOLS_SCM_PRETEND_VERSION"] = version  # it has no variable for one project
        elif _table(document, "tool", "pdm", "version").get("source") == "scm":
            settings["PDM_BUILD_SCM_VERSION"] = version
        elif re.search(r"(?i)poetry[-_.]dynamic[-_.]versioning", requires):
            settings["POETRY_DYNAMIC_VERSIONING_BYPASS"] = version
    return settings


def of_project(files: Files, folder: str, version: str) -> list[Entry]:
    """Write the metadata that an installation of a project would have.

    Args:
        files: The source.
        folder: The folder of the project.
        version: The version of the checked-out tag.

    Returns:
        The files. Empty if there is no installable project, if it has metadata, or if its metadata requires running it.
    """
    document = _document(files, posixpath.join(folder, "pyproject.toml"))
    project, poetry = _table(document, "project"), _table(document, "tool", "poetry")
    package = _table(document, "tool", "uv").get("package")
    if package is False or not (package or "build-system" in document):
        return []
    setup = _setup(files, folder)
    name = str(project.get("name") or poetry.get("name") or setup.get("name") or "")
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name):
        return []
    stem = re.sub(r"[-_.]+", "_", name).lower()
    below = f"{folder}/" if folder else ""
    infos = re.compile(rf"{re.escape(below)}(?:src/)?([^/]+)\.(?:dist|egg)-info/.+")
    existing = {
        re.sub(r"[-_.]+", "_", match[1].partition("-")[0]).lower()
        for match in map(infos.fullmatch, files.files)
        if match
    }
    if stem in existing:
        return []
    of_scm = _of_scm(document)
    made = [_entry(below + path, _version_file(version)) for path in _version_files(document) if files.find(below + path) is None] if of_scm else []  # fmt: skip
    stated = project.get("version") or poetry.get("version") or _dynamic(files, folder, document, stem, setup)
    if of_scm and (not stated or poetry):
        stated = version
    try:
        known = str(Version(str(stated)))
    except ValueError:  # InvalidVersion, or a number too long for Python
        return made
    info = f"{below}{stem}-{known}.dist-info"
    text = _packaged(files, folder, name) or _metadata(name, known, project)
    made.append(_entry(f"{info}/METADATA", text))
    points = _entry_points(project, poetry)
    if points:
        made.append(_entry(f"{info}/entry_points.txt", points))
    return made


def _entry(path: str, text: str) -> Entry:
    content = text.encode()
    return Entry(path.encode(), FILE, hashlib.sha256(content).digest(), len(content), content=content)


def _metadata(name: str, version: str, project: Mapping[str, Any]) -> str:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    for key, field in (("description", "Summary"), ("requires-python", "Requires-Python")):
        value = project.get(key)
        if isinstance(value, str) and value.isprintable():
            lines.append(f"{field}: {value}")
    lines += [f"Requires-Dist: {one}" for one in _list(project.get("dependencies")) if str(one).isprintable()]
    return "".join(f"{line}\n" for line in lines)


def _packaged(files: Files, folder: str, name: str) -> str:
    """Read the metadata of an unpacked source distribution."""
    text = _text(files, posixpath.join(folder, "PKG-INFO"))
    stated = re.search(r"(?m)^Name: *(\S+)\s*$", text)
    return text if stated and re.sub(r"[-_.]+", "-", stated[1]).lower() == re.sub(r"[-_.]+", "-", name).lower() else ""


def _entry_points(project: Mapping[str, Any], poetry: Mapping[str, Any]) -> str:
    groups: dict[str, Mapping[str, Any]] = {
        "console_scripts": {**_table(poetry, "scripts"), **_table(project, "scripts")},
        "gui_scripts": _table(project, "gui-scripts"),
        **{str(group): _table(poetry, "plugins", group) for group in _table(poetry, "plugins")},
        **{str(group): _table(project, "entry-points", group) for group in _table(project, "entry-points")},
    }
    text = ""
    for group, points in groups.items():
        lines = [
            f"{name} = {point}\n"
            for name, point in points.items()
            if isinstance(point, str) and f"{name}{point}".isprintable() and "=" not in str(name)
        ]
        if lines and re.fullmatch(r"\w+(\.\w+)*", group):
            text += f"[{group}]\n{''.join(lines)}\n"
    return text


def _of_scm(document: Mapping[str, Any]) -> bool:
    """Whether a project takes its version from its repository."""
    requires = " ".join(str(item) for item in _list(_table(document, "build-system").get("requires")))
    if not SCM.search(requires):
        return False
    if re.search(r"(?i)pdm[-_.]backend", requires):
        return _table(document, "tool", "pdm", "version").get("source") == "scm"
    if re.search(r"(?i)hatch[-_.]vcs", requires):
        return _table(document, "tool", "hatch", "version").get("source") == "vcs"
    return True


def _version_files(document: Mapping[str, Any]) -> Iterator[str]:
    """Files with the version that a build would write into the package."""
    tool = _table(document, "tool")
    for table, key in (
        (_table(tool, "setuptools_scm"), "version_file"),
        (_table(tool, "setuptools_scm"), "write_to"),
        (_table(tool, "hatch", "build", "hooks", "vcs"), "version-file"),
        (_table(tool, "pdm", "version"), "write_to"),
    ):
        path = posixpath.normpath(str(table.get(key) or ""))
        if path.endswith(".py") and not path.startswith(("/", "../")):
            yield path


def _version_file(version: str) -> str:
    parts = tuple(int(part) if part.isdigit() else part for part in re.split(r"[.+]", version))
    return f"__version__ = version = {version!r}\n__version_tuple__ = version_tuple = {parts!r}\n"


def _dynamic(files: Files, folder: str, document: Mapping[str, Any], stem: str, setup: Mapping[str, str]) -> str | None:
    """A version that pyproject.toml does not hold itself, but says where it stands."""
    dynamic = _table(document, "tool", "setuptools", "dynamic", "version")
    stated = setup.get("version", "")
    for kind in ("attr", "file"):
        if stated.startswith(f"{kind}:"):
            dynamic = {kind: stated[len(kind) + 1 :].strip()}
    if isinstance(dynamic.get("attr"), str):
        module, _, attribute = dynamic["attr"].rpartition(".")
        return _assigned(files, _module(files, folder, module), attribute)
    if dynamic.get("file"):
        file = dynamic["file"] if isinstance(dynamic["file"], str) else next(iter(_list(dynamic["file"])), "")
        return _text(files, posixpath.join(folder, str(file))).strip()
    for table in (_table(document, "tool", "hatch", "version"), _table(document, "tool", "pdm", "version")):
        if isinstance(table.get("path"), str):
            path = posixpath.join(folder, table["path"])
            if isinstance(table.get("pattern"), str):
                return None  # the source's own expression is not run here
            return _assigned(files, path, "__version__") or _assigned(files, path, "VERSION")
    if stated:
        return stated
    backend = str(_table(document, "build-system").get("build-backend", ""))
    if backend.startswith("flit"):
        return _assigned(files, _module(files, folder, str(_table(document, "tool", "flit", "module").get("name", stem))), "__version__")  # fmt: skip
    return None


def _module(files: Files, folder: str, module: str) -> str:
    path = module.replace(".", "/")
    for root in (folder, posixpath.join(folder, "src")):
        for name in (f"{path}/__init__.py", f"{path}.py"):
            if files.find(posixpath.join(root, name)):
                return posixpath.join(root, name)
    return ""


def _assigned(files: Files, path: str, name: str) -> str | None:
    """The text that a file of Python gives a name, without running it."""
    try:
        tree = ast.parse(_text(files, path))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        value = getattr(node, "value", None)
        if any(isinstance(target, ast.Name) and target.id == name for target in targets) and isinstance(
            value, ast.Constant
        ):
            return str(value.value)
    return None


def _setup(files: Files, folder: str) -> Mapping[str, str]:
    """The [metadata] of setup.cfg."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(_text(files, posixpath.join(folder, "setup.cfg")))
    except configparser.Error:
        return {}
    return dict(parser["metadata"]) if parser.has_section("metadata") else {}


def _document(files: Files, path: str) -> Mapping[str, Any]:
    text = _text(files, path)
    if has_long_keys(text.encode()):
        return {}
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return {}  # the tool that needs it reports the fault


def _text(files: Files, path: str) -> str:
    """Read an untrusted text file; empty if it is missing or too large."""
    try:
        content = files.read(path) if path else None
    except SourceError:
        return ""
    return (content or b"")[: 1 << 20].decode("utf-8", "replace")


def _table(document: object, *names: str) -> Mapping[str, Any]:
    for name in names:
        document = document.get(name) if isinstance(document, Mapping) else None
    return document if isinstance(document, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
