"""The settings that all inventories of a host share, and what nginx listens on for other inventories."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.facts import ListenFacts
from ansible_collections.slipway.kit.plugins.module_utils.model import (
    artefacts,
    hardening,
    layout,
    resolve,
    schema,
    settings,
    shared,
    sites,
)
from ansible_collections.slipway.kit.plugins.module_utils.model.types import Host

SHOP = {"module": "a:b", "source": {"path": "x"}, "domains": ["shop.test"]}
THEIRS = layout.site_file("news.test")
HOST = replace(
    Host.assumed(nginx_http3=True),
    listening={THEIRS: (ListenFacts(8080, tls=False, quic=False), ListenFacts(8443, tls=True, quic=True))},
)
ON_HOST = {THEIRS: ["news"]}


def deployed(entry: dict[str, Any], **variables: Any) -> dict[str, str]:
    known = {"apps": {"shop": entry}, **variables}
    host = Host.assumed()
    files = {"package_ca_file": "a", "acme_ca_file": "b"} if "acme_email" in variables else {}
    return shared.deployed(settings.settings(known, host), resolve.resolve_all(known, host), known, files)


def test_a_setting_counts_where_an_app_needs_it() -> None:
    plain = deployed(SHOP, nginx_trusted_proxies=["192.0.2.2", "192.0.2.1"], nginx_max_header_size="32K")
    assert plain["nginx_trusted_proxies"] == '["192.0.2.1", "192.0.2.2"]'
    assert (plain["nginx_max_header_size"], plain["nginx_worker_connections"]) == ("32768", "4096")
    assert plain["tls_policy"] == plain["acme_email"] == shared.NOT_USED
    encrypted = deployed({**SHOP, "tls": "self_signed"}, tls_policy="modern")
    assert (encrypted["tls_policy"], encrypted["nginx_https_port"]) == ('"modern"', "443")
    assert encrypted["acme_directory"] == shared.NOT_USED
    eab = {"kid": "kid-1", "hmac_key": "c2VjcmV0"}
    asking = deployed({**SHOP, "tls": "acme"}, acme_email="ops@example.com", acme_eab=eab)
    assert (asking["acme_email"], asking["acme_profile"]) == ('"ops@example.com"', "null")
    assert asking["acme_eab"] == '"kid-1"'
    assert (asking["package_ca_file"], asking["acme_ca_file"]) == ('"a"', '"b"')
    assert plain["package_ca_file"] == shared.NOT_USED
    for entry in ({"state": "absent"}, {"source": {"path": "x"}, "processes": {"w": {"command": "true"}}}):
        assert set(deployed(entry).values()) == {shared.NOT_USED}


def test_all_of_them_are_settings_of_the_inventory() -> None:
    names = {*deployed(SHOP), *shared.hardened(settings.settings({}, Host.assumed()))}
    assert names <= set(schema.table(schema.SETTINGS))


def test_the_firewall_and_the_bans_keep_the_ports_of_other_inventories() -> None:
    known = {"apps": {"shop": SHOP}, "firewall_ports": [5432]}
    host_settings, apps = settings.settings(known, HOST), resolve.resolve_all(known, HOST)
    others = sites.elsewhere(HOST, ON_HOST, ["shop"])
    rules = hardening.firewall(host_settings, apps, [22], others)[1]["vars"]["firewall"]
    assert (rules["ports"], rules["quic"]) == ([22, 80, 5432, 8080, 8443], [8443])
    assert hardening.fail2ban(host_settings, HOST, apps, others)[1]["vars"]["fail2ban"]["more_ports"] == [8080, 8443]
    # A site whose apps are all of this inventory is none of another one.
    assert sites.elsewhere(HOST, ON_HOST, ["shop", "news"]) == []


@pytest.mark.parametrize(("port", "expected"), [(80, [80, 8080, 8443]), (8080, [8080, 8443])])
def test_the_default_server_refuses_names_on_the_ports_of_other_inventories_too(port: int, expected: list[int]) -> None:
    known = {"apps": {"shop": SHOP}, "nginx_http_port": port}
    host_settings, apps = settings.settings(known, HOST), resolve.resolve_all(known, HOST)
    [refuse] = [
        one
        for one in artefacts.nginx_sites(host_settings, HOST, apps, ON_HOST)
        if one["dest"] == artefacts.NGINX_REFUSE
    ]
    listeners = refuse["vars"]["listeners"]
    assert sorted({one["port"] for one in listeners}) == expected
    assert (
        {one["port"] for one in listeners if one["tls"]} == {8443} == {one["port"] for one in listeners if one["quic"]}
    )
    assert all(one["default"] for one in listeners)
