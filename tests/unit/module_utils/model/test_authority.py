"""What the host's program and certbot are given of an authority's settings."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.lookup import resolved as lookup
from ansible_collections.slipway.kit.plugins.module_utils.model import (
    authority,
    resolve,
    settings,
    sites,
    tools,
    validation,
)
from ansible_collections.slipway.kit.plugins.module_utils.model.types import Host
from ansible_collections.slipway.kit.plugins.module_utils.programs.certificates.settings import load

SECRET = "c2VjcmV0"
UPDATE = {"rfc2136_server": "192.0.2.53", "rfc2136_name": "shop.", "rfc2136_secret": SECRET}
VARIABLES: dict[str, Any] = {
    "apps": {
        "shop": {"module": "a:b", "source": {"path": "/x"}, "domains": ["shop.test"], "tls": "acme"},
        "wild": {
            "module": "a:b", "source": {"path": "/x"}, "domains": ["*.wild.test"],
            "tls": {"acme": {"dns": "rfc2136", "credentials": {**UPDATE, "propagation_seconds": 5}}},
        },
        "plain": {"module": "a:b", "source": {"path": "/x"}, "domains": ["plain.test"]},
    },
    "acme_eab": {"kid": "kid-1", "hmac_key": SECRET},
    "acme_ca_file": "ca.pem",
}  # fmt: skip


def program_settings() -> dict[str, Any]:
    assert validation.validate(VARIABLES) == []
    host = Host.assumed()
    certificates = sites.certificates(resolve.resolve_all(VARIABLES, host))
    return authority.program_settings(
        certificates, settings.settings(VARIABLES, host), host.init, VARIABLES, {"_.wild.test": 5}
    )


def test_the_program_reads_the_settings_that_the_controller_writes(tmp_path: Any) -> None:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(program_settings()))
    known = load(str(path))
    assert list(known.sites) == ["shop.test", "_.wild.test"]
    assert asdict(known.sites["_.wild.test"]) == {
        "name": "_.wild.test", "domains": ("*.wild.test",), "source": "acme", "dns": "rfc2136", "propagation": 5,
        "plain": "slipway/sites/_.wild.test.plain.conf", "redirect": "slipway/sites/_.wild.test.redirect.conf",
    }  # fmt: skip
    assert known.authority.directory == authority.DIRECTORY
    assert known.authority.ca == "/etc/slipway/acme-ca.pem"
    assert known.certbot == f"/opt/slipway/certbot-{tools.CERTBOT}-rfc2136/bin/certbot"


def test_the_settings_hold_no_secret() -> None:
    assert SECRET not in json.dumps(program_settings())
    assert validation.secret(("acme_eab", "hmac_key"))


@pytest.mark.parametrize(
    ("plugin", "text"),
    [
        ("rfc2136", 'dns_rfc2136_name = "a;b #c"\n'),
        ("route53", "[default]\nrfc2136_name = a;b #c\n"),
        ("google", '{"rfc2136_name": "a;b #c"}'),
    ],
)
def test_each_plugin_finds_its_credentials(plugin: str, text: str) -> None:
    given = {"rfc2136_name": "a;b #c", "propagation_seconds": 5}
    assert authority.credentials_file(plugin, given) == text


@pytest.mark.parametrize("name", tools.CERTBOT_DNS)
def test_every_plugin_has_a_lock_of_what_it_adds(name: str) -> None:
    text = lookup.lock(f"certbot-dns-{name}")
    assert f"certbot-dns-{name}=={tools.CERTBOT} " in text
    assert "\ncryptography==" not in text
    assert f"certbot=={tools.CERTBOT} " in lookup.lock("certbot")
