"""The program that opens folders to nginx runs as the app's user: its answer is untrusted."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.errors import HostError
from ansible_collections.slipway.kit.plugins.module_utils.host.build.writable import LONGEST, _Answer, visible


@pytest.mark.parametrize("line", ["", "[]", "7", "{", "[" * 9999, '"text"', '{"fault": "' + "x" * LONGEST + '"}'])
def test_what_is_no_answer_is_refused(line: str) -> None:
    with pytest.raises(HostError, match="what it never says"):
        _Answer.read(line)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("{}", _Answer()),
        ('{"plain": true}', _Answer(plain=True)),
        ('{"plain": "yes", "foreign": "many"}', _Answer()),
        ('{"foreign": 3}', _Answer(foreign=3)),
        ('{"foreign": -3}', _Answer()),
        ('{"fault": "no\\u001b[31m\\nroom"}', _Answer(fault="no [31m room")),
    ],
)
def test_an_answer_is_taken_by_its_types(line: str, answer: _Answer) -> None:
    assert _Answer.read(line) == answer


def test_a_strangers_text_is_short() -> None:
    assert len(visible("x" * 9999)) == 500
