"""The kinds of sources, registered once: which keys each needs, and which only some of them have.

`sources/kinds.py` has the function that fetches each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Kind:
    """A kind of source. It has all keys that all kinds have, and these."""

    needs: Mapping[str, str]
    """Keys that must stand beside it, and what each says."""
    allowed: frozenset[str]
    """Keys of LIMITED that it has."""


LIMITED: Mapping[str, str] = {
    "sha256": "`sha256` goes with `archive` only",
    "include": "`include` goes with `path` only: the others hold what they hold; commit what is missing, or put it in",
    "build": "`build` goes with path, git and archive: a package brings no source; use the app's own `build`",
    "folder": "`folder` goes with path, git and archive: a package has no folders",
}
"""Keys that not every kind has, and what to say where one stands beside another kind."""

KINDS: Mapping[str, Kind] = {
    "path": Kind(needs={}, allowed=frozenset({"include", "build", "folder"})),
    "git": Kind(
        needs={"version": "needs `version` beside `git`: the branch, tag or commit to deploy"},
        allowed=frozenset({"build", "folder"}),
    ),
    "archive": Kind(needs={}, allowed=frozenset({"sha256", "build", "folder"})),
    "package": Kind(needs={}, allowed=frozenset()),
}


def fault(name: str, source: Mapping[str, Any]) -> str | None:
    """What is wrong with the keys beside a kind; None when nothing is."""
    kind = KINDS[name]
    for key, message in kind.needs.items():
        if key not in source:
            return message
    return next((text for key, text in LIMITED.items() if key in source and key not in kind.allowed), None)
