"""Check the task files of hooks with Ansible's own parser.

Ansible reads such a file only when the hook runs. A mistake in it would end the run there, without a rescue.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible import modules
from ansible.errors import AnsibleAssertionError, AnsibleError, AnsibleUndefinedVariable
from ansible.playbook.block import Block
from ansible.playbook.task import Task

from . import hook_tasks, places
from .contract import names
from .model.validation import Fault

LIST = "it is no list of tasks; write a list whose items are like: - ansible.builtin.command: systemctl reload varnish"
BUILTIN = "ansible.builtin."


class HookFiles:
    """The task files of the hooks of all hosts: each is read once."""

    def __init__(self, loader: Any) -> None:
        """Read files with this loader of Ansible's."""
        self._loader = loader
        self._problems: dict[tuple[Path, Path, str, str], str] = {}

    def faults(self, apps: Mapping[str, Any], base: Path) -> Iterator[Fault]:
        """Find the hooks' files that do not exist or that Ansible cannot read.

        Args:
            apps: The apps' entries.
            base: The inventory's folder.
        """
        for app, entry in apps.items():
            for hook, settings in (entry.get("hooks") or {}).items():
                file = settings.get("tasks") if isinstance(settings, Mapping) else None
                if file and (problem := self._problem(base, base / file, str(app), hook)):
                    yield Fault(("apps", app, "hooks", hook, "tasks"), f"is {file}, which {problem}")

    def _problem(self, *place: Any) -> str:
        """Say what is wrong with the file of an app's hook; empty for nothing."""
        if place not in self._problems:
            self._problems[place] = self._read(*place)
        return self._problems[place]

    def _read(self, base: Path, path: Path, app: str, hook: str) -> str:
        if not path.is_file():
            return f"does not exist ({path}); correct it"
        try:
            values = {"app_name": app, "app_root": names.app_root(app), "inventory_dir": str(base)}
            hook_tasks.Reader(self._loader, hook, values).read(path)
        except hook_tasks.Unfit as exc:
            return f"cannot be a hook's: {exc.place}: {exc}"
        except AnsibleError as exc:
            return f"Ansible cannot read: {places.of(exc.obj) or path}: {_words(exc)}"
        return ""


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    """List an exception and its causes."""
    while exc:
        yield exc
        exc = exc.__cause__


def _words(exc: AnsibleError) -> str:
    """Say what is wrong, and what to write."""
    causes = list(_chain(exc))
    if any(isinstance(one, AnsibleAssertionError) for one in causes):
        return LIST
    if missing := next((one for one in causes if isinstance(one, OSError)), None):
        return f"it needs {Path(missing.filename).name}, which cannot be read ({missing.strerror}); correct its name"
    message = " ".join(str(exc.message).split()).rstrip(".")
    if any(isinstance(one, AnsibleUndefinedVariable) for one in causes):
        return f"{message}; an import knows no variable of a host or an app, so use include_tasks or include_role"
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
