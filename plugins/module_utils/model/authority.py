"""The authority that signs certificates: its settings, and what a host's program needs to know about its sites."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..contract import names
from . import acme, tools
from .managers import Init
from .types import Certificate, Settings

DIRECTORY = "https://acme-v02.api.letsencrypt.org/directory"
"""Let's Encrypt."""


def credentials_file(plugin: str, value: Mapping[str, Any]) -> str:
    """The file in which the plugin finds its credentials."""
    content = {name: text for name, text in value.items() if name != acme.PROPAGATION}
    if plugin == "google":
        return json.dumps(content)
    if plugin == "route53":
        return "[default]\n" + "".join(f"{name} = {text}\n" for name, text in content.items())
    return "".join(f"dns_{name} = {quoted(str(text))}\n" for name, text in content.items())


def account_file(value: Mapping[str, Any]) -> str:
    """certbot's file with an external account binding."""
    return f"eab-kid = {value['kid']}\neab-hmac-key = {value['hmac_key']}\n"


def quoted(text: str) -> str:
    """A value as configobj reads it. It knows no escapes, so the quote must be one that the value lacks."""
    return next((f"{quote}{text}{quote}" for quote in ('"', "'", '"""') if quote not in text), text)


def wanted_plugins(certificates: Sequence[Certificate]) -> list[str]:
    """The DNS plugins of these certificates."""
    return sorted({one.dns for one in certificates if one.dns})


def program_settings(
    certificates: Sequence[Certificate],
    settings: Settings,
    init: Init,
    variables: Mapping[str, Any],
    propagation: Mapping[str, int],
) -> dict[str, Any]:
    """The settings of the host's program, none of them a secret.

    Args:
        certificates: of all sites.
        settings: of the host.
        init: which reloads nginx.
        variables: the inventory's.
        propagation: seconds that a site's plugin waits, by site.
    """
    return {
        "tls": names.TLS,
        "acme": names.ACME,
        "user": names.ACME_USER,
        "state": names.CERTIFICATES_STATE,
        "lock": names.WORK,
        "certbot": f"{tools.certbot_venv(wanted_plugins(certificates))}/bin/certbot",
        "nginx_test": ["/usr/sbin/nginx", "-t", "-q"],
        "nginx_reload": list(init.reload_nginx),
        "https_port": settings.nginx_https_port,
        "authority": {
            "directory": variables.get("acme_directory") or DIRECTORY,
            "email": variables.get("acme_email"),
            "profile": variables.get("acme_profile"),
            "eab": bool(variables.get("acme_eab")),
            "ca": names.ACME_CA if variables.get("acme_ca_file") else None,
        },
        "sites": [
            {
                "name": one.site,
                "domains": list(one.domains),
                "source": one.source,
                "plain": _included(names.plain_file(one.site)),
                "redirect": _included(names.redirect_file(one.site)),
                "dns": one.dns,
                "propagation": propagation.get(one.site),
            }
            for one in certificates
        ],
    }


def _included(path: str) -> str:
    """A file of nginx's as others include it: relative, so that a test of a copy of its folder reads that of the copy."""
    return os.path.relpath(path, os.path.dirname(names.NGINX_CONF_D))


def ca_file(value: str, base: Path) -> Path:
    """The file of the controller that `acme_ca_file` names."""
    return base / Path(value).expanduser()
