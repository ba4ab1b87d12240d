"""Makes untrusted text safe to print: characters that control a terminal, or show nothing, are shown as escape sequences."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")

_STEERING = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 except tab and newline, DEL and C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what changes the direction of writing
    "\u2028\u2029\ud800-\udfff"  # other line separators; surrogates
    # What shows nothing, and could make two names look alike. The joiners U+200C and U+200D belong to words and pictures.
    "\xad\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff"
    "]"
)


def visible(text: str) -> str:
    r"""Replace each such character by an escape sequence in letters, such as ``\x1b``."""
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
