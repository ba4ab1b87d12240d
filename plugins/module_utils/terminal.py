"""Text of a stranger, made safe to print: what would steer the terminal is shown as text."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")

# C0 but tab and newline, DEL and C1; what turns the direction of writing; other ends of a line; halves of a character.
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""``text`` with each control character as an escape sequence in letters, such as ``\x1b``."""
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def deeply(value: T) -> T:
    """``value`` with every text in it made visible: in mappings (keys, too), lists and dataclasses."""
    made: Any = value
    if isinstance(value, str):
        made = visible(value)
    elif isinstance(value, Mapping):
        made = {deeply(key): deeply(item) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        made = type(value)(map(deeply, value))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field.name for field in dataclasses.fields(value) if field.init]
        made = dataclasses.replace(value, **{name: deeply(getattr(value, name)) for name in fields})
    return made
