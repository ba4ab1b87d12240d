"""The host's settings, completed from the inventory's variables."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from . import checks, schema, sites
from .managers import AUTO, PROCESS_MANAGERS
from .manners import NOT_INDEXED
from .types import Host, ModelError, Settings

FOLDER = "inventory_dir"
"""Ansible's variable with the inventory's folder. Its name may tell that the sites are not for the public."""


def value(variables: Mapping[str, Any], name: str) -> Any:
    """A setting as the inventory has it, or its default."""
    given = variables.get(name)
    return schema.table(schema.SETTINGS)[name].default if given is None else given


def settings(variables: Mapping[str, Any], host: Host) -> Settings:
    """The host's settings.

    Args:
        variables: the inventory's, validated.
        host: the host.

    Raises:
        ModelError: the host cannot have them.
    """
    port, https_port = (int(value(variables, f"nginx_{kind}_port")) for kind in ("http", "https"))
    return Settings(
        process_manager=_process_manager(str(value(variables, "process_manager")), host),
        on_drift=str(value(variables, "on_drift")),
        nginx_http_port=port,
        nginx_https_port=https_port,
        nginx_http3=bool(value(variables, "nginx_http3")),
        tls_policy=str(value(variables, "tls_policy")),
        nginx_trusted_proxies=tuple(value(variables, "nginx_trusted_proxies")),
        access_log=str(value(variables, "access_log")),
        noindex=posixpath.basename(str(variables.get(FOLDER, "")).rstrip("/")).lower() in NOT_INDEXED,
        nginx_worker_connections=int(value(variables, "nginx_worker_connections")),
        nginx_max_header_size=checks.parse_size(str(value(variables, "nginx_max_header_size"))),
        firewall_ports=tuple(value(variables, "firewall_ports")),
        firewall_extra=str(value(variables, "firewall_extra")),
        ssh_passwords=bool(value(variables, "ssh_passwords")),
        updates_reboot=value(variables, "updates_reboot"),
        fail2ban_ban_time=int(checks.parse_duration(value(variables, "fail2ban_ban_time"))),
        fail2ban_ignore=tuple(value(variables, "fail2ban_ignore")),
        python_archives={
            version: archive["sha256"].lower() for version, archive in value(variables, "python_archives").items()
        },
        listeners=sites.listeners(port, host, tls=False),
        https_listeners=sites.listeners(https_port, host, tls=True, http3=bool(value(variables, "nginx_http3"))),
    )


def _process_manager(wanted: str, host: Host) -> str:
    if wanted == AUTO:
        return host.init.process_manager
    if host.init not in PROCESS_MANAGERS[wanted].inits:
        raise ModelError(
            f"process_manager is {wanted}, but {wanted} does not run on this host; use {host.init.process_manager} or {AUTO}"
        )
    return wanted
