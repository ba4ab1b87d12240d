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

_CUT = re.compile(re.escape(CUT).replace(re.escape("{}"), r"\d+"))


class Masking:
    """The secrets of one release, known by the names of their variables; and others, with the name of where they stand."""

    def __init__(self, path: str, names: Sequence[str], others: Mapping[str, str] | None = None) -> None:
        values = (atomic.read_json(os.path.join(path, "environment.json")) or {}) if names else {}
        forms = dict(ordered({name: str(values.get(name, "")) for name in names}))
        forms |= {value: name for value, name in (others or {}).items() if value}
        self._forms = sorted(forms.items(), key=lambda pair: len(pair[0]), reverse=True)

    def __call__(self, text: str) -> str:
        """The text without them."""
        for form, name in self._forms:
            text = text.replace(form, f"${name}")
        for cut in reversed(list(_CUT.finditer(text))):
            text = self._ending(text[: cut.start()]) + cut[0] + self._beginning(text[cut.end() :])
        return text

    def _ending(self, text: str) -> str:
        """Without the beginning of a secret at its end: its rest was left out. A letter may have been cut, too."""
        end = text.rstrip("\ufffd")
        for form, name in self._forms:
            for length in range(min(len(form), len(end)), SHORTEST_SECRET - 1, -1):
                if end.endswith(form[:length]):
                    return f"{end[:-length]}${name}"
        return text

    def _beginning(self, text: str) -> str:
        """Without the end of a secret at its beginning."""
        begin = text.lstrip("\ufffd")
        for form, name in self._forms:
            for length in range(min(len(form), len(begin)), SHORTEST_SECRET - 1, -1):
                if begin.startswith(form[-length:]):
                    return f"${name}{begin[length:]}"
        return text
