"""Messages spell values as YAML does, and YAML reads them back."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.slipway.kit.plugins.module_utils.model import schema, validation
from ansible_collections.slipway.kit.plugins.module_utils.model.spelling import as_yaml, is_slip
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize("word", ["wroker", "worke", "workerr", "workre", "woker", "Worker", "vorker"])
def test_one_slip(word: str) -> None:
    assert is_slip(word, "worker")
    assert not is_slip(word, "workers2")


@pytest.mark.parametrize(
    ("word", "is_one"), [("aap", True), ("ap", True), ("appp", True), ("apt", False), ("map", False), ("apps", True)]
)
def test_a_slip_in_a_short_word(word: str, is_one: bool) -> None:
    assert is_slip(word, "app") == is_one


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (None, "null"),
        (1.5, "1.5"),
        ("a", "'a'"),
        ("it's", '"it\'s"'),
        ("a\nb", '"a\\nb"'),
        ("a\\b", "'a\\b'"),
        ([True, None, "a"], '[true, null, "a"]'),
        ({"a": False}, '{"a": false}'),
    ],
)
def test_values(value: Any, text: str) -> None:
    assert as_yaml(value) == text
    assert yaml.safe_load(text) == value


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x7f")))
def test_every_text(text: str) -> None:
    assert len(as_yaml(text).splitlines()) == 1
    if text.isprintable():
        assert yaml.safe_load(as_yaml(text)) == text


def test_no_message_has_a_spelling_of_python() -> None:
    """Every key with a value of a wrong type, and with an item of one."""
    entry = {"module": "shop:app", "source": {"path": "."}}
    for key in schema.APP:
        for wrong in (True, False, None, [True, None], {"a": None}, [[]], {"a": True}):
            for fault in validation.validate({"apps": {"shop": {**entry, key.name: wrong}}}):
                assert not {"True", "False", "None"} & set(str(fault).replace(";", " ").replace(",", " ").split()), (
                    fault
                )
