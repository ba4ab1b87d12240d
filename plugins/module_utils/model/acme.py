"""What is right and wrong in the keys about an authority (ACME, RFC 8555)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from . import dns_plugins, tools

PROPAGATION = "propagation_seconds"
"""The name among a plugin's credentials that is an option of certbot's."""


def email(value: str) -> str | None:
    """Checks the key `acme_email`."""
    fits = re.fullmatch(r"[^\s@,=]{1,64}@[^\s@,=]{1,190}", value)
    return None if fits else "must be one e-mail address, such as ops@example.com"


def directory(value: str) -> str | None:
    """Checks the key `acme_directory`."""
    fits = re.fullmatch(r"https://[A-Za-z0-9.:\[\]-]+(/[^\s\"'\\]*)?", value)
    return None if fits else "must be the https address of a directory (RFC 8555)"


def profile(value: str) -> str | None:
    """Checks the key `acme_profile`."""
    return None if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}", value) else "must be one word"


def word(value: str) -> str | None:
    """Checks one part of the key `acme_eab`."""
    return None if re.fullmatch(r"[\x21-\x7e]{1,500}", value) else "must be one word, as the authority gave it to you"


def hmac_key(value: str) -> str | None:
    """Checks the key of `acme_eab`. certbot would leave out other letters, and sign with another key."""
    fits = re.fullmatch(r"[A-Za-z0-9_-]{1,500}={0,2}", value) and len(value.rstrip("=")) % 4 != 1
    return None if fits else "must be base64url text as the authority gave it: letters, digits, - and _"


def algorithm(value: str) -> str | None:
    """Checks the algorithm of `acme_eab`: certbot signs with HS256."""
    return (
        None if value == "HS256" else "must be HS256, the standard; leave it out, or ask the authority for such a key"
    )


def credentials(plugin: str, value: Mapping[str, Any]) -> str | None:
    """What is wrong with a plugin's credentials: the rest of the sentence."""
    for name, content in value.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(name)):
            return f"has the name {name!s}; a name consists of letters, digits and _"
        if name == PROPAGATION and not re.fullmatch(r"[0-9]{1,4}", str(content)):
            return f"has a {PROPAGATION} that is no number of seconds"
        if plugin != "google" and re.search(r"[\x00-\x1f\x7f]", str(content)):
            return f"has a {name} of several lines; it must be one"
    return dns_plugins.fault(plugin, {name: content for name, content in value.items() if name != PROPAGATION})


def plugin(value: str) -> str | None:
    """Checks the name of a DNS plugin."""
    if value.startswith(("dns-", "certbot-dns-")):
        return f"must be without the prefix; write {value.rpartition('dns-')[2]}"
    if value not in tools.CERTBOT_DNS:
        return f"must be a DNS plugin of certbot itself: {', '.join(tools.CERTBOT_DNS)}"
    return None
