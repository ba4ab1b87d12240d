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
