"""Root takes over what the build user made, a virtualenv or a release's code, by a copy: only root can change the copy.

Everything that ran as the build user has ended before. What it left may still be an attack, and another program may hold
descriptors of it and change it meanwhile. So the kit uses no file or folder of the build user. It opens each relative to its
folder, never through a link. It copies the contents into a new file of root, or finds them in one that root has.
Checks of the whole are made on the copy.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence

from ..base import trees
from . import virtualenv_bytecode
from .virtualenv_bytecode import Bytecode

DEEPEST, DEEPEST_CODE = 64, 128
"""Folders in each other. The deepest of real packages are some twenty deep; a source may have 100 of them."""
ENTRIES = 1_000_000
SIZE = 10 * 1024**3
"""Bytes. The largest virtualenvs (those of machine learning) have some 6 GiB."""
PIECE = 64 * 1024**2
"""Bytes that are copied between two looks at the disk."""
CONFIGURATION = 4096
"""Bytes of a pyvenv.cfg; real ones have some 200."""
LINKS = (".pth", ".egg-link")
"""Endings of files with which packages add folders to Python's path."""
LINKED = 64 * 1024
"""Bytes of such a file that are read."""
COMPARED = 1024**2
"""Bytes that are compared at once."""
_OPEN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Neither a link nor a pipe leads anywhere or keeps root waiting."""


class Refused(Exception):
    """What root does not take over; the text says what is wrong with it."""


class Stopped(Exception):
    """There is no room for the copy; the text says where and what to do."""


def take_over(
    path: str,
    copy: str,
    owner: int,
    group: int,
    python: str,
    sources: Sequence[str],
    watch: Callable[[], str],
    bytecode: Bytecode,
    like: str = "",
) -> None:
    """Copy a virtualenv into a folder of root, with modes as packages have them, and let `group` into it.

    A file that root's virtualenv `like` has with the same contents is not copied, but gets a second name. Bytecode is left out,
    since `bytecode` makes it.

    Args:
        path: what the build user made.
        copy: where root makes its own; in a folder that only root can enter, since a failure leaves a part of it.
        owner: the build user.
        group: who runs from it.
        python: its interpreter.
        sources: the folders that it was built from, into which nothing in it may lead: they go, and it stays.
        watch: asked meanwhile; what it answers ends the copy.
        bytecode: gets every module that was copied.
        like: a complete virtualenv of the same app, which only root can change; empty where there is none.

    Raises:
        Refused: it contains something that no virtualenv needs: another user's file, a device or a link that leads out.
            Or another interpreter than `python`, or a package that is linked and not installed.
        Stopped: `watch` said so.
    """
    steps = chain(python)
    _Copy(owner, watch, steps, sources, like=like, bytecode=bytecode).make(path, copy)
    _check(copy, python, steps)
    os.chown(copy, -1, group)
    os.chmod(copy, 0o750)  # noqa: S103  # nosec B103 # the group runs from it


def take_over_code(path: str, copy: str, owner: int, watch: Callable[[], str]) -> None:
    """Copy a release's code as `take_over` copies a virtualenv, without its bytecode; every link in it leads inside.

    Raises Refused and Stopped.
    """
    _Copy(owner, watch, deepest=DEEPEST_CODE).make(path, copy)


class _Copy:
    """A copy that is being made, and what is counted of it."""

    def __init__(
        self,
        owner: int,
        watch: Callable[[], str],
        steps: Sequence[str] = (),
        sources: Sequence[str] = (),
        deepest: int = DEEPEST,
        like: str = "",
        bytecode: Bytecode | None = None,
    ) -> None:
        self._owner, self._steps, self._sources, self._watch = owner, steps, sources, watch
        self._deepest, self._like, self._bytecode = deepest, like, bytecode
        self._entries = self._bytes = 0

    def make(self, path: str, copy: str) -> None:
        """Copy the folder `path` as `copy`, which only root can enter."""
        os.mkdir(copy, 0o700)
        made = os.open(copy, trees.FOLDER | os.O_NOFOLLOW)
        try:
            source = os.open(path, trees.FOLDER | os.O_NOFOLLOW)
            try:
                self.folder(source, made, "", 0)
            finally:
                os.close(source)
        finally:
            os.close(made)

    def folder(self, source: int, target: int, inside: str, depth: int) -> None:
        """Copy what is in a folder that lies `depth` folders deep."""
        if depth > self._deepest:
            raise Refused(f"{trees.shown(inside)} is {depth} folders deep")
        for name in self._names(source):
            place = os.path.join(inside, name)
            info = os.stat(name, dir_fd=source, follow_symlinks=False)
            if stat.S_ISLNK(info.st_mode):
                self._mine(info, place)
                link = os.readlink(name, dir_fd=source)
                if not leads_inside(link, depth) and link not in self._steps:
                    raise Refused(f"the link {trees.shown(place)} leads out of it, to {trees.shown(link)}")
                os.symlink(link, name, dir_fd=target)
                continue
            if not stat.S_ISDIR(info.st_mode) and not stat.S_ISREG(info.st_mode):  # what is opened may act
                raise Refused(f"{trees.shown(place)} is neither a file nor a folder nor a link")
            here = os.open(name, os.O_RDONLY | _OPEN, dir_fd=source)
            try:
                self._entry(here, target, name, place, depth)
            finally:
                os.close(here)

    def _look(self) -> None:
        stop = self._watch()
        if stop:
            raise Stopped(stop)

    def _names(self, folder: int) -> list[str]:
        names = []
        with os.scandir(folder) as entries:
            for entry in entries:
                self._entries += 1
                if self._entries > ENTRIES:
                    raise Refused(f"it has more than {ENTRIES} entries")
                if entry.name != virtualenv_bytecode.FOLDER:  # root makes it itself
                    names.append(entry.name)
        return names

    def _mine(self, info: os.stat_result, place: str) -> None:
        if info.st_uid != self._owner:
            raise Refused(f"{trees.shown(place)} belongs to another user ({info.st_uid})")

    def _entry(self, source: int, target: int, name: str, place: str, depth: int) -> None:
        """Copy what was opened: only its descriptor says for sure what it is."""
        self._look()
        info = os.fstat(source)
        self._mine(info, place)
        if stat.S_ISREG(info.st_mode):
            self._file(source, info, target, name, place)
        elif stat.S_ISDIR(info.st_mode):
            os.mkdir(name, 0o700, dir_fd=target)
            made = os.open(name, trees.FOLDER | os.O_NOFOLLOW, dir_fd=target)
            try:
                self.folder(source, made, place, depth + 1)
                os.fchmod(made, 0o755)  # nosec B103 # as packages have it; the folder above lets only the app in
            finally:
                os.close(made)
        else:
            raise Refused(f"{trees.shown(place)} is neither a file nor a folder nor a link")

    def _file(self, source: int, info: os.stat_result, target: int, name: str, place: str) -> None:
        """Copy a file, and have its bytecode made, unless both are in `like`."""
        shared = self._shared(source, info, target, name, place)
        if shared and (not self._bytecode or self._bytecode.shared(place)):
            return
        flags = os.O_RDONLY if shared else os.O_RDWR | os.O_CREAT | os.O_EXCL
        made = os.open(name, flags | _OPEN, 0o600, dir_fd=target)
        try:
            if not shared:
                self._contents(source, made, info.st_size, place)
                if name.endswith(LINKS):
                    self._installed(made, place)
                # By its time Python tells whether bytecode is fresh.
                os.utime(made, ns=(info.st_atime_ns, self._time(info, place)))
                os.fchmod(made, _mode(info))
            if self._bytecode:
                self._bytecode.copied(place, made)
        finally:
            os.close(made)

    def _time(self, info: os.stat_result, place: str) -> int:
        """The time of the copy of a file, in nanoseconds."""
        compiled = self._bytecode and virtualenv_bytecode.wanted(place)
        return virtualenv_bytecode.TIME * 10**9 if compiled else info.st_mtime_ns

    def _shared(self, source: int, info: os.stat_result, target: int, name: str, place: str) -> bool:
        """Give the file of `like` at the same place a second name, if it is what a copy would be; whether it is.

        That saves a new file for each that did not change. The name is given to root's file, so nothing that the build
        user made is used. What happens to the build user's file meanwhile does not matter.
        """
        if not self._like or name.endswith(LINKS):
            return False
        try:
            twin = os.open(os.path.join(self._like, place), os.O_RDONLY | _OPEN)
        except OSError:
            return False
        try:
            existing = os.fstat(twin)
            if (existing.st_mode, existing.st_uid, existing.st_size) != (
                stat.S_IFREG | _mode(info),
                os.geteuid(),
                info.st_size,
            ):
                return False
            if name.endswith(virtualenv_bytecode.ENDING) and existing.st_mtime_ns != self._time(info, place):
                return False
            if self._bytes + info.st_size > SIZE or not self._equal(source, twin):
                return False
            # By its descriptor: it is the file that was compared.
            os.link(f"/proc/self/fd/{twin}", name, dst_dir_fd=target, follow_symlinks=True)
        except OSError as error:
            if error.errno not in (errno.EMLINK, errno.EXDEV):
                raise
            return False
        finally:
            os.close(twin)
        self._bytes += info.st_size
        return True

    def _equal(self, one: int, other: int) -> bool:
        """Whether two files of the same size have the same contents."""
        place = 0
        while True:
            data = os.pread(one, COMPARED, place)
            if data != os.pread(other, COMPARED, place):
                return False
            if not data:
                return True
            place += len(data)
            self._look()

    def _installed(self, copy: int, place: str) -> None:
        """Refuse a file that adds a folder of the sources to Python's path."""
        text = os.pread(copy, LINKED, 0)
        for source in self._sources:
            if os.fsencode(source) in text:
                raise Refused(f"{trees.shown(place)} leads to {source}, which another release replaces")

    def _contents(self, source: int, target: int, size: int, place: str) -> None:
        """Copy a file's data without its holes, which take no room. Holes count still, since reading them takes time."""
        self._bytes += size
        if self._bytes > SIZE:
            raise Refused(f"it has more than {SIZE // 1024**3} GiB")
        end = 0
        while end < size:
            try:
                start = os.lseek(source, end, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                break  # a hole up to the end
            end = min(size, os.lseek(source, start, os.SEEK_HOLE))
            os.lseek(target, start, os.SEEK_SET)
            while start < end:
                count = os.sendfile(target, source, start, min(PIECE, end - start))
                start += count
                self._look()
                if not count:
                    raise Refused(f"{trees.shown(place)} was changed after the build")
        os.truncate(target, size)


def _mode(info: os.stat_result) -> int:
    """The mode of the copy of a file."""
    return 0o755 if info.st_mode & stat.S_IXUSR else 0o644


def _check(path: str, python: str, steps: list[str]) -> None:
    """Refuse a virtualenv that has another interpreter than `python`. Only root can change it."""
    if os.path.realpath(f"{path}/bin/python") != os.path.realpath(python):
        raise Refused(f"its bin/python is not {python}")
    if os.path.lexists(f"{path}/bin/pyvenv.cfg"):
        raise Refused("it has a bin/pyvenv.cfg, which Python may read instead of its pyvenv.cfg")
    settings = configuration(path)
    homes = [value for key, value in settings if key == "home"]
    if homes not in [[os.path.dirname(step)] for step in steps]:
        raise Refused(f"its pyvenv.cfg names another home than that of {python}, or more than one")
    if [value.lower() for key, value in settings if key == "include-system-site-packages"] != ["false"]:
        raise Refused("its pyvenv.cfg does not say `include-system-site-packages = false`, once")
    if any(value not in steps for key, value in settings if key in ("executable", "base-executable")):
        raise Refused(f"its pyvenv.cfg names another executable than {python}")


def leads_inside(target: str, depth: int) -> bool:
    """Whether a link `depth` folders deep stays inside.

    Steps up come first only: behind a name, which may be a link, they lead elsewhere than they seem to.
    """
    parts = target.split("/")
    up = 0
    while up < len(parts) and parts[up] in ("..", "."):
        up += 1
    return bool(target) and not target.startswith("/") and parts[:up].count("..") <= depth and ".." not in parts[up:]


def chain(python: str) -> list[str]:
    """The interpreter's path and each that it leads to."""
    steps = [python]
    while os.path.islink(steps[-1]) and len(steps) < 40:
        steps.append(os.path.normpath(os.path.join(os.path.dirname(steps[-1]), os.readlink(steps[-1]))))
    return [*steps, os.path.realpath(python)]


def configuration(path: str) -> list[tuple[str, str]]:
    """The keys and values of a virtualenv's pyvenv.cfg, as Python reads them: it takes keys in any letter case (PEP 405)."""
    try:
        descriptor = os.open(f"{path}/pyvenv.cfg", os.O_RDONLY | _OPEN)
        with open(descriptor, "rb") as handle:
            data = handle.read(CONFIGURATION + 1)
        lines = data.decode("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"its pyvenv.cfg cannot be read: {error}") from error
    # Versions of Python differ in what else ends a line.
    if len(data) > CONFIGURATION or not all(line.isprintable() for line in lines):
        raise Refused(f"its pyvenv.cfg is larger than {CONFIGURATION} bytes, or has characters that no path needs")
    pairs = [line.partition("=") for line in lines if "=" in line]
    return [(key.strip().lower(), value.strip()) for key, _equals, value in pairs]
