"""Converts the locks of Poetry, PDM and Pipenv to a list of requirements with hashes.

The list has the main group of a lock for every platform, and markers for the differences between hosts. Some locks have a marker
for each package (Pipenv, PDM, Poetry 2). Others have one only for each dependency (older Poetry and PDM). Then the markers on
the way from the project to the package apply.

All tools are in this one module, since they share the walk over a lock and the rules for its markers.
"""

from __future__ import annotations

import posixpath
import re
import urllib.parse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

CONDITIONS = 30
"""Most ways to a package that are distinguished by their markers; a package with more is always installed."""
MARKERS = 50
"""Most markers that must all hold for a package: one for each link of the chain that leads to it."""
STEPS = 200_000
"""Most dependencies to follow; a lock of 1000 packages has about 10,000."""

Condition = frozenset[str]
"""Markers that hold together; none: always."""
ALWAYS: Condition = frozenset()


class LockError(Exception):
    """A lock that cannot be used; the text says why and what to do."""


@dataclass(frozen=True)
class Exported:
    """What a lock asks for."""

    lines: tuple[str, ...]
    """In the format of a requirements.txt."""
    hashed: bool
    local: tuple[str, ...]
    """The paths that it names, relative to the lock."""
    versions: Mapping[str, str]
    """The packages that are installed in any case, with their versions."""


@dataclass(frozen=True)
class Edge:
    """A dependency of a package, or of the project."""

    name: str
    extras: frozenset[str] = frozenset()
    marker: str = ""
    versions: SpecifierSet | None = None
    """None where any version will do."""
    optional: bool = False
    """Whether it counts only when an extra of its package names it."""


def normal(name: object) -> str:
    """The normalised name of a package (PEP 503)."""
    return re.sub(r"[-_.]+", "-", str(name)).lower()


def poetry(lock: Mapping[str, Any], project: Mapping[str, Any]) -> Exported:
    """The main group of a ``poetry.lock``; ``project`` is the pyproject.toml beside it."""
    packages = [package for package in _tables(lock.get("package")) if not package.get("develop-only")]
    if packages and all("groups" in package for package in packages):  # Poetry 2
        chosen = [
            (package, _of_group(package.get("markers"), "main"))
            for package in packages
            if "main" in package["groups"] and not package.get("optional")
        ]
    else:
        roots = list(_poetry_edges(_table(project, "tool", "poetry", "dependencies")))
        roots += _pep508(_list(_table(project, "project").get("dependencies")))
        if not roots and packages:
            raise LockError("its pyproject.toml has no dependencies, so the lock belongs to another; run: poetry lock")
        edges = {id(package): list(_poetry_edges(_table(package, "dependencies"))) for package in packages}
        extras = {
            id(package): {
                normal(extra): {normal(re.split(r"[\s(\[;<>=!~]", str(item), maxsplit=1)[0]) for item in _list(items)}
                for extra, items in _table(package, "extras").items()
            }
            for package in packages
        }
        chosen = _walk(packages, roots, edges, extras)
    indexes = [
        str(source["url"])
        for package, _marker in chosen
        if (source := _table(package, "source")).get("type") == "legacy" and "url" in source
    ]
    old = _table(lock, "metadata", "files")  # before lock-version 2 the hashes stood at the end
    return _exported(
        ((package, marker, _poetry_place(package), package.get("files") or old.get(str(package.get("name")))) for package, marker in chosen),
        indexes,
    )  # fmt: skip


def pdm(lock: Mapping[str, Any], project: Mapping[str, Any]) -> Exported:
    """The default group of a ``pdm.lock``; ``project`` is the pyproject.toml beside it."""
    packages = _tables(lock.get("package"))
    project_name = normal(_table(project, "project").get("name", ""))
    if packages and all("groups" in package for package in packages):
        chosen = [(package, str(package.get("marker") or "")) for package in packages if "default" in package["groups"]]
    else:
        roots = _pep508(_list(_table(project, "project").get("dependencies")))
        edges = {id(package): _pep508(_list(package.get("dependencies"))) for package in packages}
        chosen = _walk(packages, roots, edges, {})
    chosen = [(package, marker) for package, marker in chosen if normal(package.get("name", "")) != project_name]
    return _exported(((package, marker, _pdm_place(package), package.get("files")) for package, marker in chosen), [])


