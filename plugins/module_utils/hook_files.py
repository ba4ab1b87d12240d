"""Check the task files of hooks with Ansible's own parser.

Ansible reads such a file only when the hook runs. A mistake in it would end the run there, without a rescue.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible import modules
from ansible.errors import AnsibleAssertionError, AnsibleError, AnsibleUndefinedVariable
from ansible.playbook.block import Block
from ansible.playbook.helpers import load_list_of_blocks
from ansible.playbook.play import Play
from ansible.playbook.role import Role
from ansible.playbook.role.include import RoleInclude
from ansible.playbook.role_include import IncludeRole
from ansible.playbook.task import Task
from ansible.playbook.task_include import TaskInclude
from ansible.vars.manager import VariableManager

from . import places, rendering
from .contract import names
from .model.validation import Fault

LIST = "it is no list of tasks; write a list whose items are like: - ansible.builtin.command: systemctl reload varnish"
KIT = Path(rendering.KIT) / "roles/release/tasks"
ROLE = "slipway.kit.release"
"""The role that includes these files. By it Ansible finds other files, and modules and roles by their short names."""
BUILTIN = "ansible.builtin."
_ENDS = "would end the run early, without its last steps; give the tasks that are to be left out a `when`"
ENDING = {
    **dict.fromkeys(("end_play", "end_batch", "end_host", "end_role"), _ENDS),
    "clear_facts": "would make the run forget what it has begun; take it out",
}
"""What `meta` may not do in a hook, and why."""


class HookFiles:
    """The task files of the hooks of all hosts: each is read once."""

    def __init__(self, loader: Any) -> None:
        """Read files with this loader of Ansible's."""
        self._loader = loader
        self._problems: dict[tuple[Path, str, str], str] = {}

    def faults(self, apps: Mapping[str, Any], base: Path) -> Iterator[Fault]:
        """Find the hooks' files that do not exist or that Ansible cannot read.

        Args:
            apps: The apps' entries.
            base: The inventory's folder.
        """
        for app, entry in apps.items():
            for hook, settings in (entry.get("hooks") or {}).items():
                file = settings.get("tasks") if isinstance(settings, Mapping) else None
                if file and (problem := self._problem(base / file, str(app), hook)):
                    yield Fault(("apps", app, "hooks", hook, "tasks"), f"is {file}, which {problem}")

    def _problem(self, *place: Any) -> str:
        """Say what is wrong with the file of an app's hook; empty for nothing."""
        if place not in self._problems:
            self._problems[place] = self._read(*place)
        return self._problems[place]

    def _read(self, path: Path, app: str, hook: str) -> str:
        if not path.is_file():
            return f"does not exist ({path}); correct it"
        try:
            self._parse(path, {"app_name": app, "app_root": names.app_root(app), "release_hook": hook}, (path,))
        except Unfit as exc:
            return f"cannot be a hook's: {exc.place}: {exc}"
        except AnsibleError as exc:
            if _needs_a_host(exc):
                return ""  # the name of an imported file, which is known when the hook runs
            return f"Ansible cannot read: {places.of(exc.obj) or path}: {_words(exc)}"
        return ""

    def _parse(self, path: Path, variables: Mapping[str, str], within: tuple[Path, ...]) -> None:
        """Load a file as a run does, and the files that it includes in any case. Raises AnsibleError and Unfit."""
        manager = {"variable_manager": VariableManager(loader=self._loader), "loader": self._loader}
        play = Play.load({"hosts": "all"}, **manager)
        shared = {**manager, "play": play, "role": Role.load(RoleInclude.load(ROLE, play=play, **manager), play)}
        # As run_task_file.yml includes it.
        include = {"ansible.builtin.include_tasks": str(path), "vars": variables}
        outer = Block.load([{"any_errors_fatal": False, "block": [include]}], **shared).block[0].block[0]
        tasks = self._loader.load_from_file(str(path), trusted_as_template=True)
        for block in load_list_of_blocks(tasks, parent_block=outer.build_parent_block(), **shared):
            for task in block.get_tasks():
                is_of_a_role = task._role is not shared["role"]
                if problem := _unfit(task, is_of_a_role):
                    raise Unfit(problem, _place(task, path))
                if _is_certain(task) and not is_of_a_role:  # a role's files are in its folder
                    self._follow(task, path, variables, within, {**manager, "play": play})

    def _follow(
        self, task: Any, path: Path, variables: Mapping[str, str], within: tuple[Path, ...], shared: Mapping[str, Any]
    ) -> None:
        """Load what a task of the file at `path` includes when it runs, where its name is no template."""
        name = str(task.args.get("_raw_params") or task.args.get("name") or "")
        if "{{" in name or "{%" in name:
            return
        if isinstance(task, IncludeRole):
            RoleInclude.load(name, **shared)
            return
        if (KIT / name).is_file() and not Path(name).is_absolute():
            # Ansible looks into the folder of the role first.
            raise Unfit(
                f"it includes {name}, and Ansible would take the kit's file of that name; rename it", _place(task, path)
            )
        folders = (path.parent, path.parent / "tasks", Path(self._loader.get_basedir()))
        included = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if included is None:
            raise Unfit(f"it includes {name}, which does not exist; correct its name", _place(task, path))
        if included in within:
            raise Unfit(f"it includes {name}, which includes this file again, without end", _place(task, path))
        self._parse(included, variables, (*within, included))


