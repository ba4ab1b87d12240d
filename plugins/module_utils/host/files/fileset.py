"""Puts a whole set of files in place and in force, or nothing of it: the host side of the `files` action."""

from __future__ import annotations

import base64
import contextlib
import glob
import grp
import json
import os
import pwd
import re
import stat
import subprocess
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...contract.manifest import HostError
from ..base import locks, trees
from ..base.atomic import sync_directory
from . import reloading
from .written import Memory, described, fingerprint

UNDO = "/var/lib/slipway/undo"
"""Journals: ``open-<token>.json`` while a call writes, ``kept-<name>.json`` after one that was to be kept."""

VALIDATE_SECONDS = 60
"""Deadline of the validating command; nginx -t takes well under a second, also with hundreds of sites."""

PART = ".slipway-part-"
"""How half-written files begin: no daemon's include pattern matches a hidden name, and a crash's litter is known by it."""

Item = dict[str, Any]


class Refused(HostError):
    """The set cannot be placed; the text names the entry and the reason."""


class RolledBack(Refused):
    """The set was begun, and everything was put back as it was."""


@dataclass(frozen=True)
class Wanted:
    """A set: its entries as the action makes them, what tests it once it is in place, and what has a daemon read it."""

    items: list[Item]
    validate: list[str] = field(default_factory=list)
    commands: list[list[str]] = field(default_factory=list)
    on_drift: str = "keep"
    """What becomes of files that somebody else has changed: ``keep`` puts them aside, ``refuse`` places nothing."""

    @classmethod
    def read(cls, call: Mapping[str, Any]) -> Wanted:
        """The set of a module call: ``payload`` (compressed), ``validate``, ``apply`` and ``on_drift``."""
        items = json.loads(zlib.decompress(base64.b64decode(call["payload"])).decode("utf-8"))
        return cls(items, call["validate"], call["apply"], call["on_drift"])


@dataclass
class Result:
    """What one call did: paths in order, diffs for C(--diff), and what it had to repair first."""

    paths: list[str] = field(default_factory=list)
    diffs: list[dict[str, str]] = field(default_factory=list)
    recovered: list[str] = field(default_factory=list)
    unfinished: bool = False
    forgotten: bool = False
    proving: bool = False
    drifted: list[dict[str, str]] = field(default_factory=list)
    """Files that somebody else had changed (``path``), and where that is kept (``kept``, empty when they were removed)."""

    @property
    def changed(self) -> bool:
        """Whether anything on the host changed, now or in the call that died before this one."""
        return bool(self.paths or self.recovered or self.unfinished)


@dataclass
class Step:
    """One change that is due: the entry, what is there now, and how the diff describes it."""

    item: Item
    before: dict[str, Any] | None
    diff: dict[str, str]


# ------------------------------------------------------------------------------------------------------ single paths
def snapshot(path: str) -> dict[str, Any] | None:
    """Describe what is at ``path`` so that it can be made again; None when there is nothing."""
    try:
        info = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    known: dict[str, Any] = {"uid": info.st_uid, "gid": info.st_gid, "mode": stat.S_IMODE(info.st_mode)}
    if stat.S_ISLNK(info.st_mode):
        return {**known, "type": "link", "target": os.readlink(path)}
    if stat.S_ISDIR(info.st_mode):
        return {**known, "type": "directory"}
    if not stat.S_ISREG(info.st_mode):
        raise Refused(f"{path} is a device, pipe or socket, and those are left alone")
    with open(path, "rb") as handle:
        return {**known, "type": "file", "data": handle.read()}


