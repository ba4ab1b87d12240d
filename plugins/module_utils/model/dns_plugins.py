"""What certbot's own DNS plugins want to know. A test asks the plugins themselves (tests/real/test_dns_plugins.py)."""

from __future__ import annotations

import base64
import binascii
import difflib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Plugin:
    """The settings of a plugin, without its own name in front."""

    ways: tuple[tuple[str, ...], ...] = ()
    """The settings that it needs: one of these ways."""
    options: tuple[str, ...] = ()
    """The settings that it may have as well."""


PLUGINS: Mapping[str, Plugin] = {
    "cloudflare": Plugin((("api_token",), ("email", "api_key"))),
    "digitalocean": Plugin((("token",),)),
    "dnsimple": Plugin((("token",),)),
    "dnsmadeeasy": Plugin((("api_key", "secret_key"),)),
    "gehirn": Plugin((("api_token", "api_secret"),)),
    "linode": Plugin((("key",),)),
    "luadns": Plugin((("email", "token"),)),
    "nsone": Plugin((("api_key",),)),
    "ovh": Plugin((("endpoint", "application_key", "application_secret", "consumer_key"),)),
    "rfc2136": Plugin((("server", "name", "secret"),), ("port", "algorithm", "sign_query")),
    "sakuracloud": Plugin((("api_token", "api_secret"),)),
}
"""The plugins that read a file in certbot's own form. The files of `google` and `route53` are those of other programs."""
SERVICE_ACCOUNT = ("private_key", "client_email", "token_uri")
"""What the key of a service account needs for `google`."""
AWS = ("aws_access_key_id", "aws_secret_access_key")
"""What `route53` needs, both or, where the host has a role in AWS, none."""
ALGORITHMS = tuple(f"HMAC-{name}" for name in ("MD5", "SHA1", "SHA224", "SHA256", "SHA384", "SHA512"))


def fault(plugin: str, given: Mapping[str, Any]) -> str | None:
    """What is wrong with a plugin's credentials: the rest of a sentence. No value is in it, since most are secrets."""
    empty = [name for name, value in given.items() if value is None or str(value) == ""]
    if empty:
        return f"has an empty {empty[0]}; write its value"
    if plugin == "google":
        needed = SERVICE_ACCOUNT if given.get("type") == "service_account" else ("type",)
        return _lacking(plugin, given, needed)
    if plugin == "route53":
        return _lacking(plugin, given, AWS) if any(name in given for name in AWS) else None
    ways = [tuple(f"{plugin}_{name}" for name in way) for way in PLUGINS[plugin].ways]
    known = [name for way in ways for name in way] + [f"{plugin}_{name}" for name in PLUGINS[plugin].options]
    unknown = [str(name) for name in given if name not in known]
    if unknown:
        return _unknown(plugin, unknown[0], known)
    if not any(all(name in given for name in way) for way in ways):
        return _lacking(plugin, given, *ways)
    return _rfc2136(given) if plugin == "rfc2136" else None


def _unknown(plugin: str, name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    if name.removeprefix("dns_") in known:
        return f"has {name}, whose prefix the kit adds; write {name.removeprefix('dns_')}"
    return f"has {name}, which the plugin {plugin} does not know; write {near[0] if near else ', '.join(known)}"


def _lacking(plugin: str, given: Mapping[str, Any], *ways: tuple[str, ...]) -> str | None:
    """Which settings are missing in the way to which most belong."""
    begun = max(ways, key=lambda way: sum(name in given for name in way))
    lacking = [name for name in begun if name not in given]
    needed = ", or ".join(" and ".join(way) for way in ways)
    return f"lacks {' and '.join(lacking)}; the plugin {plugin} needs {needed}" if lacking else None


def _rfc2136(given: Mapping[str, Any]) -> str | None:
    """The values that the plugin refuses only on the host."""
    try:
        ipaddress.ip_address(str(given["rfc2136_server"]))
    except ValueError:
        return "has an rfc2136_server that is no address; the plugin takes no name of a host"
    if str(given.get("rfc2136_algorithm", ALGORITHMS[0])).upper() not in ALGORITHMS:
        return f"has an unknown rfc2136_algorithm; write one of {', '.join(ALGORITHMS)}"
    try:
        base64.b64decode("".join(str(given["rfc2136_secret"]).split()), validate=True)
    except (binascii.Error, ValueError):
        return "has an rfc2136_secret that is no base64 text; write the key as the name server's file has it"
    return None
