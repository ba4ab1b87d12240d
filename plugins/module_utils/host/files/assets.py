"""Static files: what nginx serves of a release, and of those before it that are still kept.

`releases/<id>/static/` is a tree of hard links to the files of the release's static folders, by URL path; nginx looks
there first, through `current`. A page that was loaded before a switch asks for files of the release it came from. So
`<root>/assets/` has the files of all kept releases as hard links, and nginx looks there second. Both are open to nginx's
group, which therefore needs no access to the code.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping

from ..base import atomic

VISIBLE = ".well-known"
"""The one name with a dot in front that is served (RFC 8615)."""


class StaticError(Exception):
    """A static folder that cannot be served; the message says why and what to do."""


def lay_out(path: str, folders: Mapping[str, str], group: str) -> None:
    """Make `<path>/static/` of a release: below each URL prefix the files of its folder, open to `group`.

    A link that stays inside of its folder is made again and leads to the same file; dotfiles are left out.

    Raises:
        StaticError: a folder is not there, or a link leads out of it or in a circle.
    """
    if not folders:
        return
    top = os.path.join(path, "static")
    os.mkdir(top, 0o700)
    code = os.path.realpath(os.path.join(path, "code"))
    # Within the folder of one prefix, what belongs to a longer one is that one's alone.
    prefixes = {prefix: _parts(prefix) for prefix in folders}
    for prefix, folder in folders.items():
        parts = prefixes[prefix]
        source = os.path.realpath(os.path.join(code, folder.strip("/")))
        if not os.path.isdir(source):
            raise StaticError(
                f"there is no folder {folder} to serve; correct `static`, or have the app's `build` make it; what the app writes is in shared/<folder>"
            )
        if not _within(source, code):
            raise StaticError(f"the static folder {folder} leads out of the source; correct `static`")
        longer = (other[len(parts) :] for other in prefixes.values() if other[: len(parts)] == parts != other)
        _fill(source, os.path.join(top, *parts), set(longer), os.path.relpath(source, code))
    shutil.chown(top, "root" if os.geteuid() == 0 else None, group)
    os.chmod(top, 0o750)  # noqa: S103  # nosec B103 # nginx's group is meant to pass


def _fill(source: str, target: str, taken: set[tuple[str, ...]], name: str) -> None:
    """Link what is in the folder `source` below `target`, except at the paths in `taken`. Raises StaticError."""
    os.makedirs(target, 0o755, exist_ok=True)
    for place, folders, names in os.walk(source):
        inner = os.path.relpath(place, source)
        here = () if inner == "." else _parts(inner)
        folders[:] = [one for one in folders if not hidden(one) and (*here, one) not in taken]
        for one in [*folders, *(one for one in names if not hidden(one))]:
            way = (*here, one)
            file, goal = os.path.join(place, one), os.path.join(target, *way)
            mode = os.lstat(file).st_mode
            if stat.S_ISDIR(mode):
                os.makedirs(goal, 0o755, exist_ok=True)
            elif any(other[: len(way)] == way for other in taken):
                continue
            elif stat.S_ISLNK(mode):
                _link_again(file, goal, source, name)
            elif stat.S_ISREG(mode):
                os.link(file, goal, follow_symlinks=False)


def _link_again(file: str, goal: str, source: str, name: str) -> None:
    """Make the link `file` again at `goal`, straight to where it leads. Raises StaticError.

    One that leads to nothing inside of its folder is harmless: the client gets a 404.
    """
    message = f"{name}/{os.path.relpath(file, source)}, in a static folder, is a link to {os.readlink(file)}"
    try:
        os.stat(file)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as exc:
        if exc.errno != errno.ELOOP:
            raise
        raise StaticError(f"{message}, which leads in a circle; correct or remove it") from None
    leads_to = os.path.realpath(file)
    if not _within(leads_to, source):
        raise StaticError(
            f"{message}, which leads out of that folder, so it would be served; put the file itself there"
        )
    if not any(map(hidden, _parts(os.path.relpath(leads_to, source)))):
        os.symlink(os.path.relpath(leads_to, os.path.dirname(file)), goal)


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part)


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")


def hidden(name: str) -> bool:
    """Whether a name is a dotfile's; `.` and `..` of a path are none."""
    return name.startswith(".") and name not in (VISIBLE, ".", "..")


def published(path: str, folders: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Every static file of the release at `path`: its place below `assets/`, and itself.

    Links to files of their folder count. A release of an older kit has links to its folders in `static/`, which count with
    all that is in them.
    """
    for prefix in folders:
        top = os.path.realpath(os.path.join(path, "static", *_parts(prefix)))
        for place, inner, names in os.walk(top):
            inner[:] = [name for name in inner if not hidden(name)]
            for name in names:
                file = os.path.realpath(os.path.join(place, name))
                if not hidden(name) and _within(file, top) and os.path.isfile(file):
                    yield os.path.join(*_parts(prefix), os.path.relpath(os.path.join(place, name), top)), file


def publish(root: str, path: str, folders: Mapping[str, str]) -> None:
    """Add a release's static files to `<root>/assets/`; of two with one name the last release's stays."""
    files = dict(published(path, folders))
    for name, file in files.items():
        target = os.path.join(root, "assets", name)
        # What is a file for one release and a folder for another stays what it was: the current one's own come first.
        with contextlib.suppress(FileExistsError, IsADirectoryError, NotADirectoryError):
            os.makedirs(os.path.dirname(target), 0o755, exist_ok=True)
            if not (os.path.isdir(target) or (os.path.exists(target) and os.path.samefile(target, file))):
                draft = f"{target}.slipway-new"
                atomic.remove_file(draft)
                os.link(file, draft)
                os.rename(draft, target)
            # An earlier release's compressed copy is another file's.
            if f"{name}.gz" not in files:
                atomic.remove_file(f"{target}.gz")


def unneeded(root: str, kept: Iterable[tuple[str, Mapping[str, str]]]) -> list[str]:
    """The files below `<root>/assets/` that no kept release (its path and folders) has."""
    top = os.path.join(root, "assets")
    needed = {name for path, folders in kept for name, _file in published(path, folders)}
    leftovers = []
    for place, _folders, names in os.walk(top):
        leftovers += [
            os.path.join(place, name) for name in names if os.path.relpath(os.path.join(place, name), top) not in needed
        ]
    return leftovers