def write(path: str, data: bytes, uid: int, gid: int, mode: int) -> None:
    """Put ``data`` at ``path`` in one rename: a reader sees the old file or the new one, never half of one."""
    folder = os.path.dirname(path)
    descriptor, temporary = tempfile.mkstemp(prefix=PART, dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(data)
            os.fchown(out.fileno(), uid, gid)
            os.fchmod(out.fileno(), mode)  # after fchown, which clears setuid bits
            out.flush()
            os.fsync(out.fileno())
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    sync_directory(folder)


def link(path: str, target: str) -> None:
    """Let ``path`` be a symbolic link to ``target``, in one rename."""
    temporary = os.path.join(os.path.dirname(path), PART + os.urandom(4).hex())
    os.symlink(target, temporary)
    try:
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    sync_directory(os.path.dirname(path))


def put_back(path: str, before: dict[str, Any] | None, aside: str | None) -> bool:
    """Make ``path`` what it was; say whether that took a change. May be repeated: it looks at what is there."""
    if aside is not None and os.path.lexists(aside):
        os.rename(aside, path)
        sync_directory(os.path.dirname(path))
        return True
    now = snapshot(path)
    if now == before:
        return False
    if before is None:
        if now is not None and now["type"] == "directory":
            try:
                os.rmdir(path)
            except OSError:
                return False  # others have put something into it since
        else:
            os.unlink(path)
        sync_directory(os.path.dirname(path))
    elif before["type"] == "link":
        link(path, before["target"])
    elif before["type"] == "file":
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write(path, before["data"], before["uid"], before["gid"], before["mode"])
    else:
        os.makedirs(path, exist_ok=True)
        os.chown(path, before["uid"], before["gid"])
        os.chmod(path, before["mode"])
    return True


# ----------------------------------------------------------------------------------------------------------- journals
class Journal:
    """What is needed to put a set of paths back, on disk before the first of them is touched.

    A list of ``{path, before, aside, remembered}``: ``before`` as `snapshot` gives it (None: nothing was there), ``aside``
    the hidden neighbour to which a folder with content was moved instead of being removed, ``remembered`` what the kit knew
    of the path. And ``commands``, which have a daemon read what there is.
    """

    def __init__(self, path: str, entries: list[dict[str, Any]], commands: list[list[str]]) -> None:
        self.path = path
        self.entries = entries
        self.commands = commands

    @classmethod
    def read(cls, path: str) -> Journal:
        """Load a journal; raises ``Refused`` when the file is not one."""
        try:
            with open(path, encoding="utf-8") as handle:
                content = json.load(handle)
            entries = content["entries"]
            for entry in entries:
                if entry["before"] is not None and "data" in entry["before"]:
                    entry["before"]["data"] = base64.b64decode(entry["before"]["data"])
        except (ValueError, KeyError, TypeError) as exc:
            raise Refused(f"the undo journal {path} cannot be read ({exc}): look at it, then remove it") from exc
        return cls(path, entries, content.get("commands", []))

    def save(self) -> None:
        """Write the journal, durably, readable for root alone: it may hold secrets."""
        entries = [dict(entry, before=entry["before"] and dict(entry["before"])) for entry in self.entries]
        for entry in entries:
            if entry["before"] is not None and "data" in entry["before"]:
                entry["before"]["data"] = base64.b64encode(entry["before"]["data"]).decode("ascii")
        text = json.dumps({"schema": 2, "entries": entries, "commands": self.commands})
        write(self.path, text.encode("utf-8"), os.geteuid(), os.getegid(), 0o600)

    def restore(self) -> list[str]:
        """Put everything back, last change first, and have the daemon read it; then drop the journal.

        Returns the paths that took a change.
        """
        changed = [
            entry["path"]
            for entry in reversed(self.entries)
            if put_back(entry["path"], entry["before"], entry.get("aside"))
        ]
        memory = Memory.read(home_of(os.path.dirname(self.path)))
        for entry in self.entries:
            memory.set(entry["path"], entry.get("remembered"))
        store(memory)
        for command in self.commands:
            with contextlib.suppress(Refused):  # it may be down; the next one is to be told all the same
                run(command)
        self.drop()
        return changed

    def drop(self) -> None:
        """Forget the journal: first the file, so that a crash leaves litter and never a wrong way back."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
            sync_directory(os.path.dirname(self.path))
        for entry in self.entries:
            if entry.get("aside"):
                trees.remove(entry["aside"])

    def keep(self, path: str) -> None:
        """Keep the journal as ``path``; what an older one there says of a path stays the state to go back to."""
        if os.path.exists(path):
            older = Journal.read(path)
            known = {entry["path"] for entry in older.entries}
            again = [entry for entry in self.entries if entry["path"] in known]
            older.entries += [entry for entry in self.entries if entry["path"] not in known]
            older.commands = self.commands
            older.save()
            Journal(self.path, again, []).drop()
        elif self.entries:
            os.rename(self.path, path)
            sync_directory(os.path.dirname(path))


def home_of(folder: str) -> str:
    """The folder of the memory that belongs to the journals in ``folder``."""
    return os.path.dirname(folder)


def store(memory: Memory) -> None:
    """Write a memory, for root alone, if it has changed."""
    text = memory.text()
    if text is not None:
        write(memory.path, text, os.geteuid(), os.getegid(), 0o600)


@contextlib.contextmanager
def locked(folder: str) -> Iterator[None]:
    """Hold the only right to write: under it, an open journal can only be a dead call's. Raises locks.Held."""
    locks.prepare(folder)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with locks.hold(os.path.join(folder, ".lock")):
        yield


# --------------------------------------------------------------------------------------------------------------- plan
def name_of(item: Item) -> str:
    """The entry as messages call it, with its place in the task and its template."""
    source = f"{item['src']} -> " if item.get("src") else ""
    return f"files[{item['number']}] ({source}{item['dest']})"


def number_of(name: str, table: Callable[[str], Any], kind: str, lenient: bool) -> int | None:
    """The uid or gid for a name or number; None when it is unknown and ``lenient``, as in check mode."""
    if name.isdigit():
        return int(name)
    try:
        return int(table(name)[2])
    except KeyError:
        if lenient:
            return None
        raise Refused(f"there is no {kind} {name} on this host: create it first") from None


def ordered(items: list[Item]) -> list[Item]:
    """Folders from the top down, then files and links as given, then removals from the bottom up."""
    rank = {"directory": 0, "file": 1, "link": 1, "absent": 2}

    def key(item: Item) -> tuple[int, int]:
        depth = item["dest"].count("/")
        return rank[item["state"]], {0: depth, 1: 0, 2: -depth}[rank[item["state"]]]

    return sorted(items, key=key)


def shown(item: Item, data: bytes | None, word: str) -> str:
    """What a diff may show of ``data``."""
    if data is None:
        return ""
    return data.decode("utf-8", "replace") if item["diff"] else f"({word} content is hidden)\n"


def due(item: Item, made: set[str], removed: set[str], check: bool) -> Step | None:
    """Return the change that ``item`` needs, or None; raises ``Refused`` when it cannot be made.

    ``made`` are the folders that the set itself makes, ``removed`` the paths that it removes; ``check`` forgives what
    an earlier step of the run would have made.
    """
    path, state = item["dest"], item["state"]
    before = snapshot(path)
    kind = before["type"] if before is not None else None
    diff = {"before_header": path, "after_header": item.get("src") or f"{path} ({state})"}
    if state == "absent":
        if before is None:
            return None
        left = (
            [name for name in os.listdir(path) if os.path.join(path, name) not in removed]
            if kind == "directory"
            else []
        )
        if left and not item["recursive"]:
            raise Refused("the folder is not empty: say recursive: true to remove it with all that it holds")
        old = before.get("data", f"({kind})\n".encode())
        return Step(item, before, {**diff, "before": shown(item, old, "old"), "after": ""})
    folder = os.path.dirname(path)
    if not os.path.isdir(folder) and folder not in made and not check:
        raise Refused(f"the folder {folder} is not there: add it to the set with state: directory")
    if state == "link":
        if kind == "directory":
            raise Refused("there is a folder, which a link cannot replace: remove it first")
        if before is not None and kind == "link" and before["target"] == item["target"]:
            return None
        was = f"link to {before['target']}\n" if before is not None and kind == "link" else f"{kind}\n" if kind else ""
        return Step(item, before, {**diff, "before": was, "after": f"link to {item['target']}\n"})
    if kind is not None and (kind == "directory") != (state == "directory"):
        raise Refused(f"there is a {kind}, where a {state} shall be: remove it first")
    uid = number_of(item["owner"], pwd.getpwnam, "user", check)
    gid = number_of(item["group"], grp.getgrnam, "group", check)
    item["uid"], item["gid"] = uid, gid
    attributes = []
    if before is not None and kind != "link":
        if (before["uid"], before["gid"]) != (uid, gid):
            attributes.append(f"owner {before['uid']}:{before['gid']} -> {item['owner']}:{item['group']}")
        if before["mode"] != item["bits"]:
            attributes.append(f"mode {before['mode']:04o} -> {item['bits']:04o}")
    if state == "directory":
        if before is not None and not attributes:
            return None
        said = ", ".join(attributes) or f"new folder {item['owner']}:{item['group']} {item['bits']:04o}"
        return Step(item, before, {"prepared": f"{path}: {said}\n"})
    after = item["text"].encode("utf-8")
    same = before is not None and kind == "file" and before["data"] == after
    if same and not attributes:
        return None
    if not same:
        old = None if before is None else before.get("data", b"(link)\n")
        diff.update(before=shown(item, old, "old"), after=shown(item, after, "new"))
    if attributes:
        diff["prepared"] = f"{path}: {', '.join(attributes)}\n"
    return Step(item, before, diff)


def plan(items: list[Item], check: bool) -> list[Step]:
    """Return the changes that are due, in the order in which they must be made. Writes nothing."""
    made = {item["dest"] for item in items if item["state"] == "directory"}
    removed = {item["dest"] for item in items if item["state"] == "absent"}
    steps = []
    for item in ordered(items):
        try:
            if item["state"] != "absent" and any(item["dest"].startswith(path + "/") for path in removed):
                raise Refused("the set removes a folder above it")
            step = due(item, made, removed, check)
        except (OSError, Refused) as exc:
            raise Refused(f"{name_of(item)}: {exc}") from exc
        if step is not None:
            steps.append(step)
    return steps


# ----------------------------------------------------------------------------------------------------- others' changes
def wished(item: Item) -> str | None:
    """What is remembered of an entry once it is in place; None of a folder, and of what is gone."""
    if item["state"] == "file":
        return fingerprint("file", item["text"])
    return fingerprint("link", item["target"]) if item["state"] == "link" else None


def drift(steps: list[Step], memory: Memory, on_drift: str) -> list[dict[str, str]]:
    """Return what the ``steps`` would take away of what others have written, and where it is to be kept.

    Raises ``Refused`` when there is any and that is how the user wants it. What is no file is named and not kept.
    """
    found = []
    for step in steps:
        path, now = step.item["dest"], described(step.before)
        if not memory.changed(path, now) or now == wished(step.item):
            continue
        data = step.before.get("data") if step.before else None
        found.append({"path": path, "kept": "" if data is None else memory.aside(path, data)})
        if "before_header" in step.diff:
            step.diff["before_header"] = f"{path} (changed since Slipway wrote it)"
    if found and on_drift == "refuse":
        paths = ", ".join(one["path"] for one in found)
        raise Refused(f"changed by somebody else since Slipway wrote it, and on_drift is refuse: {paths}")
    return found


def keep_changes(steps: list[Step], drifted: list[dict[str, str]]) -> None:
    """Put what others have written under the names for it, with its owner and mode. Raises ``Refused``."""
    kept = {one["path"]: one["kept"] for one in drifted if one["kept"]}
    for step in steps:
        path, before = step.item["dest"], step.before
        if path in kept and before is not None:
            try:
                mask = os.umask(0o077)
                try:
                    os.makedirs(os.path.dirname(kept[path]), exist_ok=True)
                finally:
                    os.umask(mask)
                write(kept[path], before["data"], before["uid"], before["gid"], before["mode"])
            except OSError as exc:
                raise Refused(f"{name_of(step.item)}: what was there cannot be kept: {exc}") from exc


# -------------------------------------------------------------------------------------------------------------- apply
def apply(step: Step, aside: str | None) -> None:
    """Make one change."""
    item = step.item
    path, state = item["dest"], item["state"]
    if state == "file":
        write(path, item["text"].encode("utf-8"), item["uid"], item["gid"], item["bits"])
    elif state == "link":
        link(path, item["target"])
    elif state == "directory":
        if step.before is None:
            os.mkdir(path, 0o700)
        os.chown(path, item["uid"], item["gid"])
        os.chmod(path, item["bits"])
        sync_directory(os.path.dirname(path))
    elif aside is not None:
        os.rename(path, aside)
        sync_directory(os.path.dirname(path))
    else:
        os.unlink(path)
        sync_directory(os.path.dirname(path))


def run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    """Run ``command``; raises ``Refused`` when it cannot be run."""
    # nginx lives in /usr/sbin, which a user's PATH may lack
    environ = {**os.environ, "PATH": os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"}
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environ,
            timeout=VALIDATE_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise Refused(f"{' '.join(command)} could not be run: {exc}") from exc


def validated(command: list[str], steps: list[Step]) -> None:
    """Run ``command``; raises ``Refused`` with its last lines and the templates of the files they name."""
    done = run(command)
    if done.returncode:
        lines = done.stdout.decode("utf-8", "replace").strip().splitlines()[-20:]
        text = "\n".join(lines)
        rendered = [step.item for step in steps if step.item.get("src")]
        named = [item for item in rendered if item["dest"] in text]
        if rendered and not named:
            lines.append("It names no file of this set; these change:")
        lines += [
            f"{item['dest']} is made from {item.get('about') or 'template ' + item['src']}"
            for item in named or rendered
        ]
        raise Refused("\n".join([f"{' '.join(command)} failed (status {done.returncode}):", *lines]))


def recover(folder: str) -> list[str]:
    """Put back what dead calls left halfway; return the paths that took a change. Call it under the lock."""
    changed = []
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), "open-*.json"))):
        journal = Journal.read(path)
        changed += journal.restore()
        for parent in {os.path.dirname(entry["path"]) for entry in journal.entries}:
            for litter in glob.glob(os.path.join(glob.escape(parent), PART + "*")):
                os.unlink(litter)
    return changed


