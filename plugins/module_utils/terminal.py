"""Makes untrusted text safe to print: control characters are shown as text."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")

# C0 except tab and newline, DEL and C1; marks that change the direction of writing; other line separators; surrogates.
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""Replace each control character by an escape sequence in letters, such as ``\x1b``."""
    return _STEERING.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def deeply(value: T) -> T:
    """Make every text in a value visible: in mappings (keys, too), lists and dataclasses."""
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