def uv(lock: Mapping[str, Any], member: str) -> Exported:
    """What the project ``member`` of a ``uv.lock`` needs, without its development groups."""
    packages = _tables(lock.get("package"))
    edges = {id(package): _uv_edges(package.get("dependencies")) for package in packages}
    extras = {}
    for package in packages:
        optional = _table(package, "optional-dependencies")
        for items in optional.values():
            edges[id(package)] += [replace(edge, optional=True) for edge in _uv_edges(items)]
        extras[id(package)] = {
            normal(extra): {edge.name for edge in _uv_edges(items)} for extra, items in optional.items()
        }
    of_member = [package for package in packages if normal(package.get("name", "")) == member]
    roots = [edge for package in of_member for edge in _uv_edges(package.get("dependencies"))]
    chosen = []
    for package, marker in _walk(packages, roots, edges, extras):
        sdist = package.get("sdist")
        files = [*_tables(package.get("wheels")), *([sdist] if isinstance(sdist, dict) else [])]
        chosen.append((package, marker, uv_place(package), files))
    return _exported(chosen, [])


def _uv_edges(items: object) -> list[Edge]:
    edges = []
    for one in _tables(items):
        versions = SpecifierSet(f"=={one['version']}") if isinstance(one.get("version"), str) else None
        extras = frozenset(map(normal, _list(one.get("extra"))))
        edges.append(Edge(normal(one.get("name", "")), extras, str(one.get("marker") or ""), versions))
    return edges


def uv_place(package: Mapping[str, Any]) -> str:
    """Where a package of ``uv.lock`` comes from, as a requirement says it."""
    source = _table(package, "source")
    if "git" in source:
        address, _, commit = str(source["git"]).partition("#")
        url, _, query = address.partition("?")
        below = re.search(r"(?:^|&)subdirectory=([^&]+)", query)
        return f"git+{url}@{commit}" + (f"#subdirectory={urllib.parse.unquote(below[1])}" if below else "")
    for kind in ("editable", "virtual", "directory", "path"):
        if kind in source:
            return _local(str(source[kind]))
    return str(source.get("url", ""))


def pipenv(lock: Mapping[str, Any]) -> Exported:
    """The default group of a ``Pipfile.lock``."""
    packages = []
    for name, package in _table(lock, "default").items():
        if not isinstance(package, dict):
            raise LockError(f"{name} in it is no table; make it again with: pipenv lock")
        completed = {**package, "name": name, "version": str(package.get("version", "")).removeprefix("==")}
        files = [{"hash": one} for one in _list(package.get("hashes"))]
        packages.append((completed, str(package.get("markers") or ""), _pdm_place(completed), files))
    indexes = [str(source.get("url", "")) for source in _tables(_table(lock, "_meta").get("sources"))[1:]]
    return _exported(packages, indexes)


def _known_marker(name: str, text: str) -> str:
    """The marker of a package as packaging(1) writes it; empty for none."""
    try:
        return str(Marker(text)) if text else ""
    except InvalidMarker as error:
        raise LockError(f"{name} in it has an invalid marker ({text[:100]}); make it again") from error


def _version(name: str, text: str) -> str:
    try:
        return str(Version(text))
    except ValueError as error:  # InvalidVersion, or a number too long for Python
        raise LockError(f"{name} in it has the invalid version {text[:40]!r}; make it again") from error


def _exported(
    packages: Iterable[tuple[Mapping[str, Any], str, str, Any]], indexes: Iterable[str]
) -> Exported:  # fmt: skip
    """The list of requirements for packages, each with its marker, where it comes from, and its files."""
    lines: dict[tuple[str, str], tuple[str, set[str], set[str]]] = {}
    local, versions, hashed = [], {}, True
    for package, marker, place, files in packages:
        name, version = normal(package.get("name", "")), str(package.get("version", ""))
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
            raise LockError("a package in it has no name; make it again")
        marker = _known_marker(name, marker)
        hashes = {str(file.get("hash", "")) for file in _tables(files)} - {""}
        if any(not re.fullmatch(r"[a-z0-9]+:[0-9a-f]+", one) for one in hashes):
            raise LockError(f"{name} in it has an invalid hash; make it again")
        if place.startswith("."):
            local.append(place)
            hashes = set()
        elif place.startswith("git+") or not hashes:
            hashed, hashes = False, set()
        if not place:
            versions[name] = _version(name, version)
        what = f"{name} @ {place}" if place and not place.startswith(".") else place or f"{name}=={versions[name]}"
        if re.search(r"\s", place) or "$" in place:
            raise LockError(f"{name} in it comes from an address that cannot be used; correct it")
        _first, markers, all_hashes = lines.setdefault((name, what), (what, set(), set()))
        markers.add(marker)
        all_hashes.update(hashes)
    written = [
        f"--extra-index-url {url}"
        for url in dict.fromkeys(indexes)
        if re.fullmatch(r"https?://[^\s$]+", url) and "://pypi.org/" not in url
    ]
    for _key, (what, markers, hashes) in sorted(lines.items()):
        marker = "" if "" in markers else str(Marker(" or ".join(f"({one})" for one in sorted(markers))))
        if len(markers) == 1:
            marker = next(iter(markers))
        words = [what, *([f"; {marker}"] if marker else []), *(f"--hash={one}" for one in sorted(hashes))]
        written.append(" ".join(words))
    always = {name for name, _what in lines if "" in lines[name, _what][1]}
    certain = {name: version for name, version in versions.items() if name in always}
    return Exported(tuple(written), hashed and not local, tuple(local), certain)


