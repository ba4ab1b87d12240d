"""Counted words, for one and for several."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import log_lines
from ansible_collections.slipway.kit.plugins.module_utils.contract.words import counted

PLUGINS = Path(__file__).parents[3] / "plugins"


@pytest.mark.parametrize(("number", "text"), [(0, "0 requests"), (1, "1 request"), (2, "2 requests")])
def test_a_counted_word(number: int, text: str) -> None:
    assert counted(number, "request") == text
    assert counted(number, "entry is", "entries are") == f"{number} {'entry is' if number == 1 else 'entries are'}"


def test_one_earlier_entry() -> None:
    (line,) = log_lines.left_out("web1", {"left_out": 1})
    assert line.startswith("web1: 1 earlier entry is left out;")


def test_an_app_without_a_line() -> None:
    nothing = {"entries": [], "deployed": False}
    assert log_lines.merged({"web1": nothing, "web2": nothing}) == ("no line: no host has a release of the app")
    assert log_lines.merged({"web1": nothing, "web2": {"entries": [], "deployed": True}}) == "no line"
    *notes, last = log_lines.merged({"web1": {**nothing, "deployed": True, "left_out": 3}}).splitlines()
    assert notes and last == "no line"


def test_no_module_of_the_kit_chooses_the_plural_by_itself() -> None:
    """All but the programs that run alone on a host."""
    by_hand = re.compile(r"'s' if |'es' if |else 's'|else 'es'|else \"s\"")
    for path in PLUGINS.rglob("*.py"):
        if "programs" not in path.parts:
            assert not by_hand.search(path.read_text(encoding="utf-8")), path
