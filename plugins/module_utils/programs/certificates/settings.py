"""What the program reads about its host and its sites."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class Trouble(Exception):
    """What went wrong, as one sentence for an operator."""


@dataclass(frozen=True)
class Site:
    """A site of nginx and the source of its certificate."""

    name: str
    domains: tuple[str, ...]
    """Empty for the default site."""
    source: str
    """`provided`, `self_signed` or `acme`."""
    plain: str
    """nginx's file for port 80 that serves the app over http."""
    redirect: str
    """nginx's file for port 80 that redirects to https."""
    dns: str | None
    """certbot's DNS plugin; None for a challenge over http."""
    propagation: int | None
    """Seconds that the plugin waits for the name servers; None for the plugin's default."""


@dataclass(frozen=True)
class Authority:
    """The certificate authority and how the host presents itself."""

    directory: str
    email: str | None
    profile: str | None
    eab: bool
    """Whether `secrets/account.ini` holds an external account binding."""
    ca: str | None
    """A file with the authority that signed the directory's own certificate."""


@dataclass(frozen=True)
class Settings:
    """All of it."""

    tls: str
    """The folder of the installed certificates."""
    acme: str
    """The home of the user that runs certbot."""
    user: str
    state: str
    """The file that keeps the results of runs."""
    lock: str
    """Held while a certificate changes; every step of a deploy holds it, too."""
    certbot: str
    nginx_test: tuple[str, ...]
    nginx_reload: tuple[str, ...]
    https_port: int
    authority: Authority
    sites: Mapping[str, Site]
    kept: tuple[str, ...] = ()
    """The sites of other inventories: their certificates stay, also where their settings were lost."""

    def site(self, name: str) -> Site:
        """The site of that name.

        Raises:
            Trouble: no site has it.
        """
        if name not in self.sites:
            raise Trouble(f"this host has no site {name} with a certificate; it has {', '.join(self.sites) or 'none'}")
        return self.sites[name]


def load(path: str) -> Settings:
    """Read the settings, which the kit has written.

    Raises:
        Trouble: the file is missing or broken.
    """
    try:
        with open(path, encoding="utf-8") as handle:
            given: dict[str, Any] = json.load(handle)
        sites = [Site(**{**site, "domains": tuple(site["domains"])}) for site in given.pop("sites")]
        lists = {key: tuple(given.pop(key)) for key in ("nginx_test", "nginx_reload")}
        lists["kept"] = tuple(given.pop("kept", ()))  # an older kit wrote none
        return Settings(
            **{
                **given,
                **lists,
                "authority": Authority(**given["authority"]),
                "sites": {one.name: one for one in sites},
            }
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Trouble(f"{path} cannot be used ({error}); deploy again to write it") from error
