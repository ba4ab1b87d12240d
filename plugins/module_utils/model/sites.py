"""nginx's servers on a host, and the sites that must not lose a request to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from . import layout
from .types import App, Host, Listener, ModelError, Settings, Site


def listeners(port: int, host: Host) -> tuple[Listener, ...]:
    """Where nginx listens on a host for plain HTTP."""
    addresses = ("", "[::]") if host.ipv6 else ("",)
    return tuple(Listener(address=address, port=port, tls=False) for address in addresses)


def default(listeners: Iterable[Listener]) -> tuple[Listener, ...]:
    """The same for the site that gets what names no other one."""
    return tuple(replace(one, default=True) for one in listeners)


def in_nginx(apps: Iterable[App]) -> list[App]:
    """The apps as nginx is to know them: one of processes alone is absent."""
    return [app if app.module else replace(app, state="absent") for app in apps]


def sites(apps: Sequence[App]) -> list[Site]:
    """The nginx servers of the present apps: one for each set of domains that serves the same apps."""
    by_domain: dict[str, list[App]] = {}
    for app in in_nginx(apps):
        if app.state == "present":
            for domain in app.domains or ("",):
                by_domain.setdefault(domain, []).append(app)
    groups: dict[tuple[str, ...], list[str]] = {}
    for domain, members in by_domain.items():
        groups.setdefault((domain and "named", *sorted(app.name for app in members)), []).append(domain)
    made = []
    for domains in groups.values():
        members = sorted(by_domain[domains[0]], key=lambda app: app.mount)
        nameless = domains == [""]
        name = "default" if nameless else domains[0].replace("*", "_")
        at = members[0].listeners
        made.append(
            Site(
                name=name,
                domains=() if nameless else tuple(domains),
                listeners=default(at) if nameless else at,
                apps=tuple(members),
                file=layout.site_file(name),
            )
        )
    return made


def spare_other_sites(apps: Sequence[App], settings: Settings, host: Host) -> None:
    """Ensure that no site that this host's nginx already serves loses requests.

    Raises:
        ModelError: one would get none any more.
    """
    present = [app for app in in_nginx(apps) if app.state == "present"]
    unnamed = [app.name for app in present if not app.domains]
    if unnamed and host.default_server:
        raise ModelError(
            f"apps.{unnamed[0]} names no domain, but this host's nginx has a default site on port "
            f"{settings.nginx_http_port} already ({host.default_server}); give the app `domains` or set nginx_http_port"
        )
    if present and host.nameless_server:
        raise ModelError(
            f"This host's nginx serves {host.nameless_server} on port {settings.nginx_http_port} under every name, since that "
            "file comes first. Beside the apps it would get no request. Give it a `server_name`, or write `default_server` "
            "behind its `listen` to keep it so, or set nginx_http_port for the apps"
        )


def obstacle(apps: Iterable[App], settings: Settings, host: Host) -> str:
    """What on this host has to be corrected before anything is built for `apps`; empty when there is nothing."""
    if host.port_taken and any(app.state == "present" for app in in_nginx(apps)):
        return (
            f"Port {settings.nginx_http_port} of this host is held by {host.port_taken}, and not by its nginx, so that no request would "
            "reach the apps. Stop that program, or set nginx_http_port to another port"
        )
    if host.drifted and settings.on_drift == "refuse":
        return (
            f"Somebody has changed files that Slipway wrote, and on_drift is refuse: {', '.join(host.drifted)}. Write what you want "
            "of it into the inventory, then deploy with -e on_drift=keep, which keeps a copy of each"
        )
    return ""
