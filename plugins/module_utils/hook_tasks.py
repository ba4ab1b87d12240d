"""Read a hook's task file as a run does, with all files and roles that it includes.

Ansible ends a run at once, without a rescue, where an included file or role cannot be parsed, and at an unknown word of `meta`.
So all whose name can be known is read before. A file or role that does not exist fails like a task, and may be left out by `when`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.playbook.block import Block
from ansible.playbook.helpers import load_list_of_blocks
from ansible.playbook.play import Play
from ansible.playbook.role import Role
from ansible.playbook.role.include import RoleInclude
from ansible.playbook.role_include import IncludeRole
from ansible.playbook.task_include import TaskInclude
from ansible.vars.manager import VariableManager

from . import places, rendering

KIT = Path(rendering.KIT) / "roles/release/tasks"
ROLE = "slipway.kit.release"
"""The role that includes these files. By it Ansible finds other files, and modules and roles by their short names."""
BLOCK = {"any_errors_fatal": False, "collections": ["ansible.builtin", "slipway.kit"]}
"""The block around the include in run_task_file.yml."""
META = (
    "flush_handlers",
    "noop",
    "refresh_inventory",
    "reset_connection",
    "clear_facts",
    "clear_host_errors",
    "end_batch",
    "end_host",
    "end_play",
    "end_role",
)
"""The words that ansible-core knows for `meta`. It does not render a template there."""
_ENDS = "would end the run early, without its last steps; give the tasks that are to be left out a `when`"
ENDING = {
    **dict.fromkeys(("end_play", "end_batch", "end_host", "end_role"), _ENDS),
    "clear_facts": "would make the run forget what it has begun; take it out",
    "clear_host_errors": "would bring back hosts that have failed; take it out",
}
"""What `meta` may not do in a hook, and why."""


class Unfit(Exception):
    """A file that Ansible can read, and that would break the run."""

    def __init__(self, message: str, place: str) -> None:
        super().__init__(message)
        self.place = place


@dataclass(frozen=True)
class _Reading:
    """A file whose tasks are read."""

    path: Path
    within: tuple[object, ...]
    """The files and roles that include it, and itself."""
    is_certain: bool = True
    """Whether a run comes to it in any case."""


class Reader:
    """Reads one hook's task file. Each role that it includes adds its handlers to the play, as in a run."""

    def __init__(self, loader: Any, hook: str, values: Mapping[str, str]) -> None:
        """Read files with this loader of Ansible's, and with variables that each host has for this hook.

        An import knows none of them: Ansible reads it for all hosts together. It knows the hook's name.
        """
        self._loader = loader
        self._hook = {"release_hook": hook}
        self._values = {**values, **self._hook}
        manager = {"variable_manager": VariableManager(loader=loader), "loader": loader}
        self._play = Play.load({"hosts": "all"}, **manager)
        self._shared = {**manager, "play": self._play}
        self._role = Role.load(RoleInclude.load(ROLE, **self._shared), self._play)
        self._notifying: list[Any] = []

    def read(self, path: Path) -> None:
        """Read the file and what it includes. Raises AnsibleError and Unfit."""
        # As run_task_file.yml includes it.
        include = {"ansible.builtin.include_tasks": str(path), "vars": self._hook}
        outer = Block.load([{**BLOCK, "block": [include]}], role=self._role, **self._shared).block[0].block[0]
        self._read_file(outer, _Reading(path, (path,)))
        known = _topics(handler for block in self._play.handlers for handler in block.block)
        for task in self._notifying:
            if known is not None and (
                missing := [name for name in _handlers(task) if name not in known and not _is_template(name)]
            ):
                raise Unfit(
                    f"notify: {', '.join(missing)} finds no such handler in the role; correct the name",
                    places.of(task.get_ds()),
                )

    def _read_file(self, include: Any, reading: _Reading) -> None:
        """Read the tasks of a file that a task includes."""
        tasks = self._loader.load_from_file(str(reading.path), trusted_as_template=True)
        parent = include.copy().build_parent_block()  # of a copy, from which it takes `apply`
        self._check(load_list_of_blocks(tasks, parent_block=parent, role=include._role, **self._shared), reading)

    def _check(self, blocks: Iterable[Any], reading: _Reading) -> None:
        """Look at tasks, and at what they include."""
        for task in (task for block in blocks for task in block.get_tasks()):
            is_of_a_role = task._role is not self._role
            if problem := _unfit(task, is_of_a_role):
                raise Unfit(problem, _place(task, reading.path))
            if is_of_a_role and task.notify:
                self._notifying.append(task)
            if isinstance(task, TaskInclude) and not task.statically_loaded and not _is_never(task):
                self._follow(task, is_of_a_role, reading)

    def _follow(self, task: Any, is_of_a_role: bool, reading: _Reading) -> None:
        """Read what a task includes when it runs, where the names can be known."""
        is_role = isinstance(task, IncludeRole)
        written = (task._role_name, *task._from_files.values()) if is_role else (task.args.get("_raw_params"),)
        is_certain = reading.is_certain and not (
            task.when or task.loop or is_of_a_role or any(map(_is_template, written))
        )
        for item in _items(task):
            known = [rendered(str(name), {**self._values, **item}) for name in written]
            if all(known) and is_role:
                self._include_role(task, known, replace(reading, is_certain=is_certain))
            elif all(known):
                self._include_tasks(task, known[0], is_of_a_role, replace(reading, is_certain=is_certain))

    def _include_tasks(self, task: Any, name: str, is_of_a_role: bool, reading: _Reading) -> None:
        """Find an included file where a run does, and read it."""
        if is_of_a_role:
            folders: tuple[Path, ...] = (Path(task._role._role_path) / "tasks", reading.path.parent)
        elif (KIT / name).is_file() and not Path(name).is_absolute():
            # Ansible looks into the folder of the role first.
            raise Unfit(
                f"it includes {name}, and Ansible would take the kit's file of that name; rename it",
                _place(task, reading.path),
            )
        else:
            folders = (reading.path.parent, reading.path.parent / "tasks", Path(self._loader.get_basedir()))
        included = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if included is None:
            if reading.is_certain:
                raise Unfit(f"it includes {name}, which does not exist; correct its name", _place(task, reading.path))
        elif included not in reading.within:
            self._read_file(task, replace(reading, path=included, within=(*reading.within, included)))
        elif reading.is_certain:
            raise Unfit(f"it includes {name}, which includes this file again, without end", _place(task, reading.path))

    def _include_role(self, task: Any, known: Sequence[str], reading: _Reading) -> None:
        """Read an included role: its variables, tasks and handlers. Its name and those of its files are `known`."""
        name, *files = known
        from_files = dict(zip(task._from_files, files, strict=True))
        role = (name, *from_files.items())
        if role in reading.within:
            return
        included = task.copy()
        included._role_name, included._from_files = name, from_files
        try:
            RoleInclude.load(name, collection_list=task.collections, **self._shared)
        except AnsibleParserError:
            raise
        except AnsibleError:
            if reading.is_certain:
                raise
            return
        try:
            blocks, handlers = included.get_block_list(**self._shared)
        except AnsibleError as exc:
            if places.of(exc.obj):
                raise
            raise AnsibleParserError(f"the role {name}: {exc.message}", obj=task.get_ds()) from exc
        inside = replace(reading, path=Path(included._role_path) / "tasks/main.yml", within=(*reading.within, role))
        self._check((*blocks, *handlers), inside)