def kept_path(folder: str, name: str) -> str:
    """Where the journal kept under ``name`` is; raises ``Refused`` when it is not a plain name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise Refused(f"{name!r} cannot name what to keep: letters, digits, dots and dashes, such as nginx-sites")
    return os.path.join(folder, f"kept-{name}.json")


def place(wanted: Wanted, keep: str | None, check: bool, folder: str = UNDO) -> Result:
    """Put the whole set in place and in force, or leave everything as it was and raise ``Refused``.

    ``keep`` is the name for a later `restore`; ``check`` writes nothing.
    """
    kept = kept_path(folder, keep) if keep else ""
    for item in wanted.items:
        item["bits"] = int(item["mode"], 8)
    if check:
        steps = plan(wanted.items, check=True)
        drifted = drift(steps, Memory.read(home_of(folder)), wanted.on_drift)
        return Result([step.item["dest"] for step in steps], [step.diff for step in steps], drifted=drifted)
    with locked(folder):
        result = Result(recovered=recover(folder))
        # The run that kept the journal has ended halfway, so what is to take note of its changes may not have.
        result.unfinished = bool(kept) and os.path.exists(kept)
        steps = plan(wanted.items, check=False)
        memory = Memory.read(home_of(folder))
        result.drifted = drift(steps, memory, wanted.on_drift)
        waiting = {step.item["dest"] for step in steps}
        for item in wanted.items:
            if item["dest"] not in waiting:
                memory.set(item["dest"], wished(item))
        store(memory)
        if not steps:
            return result
        token = os.urandom(8).hex()
        entries: list[dict[str, Any]] = [
            {"path": one["kept"], "before": snapshot(one["kept"]), "aside": None}
            for one in result.drifted
            if one["kept"]
        ]
        for step in steps:
            path = step.item["dest"]
            moved = step.item["state"] == "absent" and step.before is not None and step.before["type"] == "directory"
            aside = os.path.join(os.path.dirname(path), f".slipway-undo-{token}-{os.path.basename(path)}")
            entry = {"path": path, "before": step.before, "aside": aside if moved else None}
            entries.append({**entry, "remembered": memory.known.get(path)})
        journal = Journal(os.path.join(folder, f"open-{token}.json"), entries, wanted.commands)
        journal.save()
        told = False
        try:
            keep_changes(steps, result.drifted)
            for step, entry in zip(steps, entries[-len(steps) :], strict=True):
                try:
                    apply(step, entry["aside"])
                except OSError as exc:
                    raise Refused(f"{name_of(step.item)}: {exc}") from exc
                memory.set(step.item["dest"], wished(step.item))
            store(memory)
            if wanted.validate:
                validated(wanted.validate, steps)
            for command in journal.commands:
                told = True
                with reloading.carried_out(command):
                    validated(command, steps)
        except HostError as exc:
            if not told:
                journal.commands = []  # a daemon that never read it has nothing to read again
            journal.restore()
            raise RolledBack(f"{exc}\nEverything was put back as it was.") from exc
        if keep:
            journal.keep(kept)
        else:
            journal.drop()
        result.paths = [step.item["dest"] for step in steps]
        result.diffs = [step.diff for step in steps]
        return result


def restore(name: str, check: bool, folder: str = UNDO) -> Result:
    """Go back to what was before the call that kept ``name``; nothing kept means no change."""
    path = kept_path(folder, name)
    if check:
        return Result([entry["path"] for entry in Journal.read(path).entries] if os.path.exists(path) else [])
    with locked(folder):
        recovered = recover(folder)
        return Result(Journal.read(path).restore() if os.path.exists(path) else [], recovered=recovered)


def forget(name: str, check: bool, folder: str = UNDO) -> Result:
    """Drop what is kept under ``name``. Never a change: nothing that serves is touched."""
    path = kept_path(folder, name)
    if check or not os.path.exists(path):
        return Result()
    with locked(folder):
        there = os.path.exists(path)
        if there:
            Journal.read(path).drop()
    return Result(forgotten=there)


# -------------------------------------------------------------------------------------------------------------- prove
def prove(name: str, commands: list[list[str]], undo: list[list[str]], seconds: float, folder: str = UNDO) -> bool:
    """Run ``commands`` for the set that was kept under ``name``; say whether the set is now on trial.

    It is, until `forget` names it; after ``seconds`` without that, a process left behind here goes back. It is there
    before the first command is run, which may be the one that cuts the connection.
    """
    kept = kept_path(folder, name)
    if not os.path.exists(kept):
        return False
    watch(kept, undo, seconds, folder)
    try:
        for command in commands:
            validated(command, [])
    except Refused as exc:
        go_back(kept, undo, folder)
        raise RolledBack(f"{exc}\nEverything was put back as it was.") from exc
    return True


def go_back(kept: str, undo: list[list[str]], folder: str) -> None:
    """Put back what is kept, if it still is, and have the daemons know."""
    with locked(folder):
        if not os.path.exists(kept):
            return
        Journal.read(kept).restore()
    for command in undo:
        with contextlib.suppress(Refused):
            run(command)


def watch(kept: str, undo: list[list[str]], seconds: float, folder: str) -> None:
    """Leave a process behind that goes back after ``seconds``, unless nothing is kept by then."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    # Twice and with a session of its own: nobody waits for it, and no terminal or connection takes it along.
    os.setsid()
    if os.fork():
        os._exit(0)
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        os.closerange(3, 1024)  # Ansible waits for the end of the pipes
        deadline = time.monotonic() + seconds
        while os.path.exists(kept) and time.monotonic() < deadline:
            time.sleep(0.2)
        go_back(kept, undo, folder)
    finally:
        os._exit(0)
