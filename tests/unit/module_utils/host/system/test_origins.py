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


def test_the_settings_that_an_inventory_applied_are_kept_beside_its_apps(tmp_path: Path) -> None:
    path = str(tmp_path / "inventories.json")
    origins.apply("production", {"a": "1"}, path)
    assert origins.applied(path) == {}  # it has no app
    origins.note(["shop"], "production", path)
    origins.note(["blog"], "staging", path)
    origins.apply("production", {"a": "1", "b": "1", "c": ""}, path)
    origins.apply("staging", {"a": "1"}, path)
    assert origins.applied(path) == {"production": {"a": "1", "b": "1"}, "staging": {"a": "1"}}
    assert origins.known(path) == {"shop": "production", "blog": "staging"}
    origins.apply("staging", {"a": "2", "b": ""}, path)  # takes the host over
    assert origins.applied(path) == {"production": {"b": "1"}, "staging": {"a": "2"}}
    origins.apply("", {"a": "3"}, path)
    assert origins.applied(path) == {"production": {"b": "1"}}
    origins.claim(["wiki"], "staging", path)
    origins.forget("shop", path)
    assert origins.applied(path) == {}


def test_an_older_or_strange_record_has_no_settings(tmp_path: Path) -> None:
    path = tmp_path / "inventories.json"
    for applied in ("[]", '{"staging": 1}', '{"staging": {"a": 1}}', "null"):
        path.write_text(f'{{"shop": "production", "{origins.APPLIED}": {applied}}}')
        assert not any(origins.applied(str(path)).values())
        assert origins.known(str(path)) == {"shop": "production"}
    path.write_text('{"shop": "production"}')
    assert origins.applied(str(path)) == {}
