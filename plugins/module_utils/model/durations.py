"""The durations of an app's entry, which a user may write in several forms, in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import checks, schema


def in_seconds(entry: Mapping[str, Any], keys: tuple[schema.Key, ...] = schema.APP) -> dict[str, Any]:
    """Return the entry with the seconds of each duration.

    What is no duration stays as it is: a template, or a fault that the validation names.

    Args:
        entry: a mapping with these keys.
        keys: those of an app, or of a mapping in its entry.
    """
    known = schema.table(keys)
    return {name: _seconds(value, known[name]) if name in known else value for name, value in entry.items()}


def _seconds(value: Any, key: schema.Key) -> Any:
    if schema.DURATION in key.type.split("|"):
        try:
            return checks.parse_duration(value)
        except ValueError:
            return value
    if not isinstance(value, Mapping):
        return value
    if key.entry:
        return {name: _seconds(item, key.entry) for name, item in value.items()}
    if key.type == "mappings":
        return {name: in_seconds(item, key.keys) if isinstance(item, Mapping) else item for name, item in value.items()}
    return in_seconds(value, key.keys)
