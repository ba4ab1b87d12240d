"""What a one-off command's end is called."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.kit.plugins.action import command

END = {"milliseconds": 2040, "error": "", "timed_out": False, "status": 0}


@pytest.mark.parametrize(
    ("end", "limit", "words"),
    [
        ({}, "1h", "the command ended after 2.0 s with exit status 0"),
        ({"status": 137}, "1h", "the command ended after 2.0 s with exit status 137: signal 9"),
        ({"error": "no such file"}, "1h", "the command could not be run: no such file"),
        ({"timed_out": True}, "2", "killed after 2.0 s, since its time limit of 2 s was over"),
        ({"timed_out": True}, "10m", "since its time limit of 10m was over; give it more with -e time_limit=…"),
    ],
)
def test_how_a_command_ended(end: dict[str, object], limit: str, words: str) -> None:
    assert words in command.outcome({**END, **end}, limit)
