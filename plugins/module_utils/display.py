"""The one field of a result by which the kit's actions tell the callback `concise` how to show it.

The callback reads it from the kit's own actions alone: another module's result is what a host says, and must not hide anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

FIELD = "slipway_display"
"""The field's name. Its value is a mapping with `show`, `held_back`, or both."""

Show = Literal["text", "only", "nothing"]
"""How `msg` is shown: `text` as plain text, as `debug` does; `only` as plain text and as all that the run prints, without a
heading and without the table; `nothing` not at all, since it was printed before."""


def as_(show: Show) -> dict[str, Mapping[str, Any]]:
    """The field for a result whose `msg` is shown in one of the three ways."""
    return {FIELD: {"show": show}}


def hold_back(result: dict[str, Any], reasons: Sequence[str]) -> None:
    """Add to the result of a task that went well but for some apps why each of these is held back."""
    result[FIELD] = {**result.get(FIELD, {}), "held_back": list(reasons)}
