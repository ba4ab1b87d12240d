"""Which package index and certificate authorities the hosts use: the inventory's, else the controller's own."""

from __future__ import annotations

import configparser
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

PIP_FILES = ("/etc/xdg/pip/pip.conf", "/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")
"""pip's configuration files, the later winning (pip's documentation, "Location")."""


@dataclass(frozen=True)
class Indexes:
    """Where packages come from."""

    url: str | None
    extra: tuple[str, ...]
    ca: str | None
    """A file on the controller."""


def find(
    variables: Mapping[str, Any], environment: Mapping[str, str], pip: Mapping[str, str], remote: bool = True
) -> Indexes:
    """The indexes for one host.

    `variables` are the inventory's, `environment` the controller's, `pip` the `[global]` section of its pip
    configuration. With `remote`, what only the controller can read (`file:` and localhost addresses) is left out.
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
    return Indexes(url=next(iter(usable([url] if url else [])), None), extra=usable(extra), ca=ca)


def pip_settings() -> dict[str, str]:
    """The `[global]` section of the controller's pip configuration."""
    parser = configparser.ConfigParser(interpolation=None)
    for path in (*PIP_FILES, os.environ.get("PIP_CONFIG_FILE", "")):
        try:
            parser.read(os.path.expanduser(path), encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue  # pip itself will complain
    return dict(parser["global"]) if parser.has_section("global") else {}
