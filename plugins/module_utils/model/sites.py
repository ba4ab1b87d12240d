"""nginx's servers on a host, and the sites that must not lose a request to them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from ..contract import names, origins
from . import layout
from .types import App, Certificate, Host, Listener, ModelError, Server, Settings, Site

OLDEST = (1, 19, 4)
"""The first nginx that can refuse an unknown name before it needs a certificate (ssl_reject_handshake)."""


def listeners(port: int, host: Host, tls: bool, http3: bool = False) -> tuple[Listener, ...]:
    """Where nginx listens on a host for plain http, or for https and, where it can, HTTP/3."""
    addresses = ("", "[::]") if host.ipv6 else ("",)
    # HTTP/3 needs a socket for each of nginx's workers, which only the default server can ask for.
    quic = http3 and host.nginx_http3 and not host.port(port).default_server
    return tuple(Listener(address=address, port=port, tls=tls, quic=quic) for address in addresses)


def elsewhere(host: Host, on_host: Mapping[str, Sequence[str]], known: Collection[str]) -> list[Listener]:
    """Where nginx listens for apps that the inventory does not have: one entry for each address and port.

    Args:
        host: the host.
        on_host: nginx's site files on the host, with the apps of each.
        known: the apps of the inventory.
    """
    serving = {one for path, apps in on_host.items() if set(apps) - set(known) for one in host.listening.get(path, ())}
    ports = {(one.port, one.tls): any(other.quic and other.port == one.port for other in serving) for one in serving}
    return [one for (port, tls), quic in sorted(ports.items()) for one in listeners(port, host, tls, quic)]


def default(listeners: Iterable[Listener]) -> tuple[Listener, ...]:
    """The same for the site that gets what names no other one."""
    return tuple(replace(one, default=True) for one in listeners)


def in_nginx(apps: Iterable[App]) -> list[App]:
    """The apps as nginx is to know them: one of processes alone is absent."""
    return [app if app.module else replace(app, state="absent") for app in apps]


def present(apps: Iterable[App]) -> list[App]:
    """The apps that nginx is to serve: those that are to be on the host, except apps of processes alone."""
    return [app for app in in_nginx(apps) if app.state == "present"]


def sites(apps: Sequence[App], held: Collection[str] = ()) -> list[Site]:
    """What nginx serves of the present apps: one site for each set of domains that serves the same apps.

    Args:
        apps: all apps. They decide which domains belong together, and so which certificates there are.
        held: those that a site does not get in this run. A site without any other app is left out.
    """
    by_domain: dict[str, list[App]] = {}
    for app in present(apps):
        for domain in app.domains or ("",):
            by_domain.setdefault(domain, []).append(app)
    groups: dict[tuple[str, ...], list[str]] = {}
    for domain, members in by_domain.items():
        groups.setdefault((domain and "named", *sorted(app.name for app in members)), []).append(domain)
    made = []
    for domains in groups.values():
        members = sorted(by_domain[domains[0]], key=lambda app: app.mount)
        going = tuple(app for app in members if app.name not in held)
        if going:
            made.append(_site(tuple(filter(None, domains)), going))
    return made


def _site(domains: tuple[str, ...], apps: tuple[App, ...]) -> Site:
    """The site of these domains; its apps are of one mind about it, which the validation ensures."""
    first = apps[0]
    tls = first.tls
    name = domains[0].replace("*", "_") if domains else "default"
    return Site(
        name=name,
        domains=domains,
        listeners=first.listeners if domains else default(first.listeners),
        https_listeners=first.https_listeners if domains else default(first.https_listeners),
        apps=apps,
        file=layout.site_file(name),
        certificate=Certificate(
            site=name,
            domains=domains,
            app=first.name,
            source=tls.source,
            dns=tls.dns,
            chain=tls.chain,
            key=tls.key,
            folder=names.certificate(name),
        )
        if tls
        else None,
        primary=first.primary,
    )


def servers(site: Site) -> list[Server]:
    """nginx's servers of a site."""
    front = site.https_listeners or site.listeners
    made = []
    if site.certificate:
        made.append(Server(site.listeners, site.domains, undecided=True))
    if site.served or not site.domains:
        made.append(Server(front, site.served))
    if site.primary and site.redirected:
        # Over plain http a load balancer may be in front, so the client's own scheme and port stay.
        plain = f"$slipway_scheme://{site.primary}$slipway_port"
        leads = front[0].url(site.primary, "") if site.certificate else plain
        made.append(Server(front, site.redirected, leads))
    return made


def certificates(apps: Sequence[App]) -> list[Certificate]:
    """The certificates that nginx needs for the present apps, one for each site with https."""
    return [site.certificate for site in sites(apps) if site.certificate]


def ports(apps: Iterable[App], settings: Settings) -> list[int]:
    """The TCP ports on which nginx serves the present apps: plain http always, https where an app has it."""
    https = any(app.https_listeners for app in present(apps))
    listening = (*settings.listeners, *(settings.https_listeners if https else ()))
    return list(dict.fromkeys(one.port for one in listening))


