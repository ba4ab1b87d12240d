"""Puts `$NAME` in the place of a secret's value, wherever a text quotes it: on the controller and on hosts alike."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from .names import SHORTEST_SECRET


def hide(text: str, secrets: Mapping[str, str]) -> str:
    """A text without the values of secrets, which are given by name."""
    for form, name in ordered(secrets):
        text = text.replace(form, f"${name}")
    return text


def ordered(secrets: Mapping[str, str]) -> list[tuple[str, str]]:
    """Every form of secrets' values with its name, the longest first: one may be a part of another."""
    names = {form: name for name, value in secrets.items() for form in forms(value) if len(form) >= SHORTEST_SECRET}
    return sorted(names.items(), key=lambda pair: len(pair[0]), reverse=True)


def forms(value: str) -> Iterator[str]:
    """A secret, whole and line by line, unchanged and as Python and JSON quote it."""
    for text in (value, value.strip(), *map(str.strip, value.splitlines())):
        yield from (text, repr(text)[1:-1], json.dumps(text)[1:-1])
        yield json.dumps(text, ensure_ascii=False)[1:-1]
