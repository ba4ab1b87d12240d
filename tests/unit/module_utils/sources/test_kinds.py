"""The kinds of sources that the model accepts are those that can be fetched."""

from __future__ import annotations

from ansible_collections.slipway.kit.plugins.module_utils.model import schema, source_kinds
from ansible_collections.slipway.kit.plugins.module_utils.sources import kinds


def test_each_kind_has_a_key_its_rules_and_a_function() -> None:
    keys = {key.name for key in schema.SOURCE}
    assert list(kinds.KINDS) == list(source_kinds.KINDS)
    assert set(kinds.KINDS) <= keys


def test_the_rules_name_keys_of_sources() -> None:
    keys = {key.name for key in schema.SOURCE}
    assert set(source_kinds.LIMITED) <= keys
    for kind in source_kinds.KINDS.values():
        assert kind.allowed <= set(source_kinds.LIMITED)
        assert set(kind.needs) <= keys
