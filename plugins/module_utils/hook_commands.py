"""Find hooks whose command is a file of tasks: the key `tasks` was forgotten, and the host would find no such program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .model import commands
from .model.validation import Fault

ENDINGS = (".yml", ".yaml")


def faults(apps: Mapping[str, Any], base: Path) -> Iterator[Fault]:
    """Find the commands of hooks that are one word and name a YAML file of the inventory.

    Args:
        apps: The apps' entries, whose hooks are sound.
        base: The inventory's folder.
    """
    for app, entry in apps.items():
        for hook, settings in (entry.get("hooks") or {}).items():
            is_mapping = isinstance(settings, Mapping)
            command = settings.get("command") if is_mapping else settings
            for words in commands.parse(command) if command else ():
                if len(words) == 1 and words[0].endswith(ENDINGS) and (base / words[0]).is_file():
                    path = ("apps", app, "hooks", hook, *(("command",) if is_mapping else ()))
                    yield Fault(
                        path, f"is {words[0]}, a file beside the inventory and no command; {_remedy(hook, words[0])}"
                    )


def _remedy(hook: str, file: str) -> str:
    """What to write instead. No tasks can run in the hook `setup`."""
    written = f"{{tasks: {file}}}"
    return f"write {written}" if hook != "setup" else f"tasks cannot run in setup, so write before_prepare: {written}"
