"""What a host remembers of whose its apps are."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.errors import HostError
from ansible_collections.slipway.kit.plugins.module_utils.host.system import origins


def test_an_app_stays_that_of_the_inventory_which_set_it_up(tmp_path: Path) -> None:
    path = str(tmp_path / "inventories.json")
    assert origins.known(path) == {}
    origins.claim(["shop", "blog"], "production", path)
    origins.claim(["shop"], "staging", path)
    assert origins.known(path) == {"shop": "production", "blog": "production"}
    origins.note(["shop"], "staging", path)
    origins.forget("blog", path)
    assert origins.known(path) == {"shop": "staging"}
    origins.claim(["shop"], "", path)
    assert origins.known(path) == {"shop": "staging"}
    with pytest.raises(
        HostError, match="belongs to inventories/staging, and this run reads an inventory that is in no folder"
    ):
        origins.check("shop", "", path)
    origins.note(["shop"], "", path)  # it has been taken over
    assert origins.known(path) == {}
    origins.check("shop", "", path)


@pytest.mark.parametrize("content", ["", "{", "[]", '"shop"', "[" * 100_000, "\udcff"])
def test_a_damaged_record_is_not_taken_for_an_empty_one(tmp_path: Path, content: str) -> None:
    """Another environment could take every app over."""
    path = tmp_path / "inventories.json"
    path.write_text(content, errors="surrogateescape")
    with pytest.raises(
        HostError,
        match=r"inventories[.]json is damaged \([^)]+.*It says which inventory each app of this host belongs to",
    ):
        origins.known(str(path))
    with pytest.raises(HostError):
        origins.claim(["shop"], "staging", str(path))
    assert path.read_text(errors="surrogateescape") == content
