"""Filters that write a value in the syntax of its file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any


def python(value: Any) -> str:
    """Write text, a number, a list or a mapping as a Python literal, text in double quotes where possible."""
    if isinstance(value, str):
        # repr() prefers single quotes. A single quote in front makes it choose double ones.
        return '"' + repr("'" + str(value))[2:] if '"' not in value else repr(str(value))
    if isinstance(value, bool) or value is None or isinstance(value, int | float):
        return repr(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{python(key)}: {python(item)}" for key, item in value.items()) + "}"
    return "[" + ", ".join(python(item) for item in value) + "]"


def systemd(value: Any) -> str:
    """Escape the text of a unit's setting, where `%` starts a specifier (systemd.unit(5))."""
    return str(value).replace("%", "%%")


def nginx(value: Any) -> str:
    """Quote text for nginx. It would still read a variable in it, so no text here may contain `$`."""
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def systemd_command(words: Sequence[str]) -> str:
    """Write the words of a command for `ExecStart`, where `%` and `$` have a meaning (systemd.service(5))."""
    return " ".join('"' + re.sub(r'([\\\\"])', r"\\\1", systemd(word)).replace("$", "$$") + '"' for word in words)


def supervisor_command(words: Sequence[str]) -> str:
    """Write the words of a command for supervisor: quoted as for a shell, `%` doubled.

    A `;` or `#` behind a space begins a comment there, also inside quotes. So such a letter is quoted by itself.
    """
    quoted = (re.sub(r"(\s)([;#])", r"""\1'"\2"'""", shlex.quote(word)) for word in words)
    return " ".join(quoted).replace("%", "%%")


class FilterModule:
    """`slipway.kit.python`, `slipway.kit.systemd`, `slipway.kit.nginx`, and commands for systemd and supervisor."""

    def filters(self) -> dict[str, Callable[[Any], str]]:
        """Return the filters by name."""
        return {
            "python": python,
            "systemd": systemd,
            "systemd_command": systemd_command,
            "supervisor_command": supervisor_command,
            "nginx": nginx,
        }