def _poetry_place(package: Mapping[str, Any]) -> str:
    """Where a package of ``poetry.lock`` comes from, as a requirement says it; empty for an index."""
    source = _table(package, "source")
    kind, url = source.get("type"), str(source.get("url", ""))
    if kind == "git":
        below = f"#subdirectory={source['subdirectory']}" if source.get("subdirectory") else ""
        return f"git+{_git_address(url)}@{source.get('resolved_reference') or source.get('reference')}{below}"
    if kind == "url":
        return url
    return _local(url) if kind in ("directory", "file") else ""


def _pdm_place(package: Mapping[str, Any]) -> str:
    """The same of ``pdm.lock`` and ``Pipfile.lock``."""
    if "git" in package:
        below = f"#subdirectory={package['subdirectory']}" if package.get("subdirectory") else ""
        return f"git+{_git_address(str(package['git']))}@{package.get('revision') or package.get('ref')}{below}"
    if "url" in package:
        return str(package["url"])
    place = package.get("path") or package.get("file")
    if isinstance(place, str):
        return place if "://" in place else _local(place)
    return ""


def _git_address(url: str) -> str:
    """A repository's address as a URL: ``git@host:path`` is ssh."""
    short = re.fullmatch(r"([\w.-]+@[\w.-]+):(?!/)(.+)", url)
    return f"ssh://{short[1]}/{short[2]}" if short else url


def _local(path: str) -> str:
    path = posixpath.normpath(path.removeprefix("file://"))
    return path if path.startswith(("/", ".")) else f"./{path}"


def _walk(
    packages: Iterable[Mapping[str, Any]],
    roots: Iterable[Edge],
    edges: Mapping[int, list[Edge]],
    extras: Mapping[int, Mapping[str, set[str]]],
) -> list[tuple[Mapping[str, Any], str]]:
    """The packages that can be reached from ``roots``, each with its marker."""
    by_name: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for package in packages:
        by_name[normal(package.get("name", ""))].append(package)
    reached: dict[tuple[int, str], set[Condition]] = defaultdict(set)
    order: dict[int, Mapping[str, Any]] = {}
    todo: list[tuple[Edge, Condition]] = [(edge, ALWAYS) for edge in roots if not edge.optional]
    for _step in range(STEPS):
        if not todo:
            break
        edge, above = todo.pop()
        condition = above | {edge.marker} if edge.marker else above
        if len(condition) > MARKERS:
            raise LockError(f"a package in it is wanted under more than {MARKERS} conditions together; make it again")
        for package in _matching(by_name.get(edge.name, []), edge):
            order.setdefault(id(package), package)
            for extra in ("", *sorted(edge.extras)):
                if not _add(reached[id(package), extra], condition):
                    continue
                named = extras.get(id(package), {}).get(extra, set())
                todo += [
                    (below, condition)
                    for below in edges[id(package)]
                    if (below.name in named if extra else not below.optional)
                ]
    else:
        raise LockError("its dependencies are too many to follow; make it again")
    return [(package, _marker(reached[key, ""])) for key, package in order.items()]


def _matching(packages: list[Mapping[str, Any]], edge: Edge) -> list[Mapping[str, Any]]:
    """Those of one name that a dependency is served by: the highest version that fits, with the entries of its extras."""
    if len(packages) < 2:
        return packages

    def version(package: Mapping[str, Any]) -> Version:
        try:
            return Version(str(package.get("version", "0")))
        except ValueError:  # InvalidVersion, or a number too long for Python
            return Version("0")

    fits = [p for p in packages if edge.versions is None or edge.versions.contains(version(p), prereleases=True)]
    highest = max(map(version, fits or packages))
    return [
        package
        for package in fits or packages
        if version(package) == highest and frozenset(map(normal, _list(package.get("extras")) if isinstance(package.get("extras"), list) else [])) <= edge.extras
    ]  # fmt: skip


