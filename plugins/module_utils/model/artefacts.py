"""Lists the files of a host, by layer: which template goes where, for whom, with which variables.

The roles place them with the `files` action, the offline render writes them under build/.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from . import ownership, resolve
from .resolve import App, Host, Settings

Entry = dict[str, Any]
"""One entry of the `files` action."""

NGINX_REFUSE = f"{resolve.NGINX_CONF_D}/slipway-01-refuse.conf"
"""The default server, which refuses host names that belong to no app."""


def nginx_base(own: Settings, host: Host) -> list[Entry]:
    """What nginx has before there is an app; its own nginx.conf only where nobody has written another one."""
    names = {"nginx": {"user": host.nginx_user, "worker_connections": own.nginx_worker_connections}}
    entries: list[Entry] = [*logs(), {"dest": resolve.NGINX_APPS, "state": "directory"}]
    if not host.nginx_installed or host.welcome_page:
        # The package's "Welcome to nginx!"; a site of the user's is never touched.
        entries.append({"dest": host.welcome_page or "/etc/nginx/sites-enabled/default", "state": "absent"})
    if host.nginx_distro:
        entries.append({"content": host.nginx_distro, "dest": "/etc/nginx/nginx.conf.slipway-orig"})
    if host.nginx_main != "local":
        entries.append({"src": "nginx/nginx.conf.j2", "dest": "/etc/nginx/nginx.conf", "vars": names})
    return entries


def nginx_sites(
    own: Settings,
    host: Host,
    apps: Sequence[App],
    there: Mapping[str, Sequence[str]],
    held: Collection[str] = (),
) -> list[Entry]:
    """Every app's nginx files, and what they share. `there` are the site files on the host, with the apps that each includes.

    They change together: a site of this kit may use what an older one's base has not. A site file whose apps are all of
    this inventory and which is no longer wanted goes; so do the files of absent apps. What the host has of the apps that
    are `held` back stays as it is.
    """
    known = {app.name for app in apps}
    back = [app for app in apps if app.name in held]
    apps = [app for app in apps if app.name not in held]
    default = any(path == resolve.site_file("default") and set(held) & set(members) for path, members in there.items())
    entries: list[Entry] = [_shared(own)]
    head = {"head": {"buffers": resolve.HEAD_BUFFERS, "size": own.nginx_max_header_size}}
    # Somebody else's default site stays; so does an app without domains.
    if host.default_server or default or not all(app.domains for app in apps if app.state == "present"):
        entries.append({"dest": NGINX_REFUSE, "state": "absent"})
    else:
        listen = {"nginx": {"port": own.nginx_http_port, "ipv6": host.ipv6}}
        entries.append({"src": "nginx/refuse.conf.j2", "dest": NGINX_REFUSE, "vars": {**listen, **head}})
    for app in apps:
        for src, dest in _app_files(app).items():
            texts = {app.nginx_extra_file: app.nginx_extra, app.nginx_extra_streams_file: app.nginx_extra_streams}
            if app.state == "absent" or not texts.get(dest, dest):
                entries.append({"dest": dest, "state": "absent"})
            else:
                about = {"about": f"apps.{app.name}.nginx_extra"} if dest == app.nginx_extra_file else {}
                entries.append({"src": src, "dest": dest, "vars": {"app": asdict(app)}, **about})
    wanted = resolve.sites(apps, host)
    for site in wanted:
        kept = [app for app in back if app.name in there.get(site.file, ())]
        if kept:
            site = replace(site, apps=tuple(sorted((*site.apps, *kept), key=lambda app: app.mount)))
        names = {"site": asdict(site), "trusted_proxies": own.nginx_trusted_proxies, **head}
        entries.append({"src": "nginx/site.conf.j2", "dest": site.file, "vars": names})
    for path, members in there.items():
        if path not in {site.file for site in wanted} and set(members) <= known and not set(members) & set(held):
            entries.append({"dest": path, "state": "absent"})
    return entries


def _shared(own: Settings) -> Entry:
    """What every app's server uses."""
    names = {"nginx": {"trusted_proxies": own.nginx_trusted_proxies}}
    return {"src": "nginx/base.conf.j2", "dest": f"{resolve.NGINX_CONF_D}/slipway-00-base.conf", "vars": names}


