"""Puts `$NAME` for an app's secrets in reports about it, as the import probe does.

Exceptions and logs quote what an app was given, such as the password in a database's URL. Reports are shown in terminals,
CI logs and the journal. The kit does not change what the app itself writes into its log.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from ...contract.masking import ordered
from ...contract.names import SHORTEST_SECRET
from ..base import atomic
from .running import CUT

_CUT = re.compile("(" + re.escape(CUT).replace(re.escape("{}"), r"\d+") + ")")
"""What stands for a part that was left out. An app can print the same, as often as it likes."""


class Masking:
    """The secrets of one release, known by the names of their variables; and others, with the name of where they stand."""

    def __init__(self, path: str, names: Sequence[str], others: Mapping[str, str] | None = None) -> None:
        values = (atomic.read_json(os.path.join(path, "environment.json")) or {}) if names else {}
        forms = dict(ordered({name: str(values.get(name, "")) for name in names}))
        forms |= {value: name for value, name in (others or {}).items() if value}
        self._forms = sorted(forms.items(), key=lambda pair: len(pair[0]), reverse=True)
        self._longest = max(map(len, forms), default=0)
        self._by_begin: dict[str, list[tuple[str, str]]] = {}
        self._by_end: dict[str, list[tuple[str, str]]] = {}
        for form, name in self._forms:
            if len(form) >= SHORTEST_SECRET:
                self._by_begin.setdefault(form[:SHORTEST_SECRET], []).append((form, name))
                self._by_end.setdefault(form[-SHORTEST_SECRET:], []).append((form, name))

    def __call__(self, text: str, cut: bool = False) -> str:
        """The text without them; `cut` says that something was left out at its end.

        The app decides what is in the text, so the work must not grow faster than the text. Each letter is looked at once for
        the halves of secrets, however many places there are where something seems to be left out.
        """
        for form, name in self._forms:
            text = text.replace(form, f"${name}")
        parts = _CUT.split(text)  # every second one is what stands for a part that was left out
        for index in range(0, len(parts), 2):
            if index:
                parts[index] = self._beginning(parts[index])
            if cut or index + 1 < len(parts):
                parts[index] = self._ending(parts[index])
        return "".join(parts)

    def _ending(self, text: str) -> str:
        """Without the beginning of a secret at its end: its rest was left out. A letter may have been cut, too."""
        end = text.rstrip("\ufffd")
        for at in range(max(0, len(end) - self._longest), len(end) - SHORTEST_SECRET + 1):
            for form, name in self._by_begin.get(end[at : at + SHORTEST_SECRET], ()):
                if form.startswith(end[at:]):
                    return f"{end[:at]}${name}"
        return text

    def _beginning(self, text: str) -> str:
        """Without the end of a secret at its beginning."""
        begin = text.lstrip("\ufffd")
        for to in range(min(len(begin), self._longest), SHORTEST_SECRET - 1, -1):
            for form, name in self._by_end.get(begin[to - SHORTEST_SECRET : to], ()):
                if form.endswith(begin[:to]):
                    return f"${name}{begin[to:]}"
        return text
