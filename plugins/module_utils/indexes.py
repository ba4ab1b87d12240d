"""Where hosts get packages and Python versions, and the authorities they trust: from the inventory, else the controller."""

from __future__ import annotations

import configparser
import functools
import os
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .contract.names import PIP_FILES


@dataclass(frozen=True)
class Indexes:
    """Where packages come from."""

    url: str | None
    extra: tuple[str, ...]
    ca: str | None
    """A file on the controller."""
    strategy: str | None = None
    """Which index a package comes from, in uv's words; None for its default."""
    secrets: tuple[str, ...] = ()
    """The parts of the addresses that no message may show."""
    python_mirror: str = ""
    """Where Python versions come from that the hosts lack; empty for uv's own server."""
    python_archives: Mapping[str, str] = field(default_factory=dict)
    """The addresses of the inventory's own Python builds, by version."""


def find(
    variables: Mapping[str, Any], environment: Mapping[str, str], pip: Mapping[str, str], remote: bool = True
) -> Indexes:
    """Find the indexes for one host.

    Args:
        variables: The inventory's variables.
        environment: The controller's environment.
        pip: The `[global]` section of the controller's pip configuration.
        remote: Whether to leave out addresses that only the controller can read (`file:` and localhost).
    """

    def first(*values: str | None) -> str | None:
        return next((value for value in values if value), None)

    def usable(urls: Iterable[str]) -> tuple[str, ...]:
        local = ("http://localhost", "http://127.", "https://localhost", "https://127.")
        return tuple(
            url for url in urls if url.startswith(("http://", "https://")) and not (remote and url.startswith(local))
        )

    url = variables.get("package_index_url") or first(
        environment.get("UV_DEFAULT_INDEX"),
        environment.get("UV_INDEX_URL"),
        environment.get("PIP_INDEX_URL"),
        pip.get("index-url"),
    )
    extra = variables.get("package_extra_index_urls")
    if extra is None:
        extra = (
            first(environment.get("UV_INDEX"), environment.get("PIP_EXTRA_INDEX_URL"), pip.get("extra-index-url")) or ""
        ).split()
    ca = variables.get("package_ca_file") or first(
        environment.get("SSL_CERT_FILE"), environment.get("PIP_CERT"), pip.get("cert")
    )
    credentials = variables.get("package_index_credentials") or {}
    urls = [entitled(one, credentials) for one in usable([url] if url else [])]
    more = [entitled(one, credentials) for one in usable(extra)]
    mirror = entitled(str(variables.get("python_mirror") or ""), credentials)
    archives = {
        version: entitled(str(archive["url"]), credentials)
        for version, archive in (variables.get("python_archives") or {}).items()
    }
    return Indexes(
        url=next(iter(urls), None),
        extra=tuple(more),
        ca=ca,
        strategy=variables.get("package_index_strategy") or environment.get("UV_INDEX_STRATEGY") or None,
        secrets=tuple(
            dict.fromkeys(secret for one in (*urls, *more, mirror, *archives.values()) for secret in passwords(one))
        ),
        python_mirror=mirror,
        python_archives=archives,
    )


def entitled(url: str, credentials: Mapping[str, Any]) -> str:
    """Add the user and password for its host to an address that has none."""
    parts = urllib.parse.urlsplit(url)
    known = credentials.get(parts.netloc) or credentials.get(parts.hostname or "")
    if not known or "@" in parts.netloc:
        return url
    user, _, password = str(known).partition(":")
    quoted = ":".join(urllib.parse.quote(word, safe="") for word in (user, password) if word)
    return urllib.parse.urlunsplit(parts._replace(netloc=f"{quoted}@{parts.netloc}"))


def passwords(url: str) -> list[str]:
    """List the password of an address, or its user name if that is a token: as written and unquoted."""
    user, _, password = urllib.parse.urlsplit(url).netloc.rpartition("@")[0].partition(":")
    word = password or user
    return [word, urllib.parse.unquote(word)] if word else []


@functools.cache
def pip_settings() -> dict[str, str]:
    """Read the `[global]` section of the controller's pip configuration, once for a run."""
    parser = configparser.ConfigParser(interpolation=None)
    for path in (*PIP_FILES, os.environ.get("PIP_CONFIG_FILE", "")):
        try:
            parser.read(os.path.expanduser(path), encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue  # pip itself will report it
    return dict(parser["global"]) if parser.has_section("global") else {}
