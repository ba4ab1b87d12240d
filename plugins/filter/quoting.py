"""Filters that write a value in the syntax of its file."""

from __future__ import annotations

from collections.abc import Callable
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


class FilterModule:
    """`slipway.kit.python`, `slipway.kit.systemd`, `slipway.kit.nginx`."""

    def filters(self) -> dict[str, Callable[[Any], str]]:
        """Return the filters by name."""
        return {"python": python, "systemd": systemd, "nginx": nginx}
