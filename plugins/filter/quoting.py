"""Filters that write a value in the notation of the file it goes into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def python(value: Any) -> str:
    """A Python literal: `text` as `"text"` whatever it holds, lists and mappings of such."""
    if isinstance(value, str):
        # repr() prefers single quotes; a quote of the other kind in front makes it choose double ones.
        return '"' + repr("'" + str(value))[2:] if '"' not in value else repr(str(value))
    if isinstance(value, bool) or value is None or isinstance(value, int | float):
        return repr(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{python(key)}: {python(item)}" for key, item in value.items()) + "}"
    return "[" + ", ".join(python(item) for item in value) + "]"


def systemd(value: Any) -> str:
    """Text of a unit's setting, in which `%` starts a specifier (systemd.unit(5))."""
    return str(value).replace("%", "%%")


class FilterModule:
    """`slipway.kit.python`, `slipway.kit.systemd`."""

    def filters(self) -> dict[str, Callable[[Any], str]]:
        """The filters by name."""
        return {"python": python, "systemd": systemd}
