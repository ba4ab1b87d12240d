"""How messages spell a value of the inventory: as its user would write it in YAML, on one line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def as_yaml(value: Any) -> str:
    """`value` in YAML: `true`, `null`, `'text'`, `["a", 1]`. A text has quotes, so that a sentence can contain it."""
    if value is None or isinstance(value, bool | Mapping | list | tuple):
        return _as_json(value)
    if not isinstance(value, str):
        return str(value)
    text = str(value)
    # Within single quotes YAML knows no escapes.
    return f"'{text}'" if text.isprintable() and "'" not in text else _as_json(text)


def plain(value: Any) -> str:
    """The same, but a text as it is: for words that are a key's choices."""
    return value if isinstance(value, str) else as_yaml(value)


def _as_json(value: Any) -> str:
    """`value` in JSON, which YAML reads, too; letters of all languages stay."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)
