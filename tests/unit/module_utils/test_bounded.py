"""JSON of untrusted programs: what is too long, too deep or too large is no JSON."""

from __future__ import annotations

import json
from typing import NoReturn

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract import bounded


def test_a_short_text_is_read() -> None:
    assert bounded.loads('{"a": [1]}', 10) == {"a": [1]}


@pytest.mark.parametrize("text", ["[1, 2, 3, 4, 5]", "[" * 9, "", "nothing", '"a'])
def test_any_other_text_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        bounded.loads(text, 10)


@pytest.mark.parametrize("error", [MemoryError, RecursionError])
def test_a_value_that_takes_too_much_is_a_value_error(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def fail(text: str) -> NoReturn:
        raise error

    monkeypatch.setattr(json, "loads", fail)
    with pytest.raises(ValueError, match=r"it is nested too deeply|its value takes too much memory"):
        bounded.loads("[]", 10)