def spare_other_sites(apps: Sequence[App], settings: Settings, host: Host) -> None:
    """Ensure that no site that this host's nginx already serves loses requests.

    Raises:
        ModelError: one would get none any more.
    """
    here = present(apps)
    for number in ports(here, settings) if here else ():
        key = "nginx_https_port" if number == settings.nginx_https_port else "nginx_http_port"
        port = host.port(number)
        unnamed = [app.name for app in here if not app.domains and (app.tls or key == "nginx_http_port")]
        if unnamed and port.default_server:
            raise ModelError(
                f"apps.{unnamed[0]} names no domain, but this host's nginx has a default site on port "
                f"{number} already ({port.default_server}); give the app `domains` or set {key}"
            )
        if port.nameless_server:
            raise ModelError(
                f"This host's nginx serves {port.nameless_server} on port {number} under every name, since that "
                "file comes first. Beside the apps it would get no request. Give it a `server_name`, or write `default_server` "
                f"behind its `listen` to keep it so, or set {key} for the apps"
            )


def displaced(
    apps: Sequence[App], served: Mapping[str, Sequence[str]], theirs: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Which app of another inventory would lose its clients to a site of this one, and what to do; empty where none would.

    Args:
        apps: all apps of the inventory, those that it wants absent, too.
        served: the names under which the host's nginx serves apps, `_` for every other one, with the apps of each.
        theirs: the apps that another inventory is known to have deployed, each with its name.
    """
    known = {app.name for app in apps}
    for site in sites(apps):
        for domain in site.domains or ("_",):
            for other in served.get(domain, ()):
                if other not in known:
                    one = site.apps[0].name
                    clients = f"the clients of {domain}" if site.domains else "every client that names no other site"
                    owner = f" of {origins.FOLDER}/{theirs[other]}" if other in theirs else ""
                    taking = f" and -e take_over=true to this run, which ends {other}" if owner else ""
                    return (
                        f"The app {other}{owner} on this host serves {clients}, and this inventory does not have it. They would get "
                        f"{one} instead. Give {one} separate `domains`: all apps of a domain belong in one inventory. Only if {one} "
                        f"replaces {other}, add `{other}: {{state: absent}}` to `apps`{taking}"
                    )
    return ""


def obstacle(apps: Sequence[App], settings: Settings, host: Host) -> str:
    """What on this host has to be corrected before anything is built for `apps`; empty when there is nothing."""
    here = present(apps)
    for number in ports(here, settings) if here else ():
        key = "nginx_https_port" if number == settings.nginx_https_port else "nginx_http_port"
        if taken := host.port(number).taken:
            return (
                f"Port {number} of this host is held by {taken}, and not by its nginx, so that no request would "
                f"reach the apps. Stop that program, or set {key} to another port"
            )
        if host.firewall is not None and number not in host.firewall:
            return (
                f"This host's firewall keeps port {number} closed, so that no request would reach the apps. "
                "Run playbooks/harden.yml first, which opens it"
            )
    if here and host.nginx_masked:
        return (
            "nginx.service of this host is masked, so systemd neither reloads nginx nor starts it at boot. Allow it again: "
            "systemctl unmask nginx"
        )
    encrypted = next((app.name for app in here if app.tls), "")
    if encrypted and host.nginx_version and host.nginx_version < OLDEST:
        versions = [".".join(map(str, version)) for version in (host.nginx_version, OLDEST)]
        return (
            f"apps.{encrypted}.tls needs nginx {versions[1]} or newer, and this host has {versions[0]}. Upgrade nginx, "
            "or leave `tls` out"
        )
    if host.drifted and settings.on_drift == "refuse":
        return (
            f"Somebody has changed files that Slipway wrote, and on_drift is refuse: {', '.join(host.drifted)}. Write what you want "
            "of it into the inventory, then deploy with -e on_drift=keep, which keeps a copy of each"
        )
    return ""


def check_leaving(apps: Sequence[App], on_host: Mapping[str, Sequence[str]], held: Collection[str]) -> None:
    """Raise ModelError where an app would leave a site that no app of the inventory describes without it."""
    known = in_nginx(apps)
    gone = {app.name for app in known if app.state == "absent" and app.name not in held}
    wanted = {app.name for app in present(apps)}
    for path in sorted(on_host.keys() - {site.file for site in sites(known, held)}):
        leaving = sorted(gone & set(on_host[path]))
        staying = sorted(set(on_host[path]) - {app.name for app in apps if app.name not in held})
        if leaving and staying:
            advice = (
                f"Deploy {' and '.join(sorted(wanted & set(staying)))} first"
                if wanted & set(staying)
                else "Write such an app into the inventory, or remove all in one run, with -e app="
                + ",".join(sorted({*leaving, *staying}))
            )
            raise ModelError(
                f"{' and '.join(leaving)} cannot leave the site {layout.site_name(path)} alone: it serves {' and '.join(staying)}, too, "
                f"and the inventory has no app that stays there. {advice}"
            )