class Unfit(Exception):
    """A file that Ansible can read, and that would break the run."""

    def __init__(self, message: str, place: str) -> None:
        super().__init__(message)
        self.place = place


def _unfit(task: Any, is_of_a_role: bool) -> str:
    """Say what in a task would end the run instead of failing for its app; empty for nothing.

    A task of an imported role may end that role, and notify the role's handlers.
    """
    word = str(task.args.get("_raw_params")) if task.action in C._ACTION_META else ""
    if word in ENDING and not (is_of_a_role and word == "end_role"):
        return f"meta: {word} {ENDING[word]}"
    if task.any_errors_fatal is not False:
        return "any_errors_fatal would end the run for all apps, on some hosts alone; take it out"
    if task.notify and not is_of_a_role:
        handlers = [task.notify] if isinstance(task.notify, str) else task.notify
        return (
            f"notify: {', '.join(map(str, handlers))} finds no handler, since a hook has none; use a task with `when`"
        )
    return ""


def _place(task: Any, path: Path) -> str:
    """Where a task stands."""
    return places.of(task.get_ds()) or str(path)


def _is_certain(task: Any) -> bool:
    """Whether a task includes a file or role in any case, when it runs."""
    return isinstance(task, TaskInclude) and not task.statically_loaded and not task.when and not task.loop


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    """List an exception and its causes."""
    while exc:
        yield exc
        exc = exc.__cause__


def _needs_a_host(exc: AnsibleError) -> bool:
    """Whether a file or role could not be loaded only because a template in its name has a variable without a value."""
    return any(isinstance(one, AnsibleUndefinedVariable) for one in _chain(exc))


def _words(exc: AnsibleError) -> str:
    """Say what is wrong, and what to write."""
    causes = list(_chain(exc))
    if any(isinstance(one, AnsibleAssertionError) for one in causes):
        return LIST
    if missing := next((one for one in causes if isinstance(one, OSError)), None):
        return f"it needs {Path(missing.filename).name}, which cannot be read ({missing.strerror}); correct its name"
    message = " ".join(str(exc.message).split()).rstrip(".")
    written = re.findall(r"'([\w.]+)'", message) or message.partition("statements: ")[2].split(", ")
    near = next(filter(None, map(_nearest, written)), "")
    return message + (f"; did you mean {near}?" if near else "; correct it")


def _nearest(word: str) -> str:
    """Return the keyword or module of ansible-core that a misspelt word is near to; empty for none."""
    builtin = [path.stem for folder in modules.__path__ for path in Path(folder).glob("[a-z]*.py")]
    known = [*Task.fattributes, *Block.fattributes, *builtin]
    short = word.removeprefix(BUILTIN)
    if short in known:
        return ""
    near = difflib.get_close_matches(short, builtin if word.startswith(BUILTIN) else known, n=1, cutoff=0.8)
    return word.removesuffix(short) + near[0] if near else ""
