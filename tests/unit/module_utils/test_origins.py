"""Which environment an inventory is."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.slipway.kit.plugins.module_utils.contract import origins


def test_a_link_has_the_name_of_what_it_leads_to(tmp_path: Path) -> None:
    production = tmp_path / "inventories/production"
    production.mkdir(parents=True)
    for link in (tmp_path / "inventories/current", tmp_path / "elsewhere"):
        link.symlink_to(production)
        assert origins.name(str(link)) == "production"
    assert origins.name(f"{production}/") == "production"
    assert origins.name(str(tmp_path)) == ""


def test_all_apps_of_other_environments_are_named() -> None:
    owners = {"shop": "production", "blog": "staging", "wiki": "", "memo": "production"}
    why = origins.refusal(owners, "staging")
    assert "the app shop belongs to inventories/production and the app memo belongs to inventories/production" in why
    assert "blog" not in why and "wiki" not in why
    why = origins.refusal(owners, "")
    assert "this run reads an inventory that is in no folder inventories/." in why
    assert "If it is the same environment, deploy it from inventories/production and inventories/staging." in why
    assert origins.refusal({"wiki": ""}, "") == ""


def test_settings_that_differ_are_named_with_both_inventories() -> None:
    applied = {"production": {"proxies": '["192.0.2.1"]', "size": "16384"}, "staging": {"proxies": "[]"}}
    why = origins.difference(applied, {"proxies": "[]", "size": "16384", "unused": ""}, "staging", ["proxies"])
    assert 'proxies is ["192.0.2.1"] in inventories/production, and [] in inventories/staging.' in why
    assert "size" not in why
    assert "Write the same value of it in both." in why
    assert "add -e take_over=true to this run, which applies its value of inventories/staging" in why
    both = origins.difference(applied, {"proxies": "[]", "size": "8192"}, "", ["proxies"])
    assert (
        "one value of proxies and size" in both
        and "8192 by default in an inventory that is in no folder inventories/" in both
    )
    assert origins.difference(applied, {"proxies": ""}, "staging", []) == ""
    assert origins.difference({"staging": {"proxies": "[1]"}}, {"proxies": "[]"}, "staging", []) == ""
    assert origins.difference({"production": {}}, {"proxies": "[]"}, "staging", []) == ""


def test_an_inventory_without_an_app_on_the_host_does_not_count() -> None:
    applied = {"production": {"a": "1"}, "staging": {"a": "2"}, "gone": {"a": "3"}}
    owners = {"shop": "production", "blog": "staging"}
    assert origins.counting(applied, owners, ["shop"]) == {"production": {"a": "1"}}
