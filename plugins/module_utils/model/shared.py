"""The settings that all inventories of a host share, since their files are the host's and no app's.

They are nginx's for all of its servers, the one program that keeps certificates, and what `harden.yml` sets up. A host remembers
which inventory applied which value (contract/origins.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from . import authority, sites
from .types import App, Settings

NOT_USED = ""
"""In place of a value: the inventory has no app to which the setting matters, so that any other value suits it."""


def deployed(
    settings: Settings, apps: Sequence[App], variables: Mapping[str, Any], authorities: Mapping[str, str]
) -> dict[str, str]:
    """What a deploy writes into files that all inventories of a host share: each setting with its value in JSON.

    Args:
        settings: the host's.
        apps: all apps of the inventory.
        variables: the inventory's.
        authorities: what tells the file of `package_ca_file` and of `acme_ca_file` from another one; empty without a file.
    """
    here = sites.present(apps)
    encrypted = any(app.tls for app in here)
    asking = any(one.source == "acme" for one in sites.certificates(apps))
    nginx = {
        "nginx_trusted_proxies": sorted(settings.nginx_trusted_proxies),
        "nginx_max_header_size": settings.nginx_max_header_size,
        "nginx_worker_connections": settings.nginx_worker_connections,
    }
    https = {
        "nginx_https_port": settings.nginx_https_port,
        "nginx_http3": settings.nginx_http3,
        "tls_policy": settings.tls_policy,
    }
    acme = {
        "acme_directory": variables.get("acme_directory") or authority.DIRECTORY,
        "acme_email": variables.get("acme_email"),
        "acme_profile": variables.get("acme_profile"),
        "acme_ca_file": authorities.get("acme_ca_file") or None,
        # Without the key, which is a secret.
        "acme_eab": (variables.get("acme_eab") or {}).get("kid"),
    }
    ca = authorities.get("package_ca_file")
    packages = _values({"package_ca_file": ca}, bool(ca))
    return {**packages, **_values(nginx, bool(here)), **_values(https, encrypted), **_values(acme, asking)}


def hardened(settings: Settings) -> dict[str, str]:
    """What `harden.yml` writes: each setting with its value in JSON."""
    values = {
        "firewall_ports": sorted(settings.firewall_ports),
        "firewall_extra": settings.firewall_extra,
        "ssh_passwords": settings.ssh_passwords,
        "updates_reboot": settings.updates_reboot,
        "fail2ban_ban_time": settings.fail2ban_ban_time,
        "fail2ban_ignore": sorted(settings.fail2ban_ignore),
    }
    return _values(values, True)


def _values(values: Mapping[str, Any], used: bool) -> dict[str, str]:
    return {name: json.dumps(value) if used else NOT_USED for name, value in values.items()}