def _app_files(app: App) -> dict[str, str]:
    """nginx's files of one app, by template."""
    return {
        "nginx/extra.conf.j2": app.nginx_extra_file,
        "nginx/streams.conf.j2": app.nginx_extra_streams_file,
        "nginx/upstream.conf.j2": f"{resolve.NGINX_CONF_D}/slipway-app-{app.name}.conf",
        "nginx/locations.conf.j2": app.nginx_locations,
    }


def nginx_leaving(
    own: Settings, host: Host, before: Sequence[App], after: Sequence[App], there: Mapping[str, Sequence[str]]
) -> list[Entry]:
    """Those of nginx's files that change when apps leave the host, and no other app's; with a site, what it uses.

    `before` are the apps as the inventory has them, `after` the same with the leaving ones absent, and with those that
    it does not know. `there` as in `nginx_sites`.
    """
    leaving = {app.name for app in after if app.state == "absent"}
    files = {dest for app in after if app.name in leaving for dest in _app_files(app).values()}
    files |= {path for path, members in there.items() if leaving & set(members)}
    unchanged = nginx_sites(own, host, before, there)
    shared, *entries = nginx_sites(own, host, after, there)
    changed = [entry for entry in entries if entry["dest"] in files or entry not in unchanged]
    sites = [entry for entry in changed if "src" in entry and entry["dest"] != NGINX_REFUSE]
    return [shared, *changed] if sites else changed


def site_logs(app: App, host: Host, apps: Sequence[App], there: Mapping[str, Sequence[str]]) -> list[str]:
    """How the names of nginx's logs begin, of the sites that go with an absent app."""
    kept = {site.name for site in resolve.sites(apps, host)}
    gone = {
        path.removeprefix(f"{resolve.NGINX_CONF_D}/slipway-site-").removesuffix(".conf")
        for path, members in there.items()
        if app.name in members
    }
    gone |= {domain.replace("*", "_") for domain in app.domains[:1]}  # in case its site has gone before
    return [f"/var/log/nginx/slipway-{name}" for name in sorted(gone - kept)]


def supervisor(init: str = "systemd") -> list[Entry]:
    """supervisord's own configuration, and what starts it at boot: a systemd unit, or else an init script."""
    names = {
        "supervisor": {
            "venv": resolve.SUPERVISOR_VENV,
            "conf": f"{resolve.ETC}/supervisord.conf",
            "socket": resolve.SUPERVISOR_SOCKET,
            "pid": resolve.SUPERVISOR_PID,
            "programs": resolve.SUPERVISOR_PROGRAMS,
        }
    }
    starts: Entry = (
        {
            "src": "supervisor/supervisor.service.j2",
            "dest": "/etc/systemd/system/slipway-supervisor.service",
            "vars": names,
        }
        if init == "systemd"
        else {
            "src": "supervisor/supervisor.init.j2",
            "dest": "/etc/init.d/slipway-supervisor",
            "mode": "0755",
            "vars": names,
        }
    )
    return [
        {"dest": resolve.SUPERVISOR_PROGRAMS, "state": "directory"},
        {"src": "supervisor/supervisord.conf.j2", "dest": f"{resolve.ETC}/supervisord.conf", "vars": names},
        starts,
    ]


def systemd() -> list[Entry]:
    """What systemd adds to the distribution's nginx."""
    folder = "/etc/systemd/system/nginx.service.d"
    return [{"dest": folder, "state": "directory"}, {"src": "systemd/nginx.conf.j2", "dest": f"{folder}/slipway.conf"}]


def logs() -> list[Entry]:
    """Rotation of the instances' logs."""
    names = {"logs": resolve.LOGS, "supervisor_pid": resolve.SUPERVISOR_PID}
    return [{"src": "logrotate/slipway.j2", "dest": "/etc/logrotate.d/slipway", "vars": names}]


