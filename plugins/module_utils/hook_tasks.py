"""Read a hook's task file as a run does, with all files and roles that it includes.

Ansible ends a run at once, without a rescue, where an included file or role cannot be parsed, and at an unknown word of `meta`.
So all that has a literal name is read before. A file or role that does not exist fails like a task, and may be left out by `when`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleError, AnsibleParserError, AnsibleUndefinedVariable
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

    def __init__(self, loader: Any, variables: Mapping[str, str]) -> None:
        """Read files with this loader of Ansible's, and with these variables of the hook."""
        self._loader = loader
        self._variables = variables
        manager = {"variable_manager": VariableManager(loader=loader), "loader": loader}
        self._play = Play.load({"hosts": "all"}, **manager)
        self._shared = {**manager, "play": self._play}
        self._role = Role.load(RoleInclude.load(ROLE, **self._shared), self._play)
        self._notifying: list[Any] = []

    def read(self, path: Path) -> None:
        """Read the file and what it includes. Raises AnsibleError and Unfit."""
        # As run_task_file.yml includes it.
        include = {"ansible.builtin.include_tasks": str(path), "vars": self._variables}
        block = {"any_errors_fatal": False, "block": [include]}
        outer = Block.load([block], role=self._role, **self._shared).block[0].block[0]
        self._read_file(outer, _Reading(path, (path,)))
        known = _topics(handler for block in self._play.handlers for handler in block.block)
        for task in self._notifying:
            if known is not None and (missing := [name for name in _handlers(task) if name not in known]):
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
        """Read what a task includes when it runs, where its name is no template."""
        certain = replace(reading, is_certain=reading.is_certain and not task.when and not task.loop)
        if isinstance(task, IncludeRole):
            if not any(map(_is_template, (task._role_name, *task._from_files.values()))):
                self._include_role(task, certain)
            return
        name = str(task.args.get("_raw_params") or "")
        if _is_template(name):
            return
        if is_of_a_role:
            folder = Path(task._role._role_path) / "tasks"
            self._include_file(task, _existing(name, (folder, reading.path.parent)), replace(certain, is_certain=False))
            return
        if (KIT / name).is_file() and not Path(name).is_absolute():
            # Ansible looks into the folder of the role first.
            raise Unfit(
                f"it includes {name}, and Ansible would take the kit's file of that name; rename it",
                _place(task, reading.path),
            )
        folders = (reading.path.parent, reading.path.parent / "tasks", Path(self._loader.get_basedir()))
        self._include_file(task, _existing(name, folders), certain)

    def _include_file(self, task: Any, included: Path | None, reading: _Reading) -> None:
        """Read an included file, which may be missing if it is not certain that it is needed."""
        name = task.args.get("_raw_params")
        if included is None:
            if reading.is_certain:
                raise Unfit(f"it includes {name}, which does not exist; correct its name", _place(task, reading.path))
        elif included not in reading.within:
            self._read_file(task, replace(reading, path=included, within=(*reading.within, included)))
        elif reading.is_certain:
            raise Unfit(f"it includes {name}, which includes this file again, without end", _place(task, reading.path))

    def _include_role(self, task: Any, reading: _Reading) -> None:
        """Read an included role: its variables, tasks and handlers."""
        role = (task._role_name, *sorted(task._from_files.items()))
        if role in reading.within:
            return
        try:
            RoleInclude.load(task._role_name, collection_list=task.collections, **self._shared)
        except AnsibleParserError:
            raise
        except AnsibleError:
            if reading.is_certain:
                raise
            return
        try:
            included = task.copy()
            blocks, handlers = included.get_block_list(**self._shared)
        except AnsibleError as exc:
            if needs_a_host(exc):
                return
            if places.of(exc.obj):
                raise
            raise AnsibleParserError(f"the role {task._role_name}: {exc.message}", obj=task.get_ds()) from exc
        inside = replace(reading, path=Path(included._role_path) / "tasks/main.yml", within=(*reading.within, role))
        self._check((*blocks, *handlers), inside)


def needs_a_host(exc: AnsibleError) -> bool:
    """Whether a file or role could not be loaded only because a template in its name has a variable without a value."""
    return any(isinstance(one, AnsibleUndefinedVariable) for one in chain(exc))


def chain(exc: BaseException | None) -> Iterator[BaseException]:
    """List an exception and its causes."""
    while exc:
        yield exc
        exc = exc.__cause__


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


def _existing(name: str, folders: Iterable[Path]) -> Path | None:
    """The first of the files with a name that exists."""
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def _place(task: Any, path: Path) -> str:
    """Where a task stands."""
    return places.of(task.get_ds()) or str(path)
