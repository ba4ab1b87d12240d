"""The one program of a host that keeps the certificates of all inventories."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.errors import HostError
from ansible_collections.slipway.kit.plugins.module_utils.host.system.certificates import Wanted, merged


def site(name: str, source: str = "self_signed", dns: str | None = None) -> dict[str, Any]:
    return {"name": name, "source": source, "dns": dns}


def settings(*sites: dict[str, Any], inventory: str = "one", port: int = 443) -> dict[str, Any]:
    return {"authority": inventory, "certbot": f"/opt/{inventory}", "https_port": port, "sites": list(sites)}


def test_the_sites_of_other_inventories_stay() -> None:
    before = settings(site("shop"), site("old"))
    after = merged(Wanted({}, settings(site("news"), inventory="two"), keep=["shop"]), before)
    assert [one["name"] for one in after["sites"]] == ["news", "shop"]
    assert (after["authority"], after["kept"]) == ("two", [])
    # The other inventory writes the same, so that no deploy changes anything.
    again = merged(Wanted({}, settings(site("shop"), inventory="two"), keep=["news"]), after)
    assert again == after


def test_what_only_others_need_stays_theirs() -> None:
    before = settings(site("shop", "acme", "route53"), port=8443)
    for mine in ([], [site("news")]):
        after = merged(Wanted({}, settings(*mine, inventory="two"), keep=["shop"]), before)
        assert (after["authority"], after["certbot"]) == ("one", "/opt/one")
        assert after["https_port"] == (443 if mine else 8443)
    after = merged(Wanted({}, settings(site("news", "acme"), inventory="two"), keep=["shop"]), before)
    assert (after["authority"], after["certbot"]) == ("two", "/opt/one")
    wanted = Wanted({}, settings(site("news", "acme", "cloudflare"), inventory="two"), keep=["shop"])
    with pytest.raises(HostError, match="need the DNS plugin route53, and those of this one cloudflare"):
        merged(wanted, before)


def test_a_certificate_whose_settings_were_lost_is_kept() -> None:
    """An older kit's deploy of another inventory overwrote them."""
    after = merged(Wanted({}, settings(site("news")), keep=["shop"]), settings(site("news")))
    assert ([one["name"] for one in after["sites"]], after["kept"]) == (["news"], ["shop"])
    assert merged(Wanted({}, settings(site("news"))), {})["kept"] == []