def firewall(own: Settings, ssh_ports: Sequence[int]) -> list[Entry]:
    """The firewall's rules, and the unit that loads them at boot."""
    ports = sorted({*ssh_ports, own.nginx_http_port, *own.firewall_ports})
    names = {"firewall": {"file": resolve.FIREWALL, "ports": ports, "extra": own.firewall_extra}}
    return [
        {"dest": resolve.ETC, "state": "directory"},
        {"src": "nftables/firewall.nft.j2", "dest": resolve.FIREWALL, "vars": names},
        {
            "src": "nftables/firewall.service.j2",
            "dest": "/etc/systemd/system/slipway-firewall.service",
            "vars": names,
        },
    ]


def ssh(passwords: bool) -> list[Entry]:
    """How ssh lets people in: first of its drop-ins, since sshd keeps the first value that it reads."""
    dest = "/etc/ssh/sshd_config.d/00-slipway.conf"
    return [{"src": "ssh/sshd.conf.j2", "dest": dest, "vars": {"ssh": {"passwords": passwords}}}]


def updates(own: Settings) -> list[Entry]:
    """What unattended-upgrades does, beside the distribution's choice of what it installs."""
    names = {"updates": {"reboot": own.updates_reboot}}
    return [{"src": "apt/updates.conf.j2", "dest": "/etc/apt/apt.conf.d/52slipway", "vars": names}]


def fail2ban(own: Settings, host: Host, there: Mapping[str, Sequence[str]]) -> list[Entry]:
    """Whom fail2ban keeps away. `there` are the site files on the host: a log that is not there yet cannot be watched."""
    sites = sorted(path.rpartition("slipway-site-")[2].removesuffix(".conf") for path in there)
    names = {
        "fail2ban": {
            "ban_time": own.fail2ban_ban_time,
            "ignore": ["127.0.0.0/8", "::1", *own.nginx_trusted_proxies, *own.fail2ban_ignore],
            "nginx": host.nginx_installed,
            "access_logs": ["access.log", *(f"slipway-{site}.access.log" for site in sites)],
            "error_logs": ["error.log", *(f"slipway-{site}.error.log" for site in sites)],
        }
    }
    return [{"src": "fail2ban/jails.conf.j2", "dest": "/etc/fail2ban/jail.d/slipway.conf", "vars": names}]


def release(app: App) -> dict[str, tuple[str, dict[str, Any]]]:
    """A release's rendered files: name in its folder to (template, variables). The manifest is not rendered."""
    names = {"app": asdict(app)}
    own: dict[str, tuple[str, dict[str, Any]]] = {
        "gunicorn.conf.py": ("gunicorn/gunicorn.conf.py.j2", {**names, "owned": ownership.GUNICORN}),
    }
    if app.gunicorn_extra:
        own["gunicorn_extra.py"] = ("gunicorn/gunicorn_extra.py.j2", names)
    if app.manager != "systemd":
        return {**own, app.release.unit_file: ("supervisor/program.conf.j2", names)}
    return {
        **own,
        app.release.unit_file: ("systemd/app.service.j2", names),
        f"{app.release.unit}.socket": ("systemd/app.socket.j2", names),
        f"{app.release.unit}-log.service": ("systemd/log.service.j2", names),
    }


def has_log_reader(app: App) -> bool:
    """Whether a process of its own writes the log of the app's instances."""
    return app.manager == "systemd"


def directories(apps: Sequence[App]) -> list[Entry]:
    """The folders of the host and of every present app, parents first."""
    root = {"owner": "root", "group": "root", "mode": "0755"}
    entries: list[Entry] = [{"path": path, **root} for path in (resolve.ETC, resolve.TOOLS, resolve.LOGS)]
    # Who can read a lock's file can hold it, and whoever wants to deploy waits.
    entries.append({"path": resolve.STATE, **root, "mode": "0700"})
    for app in apps:
        if app.state == "present":
            entries += [{"path": path, **root} for path in (app.root, app.releases, app.venvs)]
            entries.append({"path": app.assets, "owner": "root", "group": app.nginx_group, "mode": "0750"})
            entries.append({"path": app.shared, "owner": app.user, "group": app.group, "mode": "0750"})
            entries.append({"path": app.home, "owner": app.user, "group": app.group, "mode": "0700"})
            entries.append({"path": app.logs, "owner": "root", "group": app.group, "mode": "0750"})
    return entries
