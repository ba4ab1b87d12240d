"""What `logs` prints while it follows."""

from __future__ import annotations

import json
from types import SimpleNamespace

from ansible_collections.slipway.kit.plugins.action import logs

ENTRY = {"at": 1795907440000, "source": "web", "release": "v1-00000001", "text": "Traceback\n  \x1b line"}


def printed(as_json: bool) -> list[tuple[str, bool]]:
    """The lines that are printed, and whether to stderr."""
    lines: list[tuple[str, bool]] = []
    display = SimpleNamespace(display=lambda text, stderr=False: lines.append((text, stderr)))
    action = SimpleNamespace(_display=display, _by=lambda: "192.0.2.7")
    logs.ActionModule._print(action, {"entries": [ENTRY], "left_out": 2}, "web1", as_json)
    return lines


def test_followed_entries_are_lines_of_json_for_programs() -> None:
    (note, aside), (line, in_line) = printed(as_json=True)
    assert "2 earlier entries are left out" in note and aside and not in_line
    assert json.loads(line) == {"host": "web1", **ENTRY} and "\n" not in line


def test_followed_entries_are_text_for_people() -> None:
    (note, aside), (text, _) = printed(as_json=False)
    assert "2 earlier entries are left out" in note and not aside
    assert text.endswith(" web1 web | Traceback\n    |   \x1b line")
