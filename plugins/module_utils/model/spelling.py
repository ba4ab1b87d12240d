"""How messages spell a value of the inventory: as its user would write it in YAML, on one line."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

SHORT = 3
"""Letters of a short word."""


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


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """`; did you mean X?` for the nearest of `known`, or a list of the known ones."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6) or [name for name in known if name.startswith(word)]
    return f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(sorted(known))}"


def is_slip(word: str, intended: str) -> bool:
    """Whether one slip of the hand leads from `intended` to `word`.

    That is a letter too many or too few, another letter, two letters in reverse order, or another case. In a word of three
    letters, another letter counts only if `intended` has it, too: otherwise it may well be a word by itself.
    """
    word, intended = word.lower(), intended.lower()
    if len(word) < len(intended):
        word, intended = intended, word
    if len(word) > len(intended):
        return any(word[:at] + word[at + 1 :] == intended for at in range(len(word)))
    differing = [at for at, letter in enumerate(word) if letter != intended[at]]
    if len(differing) < 2:
        return len(word) > SHORT or set(word) <= set(intended)
    first, *rest = differing
    return rest == [first + 1] and word[first] == intended[first + 1] and word[first + 1] == intended[first]


def _as_json(value: Any) -> str:
    """`value` in JSON, which YAML reads, too; letters of all languages stay."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)
