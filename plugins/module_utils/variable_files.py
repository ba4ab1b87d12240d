"""The files of variables next to an inventory: which of them Ansible reads, and which variables it misses in them.

Ansible ends with no message where a file is named or placed wrongly, or where a second one sets the same variable.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible_collections.slipway.kit.plugins.module_utils import environments, places, reading
from ansible_collections.slipway.kit.plugins.module_utils.model import run_variables
from ansible_collections.slipway.kit.plugins.module_utils.model.spelling import did_you_mean
from ansible_collections.slipway.kit.plugins.module_utils.model.validation import Fault
from ansible_collections.slipway.kit.plugins.module_utils.next_commands import short

APPS = "apps"
FOLDERS = environments.VARIABLES
ENDINGS = ("", ".yml", ".yaml", ".json")
"""How the name of a file ends that Ansible reads."""
SHOWN = 5
"""Files that a message names."""
LARGE, MANY, DEEP = 256 * 1024, 500, 4
"""Bytes, number and depth of the files in which `apps` is looked for."""
_LIKELY = re.compile(r"(?i)[^.]*|.*(\.ya?ml|\.json).*|.*(apps|vars).*")
"""The names of files in which `apps` may be."""
_TOP = re.compile(r"""(?m)^["']?apps["']?\s*:""")
_AMONG_HOSTS = re.compile(r"""(?ms)^[ ]*["']?apps["']?[ ]*:(?=.*\bsource["']?[ ]*:)""")
"""In a list of hosts `apps` may also be a group, which has no source."""


@dataclass(frozen=True)
class Read:
    """What Ansible reads of the folders `group_vars` and `host_vars`."""

    files: Mapping[str, Sequence[str]]
    """By owner, such as `/inventory/group_vars/web`: in the order in which Ansible reads them, so that the last one wins."""
    groups: Collection[str]
    """All groups of the inventory."""

    @property
    def paths(self) -> list[str]:
        """All files."""
        return [path for files in self.files.values() for path in files]


def read(loader: Any, folders: Iterable[str | Path], groups: Collection[str], hosts: Collection[str]) -> Read:
    """Find the files that Ansible reads for these groups and hosts.

    Args:
        loader: Ansible's.
        folders: those of the inventory and of the playbook.
        groups: all groups of the inventory.
        hosts: the hosts of the run.
    """
    files: dict[str, Sequence[str]] = {}
    for folder in dict.fromkeys(os.path.realpath(folder) for folder in folders):
        for subfolder, names in zip(FOLDERS, (groups, hosts), strict=True):
            parent = os.path.join(folder, subfolder)
            if os.path.isdir(parent):
                for name in map(str, names):
                    if matches := loader.find_vars_files(parent, name):
                        files[os.path.join(parent, name)] = matches
    return Read(files, groups)


def overridden(loader: Any, files: Read, names: Collection[str]) -> Iterator[Fault]:
    """The variables of the kit that two files of one group or host set, of which Ansible silently uses one."""
    for owner, paths in files.files.items():
        kind, name = Path(owner).parts[-2:]
        whose = f"the {'group' if kind == FOLDERS[0] else 'host'} {name}"
        first: dict[str, str] = {}
        for path in paths:
            for key in _keys(loader, path):
                if key in names:
                    other = first.setdefault(str(key), _place(key, path))
                    if other != _place(key, path):
                        message = f"is also in {other}, and Ansible would use only one of both files of {whose}; write it in one"
                        yield Fault((str(key),), message, _place(key, path))
        for path in _shadowed(owner, paths):
            for key in _keys(loader, path):
                if key in names:
                    yield Fault((str(key),), f"is not read, since {_instead(owner, paths)}", _place(key, path))


def _keys(loader: Any, path: str) -> list[Any]:
    """The variables that a file sets; none where it cannot be read."""
    try:
        data = loader.load_from_file(path, cache="all", unsafe=True, trusted_as_template=True)
    except AnsibleError:
        return []
    return list(data) if isinstance(data, Mapping) else []


def _place(key: Any, path: str) -> str:
    return places.of(key) or short(path)


def _shadowed(owner: str, paths: Sequence[str]) -> list[str]:
    """The files of a group or host that Ansible leaves out, since it has read another one or a folder of that name."""
    return [owner + ending for ending in ENDINGS[1:] if owner + ending not in paths and os.path.isfile(owner + ending)]


def _instead(owner: str, paths: Sequence[str]) -> str:
    if os.path.isdir(owner):
        return f"Ansible reads the folder {short(owner)} instead; move the file into it"
    return f"Ansible reads {short(paths[0])} instead; write all in one file"


def missing(
    files: Read, inventories: Sequence[Path], hosts: Sequence[str], raw: Mapping[str, Any], group: str
) -> Fault:
    """Say that hosts have no `apps`, which files were read, and what the mistake may be.

    Args:
        files: what Ansible has read.
        inventories: the folders of the inventories.
        hosts: the hosts without `apps`; empty for all hosts of the run.
        raw: the variables of one of them, with their places.
        group: the group whose hosts the kit manages.
    """
    where = ", ".join(short(folder) for folder in inventories)
    whose = f" for {', '.join(hosts[:SHOWN])}{_more(len(hosts))}" if hosts else ""
    paths = [short(path) for path in files.paths]
    shown = f"{', '.join(paths[:SHOWN])}{_more(len(paths))}" if paths else "no file of variables"
    target = short(inventories[0] / FOLDERS[0] / group / "apps.yml") if inventories else f"group_vars/{group}/apps.yml"
    remedy = (
        misnamed(raw)
        or _unread(files, inventories, group, target)
        or f"write at least one app in {target}: its name, its `module` and its `source`"
    )
    return Fault((APPS,), f"is missing{whose}. Ansible read {shown}; {remedy}", where)


def _more(count: int) -> str:
    return f" and {count - SHOWN} more" if count > SHOWN else ""


def misnamed(raw: Mapping[str, Any]) -> str:
    """What to do about a variable that looks like `apps`, or like an app; empty where there is none."""
    for name, value in raw.items():
        place = places.of(name, value)
        if not place or (name in run_variables.BY_NAME and not isinstance(value, Mapping)):
            continue
        named = f"`{name}` at {place}"
        if _is_app(value):
            return f"{named} looks like an app: write it below `{APPS}:`"
        if isinstance(value, Mapping) and APPS in value:
            return f"{named} contains `{APPS}`: write `{APPS}` at the start of a line, outside of `{name}`"
        entries = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
        if any(map(_is_app, entries)):
            return f"{named} looks like your apps; did you mean `{APPS}`?"
        if difflib.get_close_matches(str(name).lower(), [APPS], cutoff=0.8):
            return f"there is {named}; did you mean `{APPS}`?"
    return ""


def _is_app(value: Any) -> bool:
    return isinstance(value, Mapping) and ("module" in value or isinstance(value.get("source"), Mapping))


def _unread(files: Read, inventories: Sequence[Path], group: str, target: str) -> str:
    """What to do about a file that has `apps` and that Ansible does not read; empty where there is none."""
    known = {os.path.realpath(path) for path in files.paths}
    for base in inventories:
        for path in _candidates(base):
            if os.path.realpath(path) in known:
                continue
            if line := _line(path, _AMONG_HOSTS if path.parent == base else _TOP):
                return f"{short(path)}:{line} has `{APPS}`, but {_reason(path, base, files, group, target)}"
    return ""


def _candidates(base: Path) -> Iterator[Path]:
    """The files in which `apps` may be: below the inventory's folder, and in folders of variables above it."""
    seen = 0
    tops = [base, *(above / name for above in [*base.parents[:2], Path.cwd()] for name in FOLDERS)]
    for top in tops:
        for folder, folders, names in os.walk(top):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            if len(Path(folder).relative_to(top).parts) >= DEEP:
                folders.clear()
            for name in sorted(filter(_LIKELY.fullmatch, names)):
                seen += 1
                if seen > MANY:
                    return
                yield Path(folder, name)


def _line(path: Path, pattern: re.Pattern[str]) -> int:
    """The line of a file on which `apps` is set; 0 if on none."""
    try:
        text = reading.text(path, LARGE)
    except (OSError, UnicodeError):
        return 0
    match = pattern.search(text)
    return text.count("\n", 0, match.start()) + 1 + match[0].count("\n") if match else 0


def _reason(path: Path, base: Path, files: Read, group: str, target: str) -> str:
    """Why Ansible does not read a file, and what to do, as the end of a sentence."""
    parts = path.relative_to(base).parts if path.is_relative_to(base) else ()
    if not parts or parts[0] not in FOLDERS:
        if len(parts) == 1:
            return f"Ansible reads that file as a list of hosts; move `{APPS}` to {target}"
        if parts and difflib.get_close_matches(parts[0].lower(), FOLDERS, cutoff=0.7):
            return f"Ansible reads no folder {parts[0]}; did you mean {FOLDERS[0]}?"
        return f"Ansible does not look there; move the file to {target}"
    name = parts[-1]
    if name.startswith(".") or name.endswith("~"):
        return "Ansible leaves out hidden files and backups; rename the file"
    ending = os.path.splitext(name)[1]
    if ending not in ENDINGS:
        return f"Ansible reads no file that ends in {ending}; let its name end in .yml"
    if len(parts) == 1:
        return f"Ansible does not look there; move the file to {target}"
    owner = parts[1] if len(parts) > 2 else os.path.splitext(parts[1])[0]
    if parts[0] == FOLDERS[1]:
        return f"no host of the run is named {owner}; correct the name, or move the file to {target}"
    if owner not in files.groups:
        known = sorted(name for name in files.groups if name != "ungrouped")
        return f"the inventory has no group {owner}{did_you_mean(owner, known)}"
    above = os.path.realpath(base / parts[0] / owner)
    if above in files.files and str(path.resolve()) in _shadowed(above, files.files[above]):
        return _instead(above, files.files[above])
    return f"no host of the group {group} is in the group {owner}; move the file to {target}"