def _add(conditions: set[Condition], new: Condition) -> bool:
    """Add one to those under which a package is wanted; False when it says nothing new."""
    if any(old <= new for old in conditions):
        return False
    conditions -= {old for old in conditions if new <= old}
    conditions.add(new)
    if len(conditions) > CONDITIONS:
        conditions.clear()
        conditions.add(ALWAYS)
    return True


def _marker(conditions: set[Condition]) -> str:
    if ALWAYS in conditions:
        return ""
    return " or ".join(sorted(" and ".join(f"({one})" for one in sorted(condition)) for condition in conditions))


def _pep508(lines: Iterable[object]) -> list[Edge]:
    """Dependencies as PEP 508 writes them."""
    edges = []
    for line in lines:
        try:
            one = Requirement(str(line))
        except InvalidRequirement as error:
            raise LockError(f"{str(line)[:100]!r} is no requirement; correct it, and lock again") from error
        extras = frozenset(map(normal, one.extras))
        edges.append(Edge(normal(one.name), extras, str(one.marker or ""), one.specifier or None))
    return edges


def _poetry_edges(table: Mapping[str, Any]) -> Iterator[Edge]:
    """Dependencies as Poetry writes them, in pyproject.toml and in its lock."""
    for name, wanted in table.items():
        if normal(name) == "python":
            continue
        for one in wanted if isinstance(wanted, list) else [wanted]:
            settings = one if isinstance(one, dict) else {"version": one}
            markers = [
                # Of which extra it is, its package says; once that is followed, it holds.
                re.sub(
                    r"""\bextra\s*==\s*(["'])[^"']*\1""", "python_version >= '0'", str(settings.get("markers") or "")
                ),
                *_of_python(settings.get("python")),
                f"sys_platform == '{settings['platform']}'" if settings.get("platform") else "",
            ]
            yield Edge(
                normal(name),
                frozenset(map(normal, _list(settings.get("extras")))),
                " and ".join(f"({marker})" for marker in markers if marker),
                _poetry_versions(settings.get("version")),
                bool(settings.get("optional")),
            )


def _of_python(versions: object) -> list[str]:
    """Markers for versions of Python, as Poetry writes them."""
    ranges = _poetry_versions(versions) if versions else None
    if ranges is None:
        return []
    return [
        f"{'python_version' if one.version.count('.') < 2 else 'python_full_version'} {one.operator} '{one.version}'"
        for one in sorted(ranges, key=str)
    ]


def _poetry_versions(text: object) -> SpecifierSet | None:
    """Read Poetry's notation of versions, with `^` and `~`; None if it is not readable or any version fits."""
    parts = [part for part in re.split(r"\s*,\s*|\s+(?=[<>=!~^])", " ".join(str(text or "").split())) if part]
    clauses = []
    for part in parts:
        match = re.fullmatch(r"(\^|~(?!=)|[<>=!~]=|[<>]|===)?\s*([0-9][\w.+!*-]*)", part)
        if part == "*":
            continue
        if match is None:
            return None
        operator, version = match[1] or "==", match[2]
        if operator in "^~":
            numbers = [int(number) for number in re.findall(r"\d+", version)][:3]
            # ^1.2: below 2. ^0.2: below 0.3. ~1.2: below 1.3.
            last = min(1, len(numbers) - 1) if operator == "~" else 0
            if operator == "^":
                last = next((index for index, number in enumerate(numbers) if number), len(numbers) - 1)
            upper = ".".join(map(str, [*numbers[:last], numbers[last] + 1]))
            clauses += [f">={version}", f"<{upper}"]
        else:
            clauses.append(f"{operator}{version}")
    try:
        return SpecifierSet(",".join(clauses)) if clauses else None
    except InvalidSpecifier:
        return None


def _of_group(markers: object, group: str) -> str:
    """A package's marker: the same for all groups, or one for each."""
    if isinstance(markers, dict):
        markers = markers.get(group)
    return str(markers or "")


def _table(document: object, *names: str) -> Mapping[str, Any]:
    for name in names:
        document = document.get(name) if isinstance(document, Mapping) else None
    return document if isinstance(document, Mapping) else {}


def _tables(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
