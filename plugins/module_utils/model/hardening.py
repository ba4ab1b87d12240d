"""Lists the files by which a host is hardened, as `artefacts` lists those of the apps."""

from __future__ import annotations

from collections.abc import Sequence

from ..contract import names
from . import sites
from .managers import Entry
from .types import App, Host, Listener, Settings


def firewall(
    settings: Settings, apps: Sequence[App], ssh_ports: Sequence[int], now: Sequence[Listener] = ()
) -> list[Entry]:
    """The firewall's rules, and the unit that loads them at boot.

    `now` is where nginx listens on the host already, also for the apps of other inventories.
    """
    open_to_all = (*ssh_ports, *sites.ports(apps, settings), *(one.port for one in now), *settings.firewall_ports)
    ports = sorted(set(open_to_all))
    listening = (*(one for app in sites.present(apps) for one in app.https_listeners), *now)
    quic = sorted({one.port for one in listening if one.quic})
    variables = {"firewall": {"file": names.FIREWALL, "ports": ports, "quic": quic, "extra": settings.firewall_extra}}
    return [
        {"dest": names.ETC, "state": "directory"},
        {"src": "nftables/firewall.nft.j2", "dest": names.FIREWALL, "vars": variables},
        {
            "src": "nftables/firewall.service.j2",
            "dest": "/etc/systemd/system/slipway-firewall.service",
            "vars": variables,
        },
    ]


def ssh(passwords: bool) -> list[Entry]:
    """How ssh lets people in: first of its drop-ins, since sshd keeps the first value that it reads."""
    dest = "/etc/ssh/sshd_config.d/00-slipway.conf"
    return [{"src": "ssh/sshd.conf.j2", "dest": dest, "vars": {"ssh": {"passwords": passwords}}}]


def updates(settings: Settings) -> list[Entry]:
    """What unattended-upgrades does, beside the distribution's choice of what it installs."""
    variables = {"updates": {"reboot": settings.updates_reboot}}
    return [{"src": "apt/updates.conf.j2", "dest": "/etc/apt/apt.conf.d/52slipway", "vars": variables}]


def fail2ban(settings: Settings, host: Host, apps: Sequence[App], now: Sequence[Listener] = ()) -> list[Entry]:
    """The files of fail2ban; `now` as for `firewall`."""
    ports = {*sites.ports(apps, settings), *(one.port for one in now)}
    variables = {
        "fail2ban": {
            "ban_time": settings.fail2ban_ban_time,
            "ignore": ["127.0.0.0/8", "::1", *settings.nginx_trusted_proxies, *settings.fail2ban_ignore],
            "log": refused_log(host),
            # fail2ban itself bans on the usual two.
            "more_ports": sorted(ports - {80, 443}),
        }
    }
    return [
        {"src": "fail2ban/refused.conf.j2", "dest": "/etc/fail2ban/filter.d/slipway-refused.conf", "vars": {}},
        {"src": "fail2ban/jails.conf.j2", "dest": "/etc/fail2ban/jail.d/slipway.conf", "vars": variables},
    ]


def refused_log(host: Host) -> str:
    """The log that fail2ban reads of nginx's; empty on a host without nginx."""
    return names.NGINX_REFUSED_LOG if host.nginx_installed else ""
