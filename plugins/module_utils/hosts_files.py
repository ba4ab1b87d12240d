"""What Ansible would report as a flood of warnings while it reads the hosts of an inventory, as one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible_collections.slipway.kit.plugins.module_utils import places
from ansible_collections.slipway.kit.plugins.module_utils.model.spelling import did_you_mean
from ansible_collections.slipway.kit.plugins.module_utils.next_commands import short

SECTIONS = ("hosts", "children", "vars")
"""The parts of a group."""
LINES = {"hosts": "web1:", "children": "web:", "vars": "ansible_user: deploy"}
"""A line of each."""
YAML = (".yml", ".yaml")


def missing_variables(options: Iterable[str]) -> Iterator[str]:
    """Say which files of `-e @file` do not exist.

    Args:
        options: the values of `-e`.
    """
    for option in options:
        file = Path(option.strip()[1:]).expanduser()
        if option.strip().startswith("@") and not file.exists():
            yield f"-e {option}: the file {file.absolute()} does not exist; correct its path"


def faults(source: str) -> Iterator[str]:
    """Say what is wrong with a source of hosts: it does not exist, or is no mapping of groups.

    Args:
        source: a value of `-i`, or a file in that folder.
    """
    path = Path(source)
    if not path.exists():
        if "," not in source:
            others = _folders(path.parent)
            hint = did_you_mean(path.name, others) if others else "; correct `-i`"
            yield f"the inventory {source} does not exist{hint}"
    elif path.suffix in YAML and not _is_ini(path):
        yield from _of_yaml(source)


def _folders(parent: Path) -> list[str]:
    """The folders next to an inventory."""
    return sorted(one.name for one in parent.iterdir() if one.is_dir()) if parent.is_dir() else []


def _is_ini(path: Path) -> bool:
    """Whether a file with a name as of YAML has the syntax of Ansible's INI files, which Ansible reads, too."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.startswith("[") for line in map(str.strip, lines) if line and line[0] not in "#;"), False)


def _of_yaml(source: str) -> Iterator[str]:
    try:
        groups = DataLoader().load_from_file(source)
    except AnsibleError as exc:
        if "decrypt" not in exc.message and "vault" not in exc.message:
            yield f"{places.of(exc.obj) or short(source)}: {exc.message}"
        return
    if groups is None or (isinstance(groups, Mapping) and "plugin" in groups):
        return
    if not isinstance(groups, Mapping):
        yield f"{short(source)} must be a mapping of groups; write `web:` and below it `hosts:`"
        return
    for name, group in groups.items():
        yield from _group(name, group, short(source))


def _group(name: Any, group: Any, file: str) -> Iterator[str]:
    """What is wrong with a group, and with those in it."""
    if group is None:
        return
    if not isinstance(group, Mapping):
        yield f"{places.of(group, name) or file}: the group {name} must be a mapping; write `hosts:` below it, and each host as `web1:`"
        return
    for section, value in group.items():
        if section in SECTIONS and isinstance(value, list | tuple):
            yield (
                f"{places.of(section, value) or file}: `{section}` of the group {name} is a list, and must be a mapping; write each "
                f"line without its hyphen, such as `{LINES[section]}`"
            )
        elif section == "children" and isinstance(value, Mapping):
            for child, below in value.items():
                yield from _group(child, below, file)