def rendered(text: str, values: Mapping[str, str]) -> str:
    """Render a text whose templates are names of known variables alone; empty if it has others, which may do anything."""
    text = re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: values.get(match[1], match[0]), text)
    return "" if _is_template(text) else text


def _items(task: Any) -> list[dict[str, str]]:
    """The variable of a task's loop with each of its items. An item that only the run knows is left out."""
    if not isinstance(task.loop, list) or task.loop_with not in (None, "items"):
        return [{}]
    variable = str(task.loop_control.loop_var or "item") if task.loop_control else "item"
    return [{variable: item} if isinstance(item, str) and not _is_template(item) else {} for item in task.loop]


def _unfit(task: Any, is_of_a_role: bool) -> str:
    """Say what in a task would end the run instead of failing for its app; empty for nothing.

    A task of a role may end that role, and notify the role's handlers.
    """
    if task.action in C._ACTION_META and not task.implicit:
        word = str(task.args.get("_raw_params"))
        if word in ENDING and not (is_of_a_role and word == "end_role"):
            return f"meta: {word} {ENDING[word]}"
        if word not in META:
            return f"meta: {word} is unknown, and would end the run at once; write one of {', '.join(_usable())}"
    if not _is_template(task.throttle) and not str(task.throttle).strip().isdecimal():
        return f"throttle: {task.throttle} would end the run at once; write a whole number"
    if task.any_errors_fatal is not False:
        return "any_errors_fatal would end the run for all apps, on some hosts alone; take it out"
    if task.notify and not is_of_a_role:
        return f"notify: {', '.join(_handlers(task))} finds no handler, since a hook has none; use a task with `when`"
    return ""


def _usable() -> list[str]:
    """The words of `meta` that a hook may use."""
    return [word for word in META if word not in ENDING]


def _handlers(task: Any) -> list[str]:
    """The names of the handlers that a task notifies."""
    return [task.notify] if isinstance(task.notify, str) else [str(name) for name in task.notify]


def _topics(handlers: Iterable[Any]) -> set[str] | None:
    """What the handlers can be notified by; None if only the run knows, since a name is a template."""
    topics: set[str] = set()
    for one in handlers:
        names = (one.name, one.get_name(include_role_fqcn=False), one.get_name(include_role_fqcn=True))
        topics.update(map(str, (*filter(None, names), *one.listen)))
    return None if any(map(_is_template, topics)) else topics


def _is_template(text: Any) -> bool:
    """Whether only the run knows what the text is."""
    return "{{" in str(text) or "{%" in str(text)


def _is_never(task: Any) -> bool:
    """Whether the task is left out in any run."""
    return any(str(condition).lower() == "false" for condition in task.when)


def _place(task: Any, path: Path) -> str:
    """Where a task stands."""
    return places.of(task.get_ds()) or str(path)
