"""How untrusted text looks in a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import terminal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sh\u200bop", r"sh\u200bop"),
        ("\ufeffshop\xad", r"\ufeffshop\xad"),
        ("sh\U000e0073op", r"sh\U000e0073op"),
        ("sh\u3164op", r"sh\u3164op"),
        ("sh\u202eop", r"sh\u202eop"),
        ("\x1b[2J\tshop\n", "\\x1b[2J\tshop\n"),
    ],
)
def test_what_steers_a_terminal_or_shows_nothing_is_written_out(text: str, shown: str) -> None:
    assert terminal.visible(text) == shown


@pytest.mark.parametrize("text", ["naïve", "می\u200cشنوم", "👩\u200d🚀", "❤\ufe0f", "क्\u200dष", "a\xa0b"])
def test_words_and_pictures_stay_as_they_are(text: str) -> None:
    assert terminal.visible(text) == text


def test_of_the_format_characters_only_those_of_words_are_left() -> None:
    """Unicode's category of what has no shape: new ones may come with a new Python."""
    left = {
        character
        for character in map(chr, range(0x110000))
        if unicodedata.category(character) == "Cf" and terminal.visible(character) == character
    }
    arabic = {chr(code) for code in range(0x600, 0x606)} | {"\u06dd", "\u070f", "\u0890", "\u0891", "\u08e2"}
    assert {one for one in left if ord(one) < 0x10000} - arabic == {"\u200c", "\u200d"}
