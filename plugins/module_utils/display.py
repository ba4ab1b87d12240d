"""The field of a result that says how the callback `concise` shows it.

The callback reads it only from the kit's own actions. The result of another module comes from a host, which must not hide
anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

FIELD = "slipway_display"
"""The field's name. Its value is a mapping with `show`, `held_back`, or both."""

CALLBACK = "slipway.kit.concise"
"""The name by which ansible.cfg chooses the callback."""

Show = Literal["text", "only", "nothing"]
"""How `msg` is shown.

- `text`: as plain text, as `debug` does. Also that of a failed task, whose reasons were already printed.
- `only`: as plain text. The run prints nothing else, no heading and no table.
- `nothing`: not at all, since it was already printed.
"""


def as_(show: Show) -> dict[str, Any]:
    """Return the fields for a result, which shows its `msg` in one of the three ways.

    The second field is ansible-core's: by it other callbacks show the result, too, as that of `debug`.
    """
    return {FIELD: {"show": show}, "_ansible_verbose_always": show != "nothing"}


def hold_back(result: dict[str, Any], reasons: Sequence[str]) -> None:
    """Add the reasons for the apps that a successful task held back."""
    result[FIELD] = {**result.get(FIELD, {}), "held_back": list(reasons)}
