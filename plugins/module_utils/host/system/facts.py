"""What Slipway needs to know of a host, read in one go: files first, processes only where no file tells.

Every function takes ``root``, the folder that stands for ``/``, so that tests can show it a machine of their making.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...contract import facts as contract
from ...contract import names
from ...contract.manifest import release_path
from ...contract.names import APP, RELEASE
from ..base import processes
from ..files import written
from . import accounts, certificates, dpkg, machine, nginx, origins, pythons, releases
from .reading import Started, at, program, read, read_object

STATE = names.STATE
"""Where the kit remembers what it has written."""


def collect(
    apps: Sequence[Mapping[str, str]],
    packages: Sequence[str],
    nginx_ports: Sequence[int],
    tools: Mapping[str, str],
    root: str = "/",
) -> dict[str, Any]:
    """Return all facts.

    ``apps`` are mappings with ``name`` and ``root``, ``packages`` the names of distribution packages. ``nginx_ports`` are
    the ports on which nginx is to listen, ``tools`` names with the path of the program that proves them.
    """
    interpreters = pythons.Versions(root)
    binary = program(root, "nginx")
    build = Started([at(root, binary), "-V"]) if binary else None
    known: dict[str, Any] = {
        "schema": contract.SCHEMA,
        "cores": machine.cores(root),
        "memory": machine.memory(root),
        "systemd": os.path.isdir(at(root, names.SYSTEMD)),
        "ipv6": machine.ipv6(),
        "packages_missing": dpkg.missing(root, packages),
        "tools": {name: complete_tool(at(root, path)) for name, path in tools.items()},
        "supervisor_running": processes.listens(at(root, names.SUPERVISOR_SOCKET))
        and machine.starts_at_boot(root, "slipway-supervisor"),
        "apps": {app["name"]: app_facts(at(root, app["root"])) for app in apps},
        "deployed": deployed(root),
        "drifted": written.drifted(root, at(root, STATE)),
        "users": users(root),
        "firewall": firewall(root),
        "certificates": certificates.sites(root),
        "origins": origins.known(at(root, origins.PATH)),
        "applied": origins.applied(at(root, origins.PATH)),
        "live": live(root),
        "ruled": ruled(root),
    }
    # What has been started meanwhile.
    known["pythons"] = interpreters.result()
    known["nginx"] = nginx.facts(root, binary, build.output() if build else "", nginx_ports)
    return known


def complete_tool(path: str) -> bool:
    """Say whether a tool is whole: its program can be run, and a virtualenv around it carries ``.complete``."""
    around = os.path.dirname(os.path.dirname(path))
    if os.path.isdir(path):
        return os.path.exists(os.path.join(path, ".complete"))
    if os.path.exists(os.path.join(around, "pyvenv.cfg")) and not os.path.exists(os.path.join(around, ".complete")):
        return False
    return os.access(path, os.X_OK)


def app_facts(root: str) -> dict[str, Any]:
    """Return an app's ``current`` release, its ``releases``, and why removed ones were bad (``removed_bad``)."""
    try:
        current: str | None = os.path.basename(os.readlink(os.path.join(root, "current")))
    except OSError:
        current = None
    if current and not RELEASE.fullmatch(current):
        current = None
    on_disk = {}
    for path in sorted(glob.glob(os.path.join(glob.escape(root), "releases", "*"))):
        if RELEASE.fullmatch(os.path.basename(path)) and os.path.isdir(path) and not os.path.islink(path):
            on_disk[os.path.basename(path)] = release_facts(root, os.path.basename(path))
    removed = {name: _reason(mark) for name, mark in releases.bad(root).items() if name not in on_disk}
    return {"current": current, "releases": on_disk, "removed_bad": removed}


def users(root: str) -> list[str]:
    """Return the accounts that the kit made and that are there."""
    registry = accounts.Registry.read(at(root, accounts.REGISTRY))
    return sorted(filter(registry.has, registry.made))


def firewall(root: str) -> list[int] | None:
    """Return the TCP ports that the kit's firewall opens to everyone; None where the kit has set up none."""
    match = re.search(r"^ *tcp dport \{([0-9, ]*)\} accept$", read(root, names.FIREWALL) or "", re.MULTILINE)
    return sorted(map(int, re.findall(r"[0-9]+", match[1]))) if match else None


def live(root: str) -> list[str]:
    """Return the apps with a current release, whether the inventory knows of them or not."""
    folders = map(os.path.dirname, glob.glob(at(root, f"{names.APPS}/*/current")))
    return sorted(name for name in map(os.path.basename, folders) if APP.fullmatch(name))


def ruled(root: str) -> list[str]:
    """Return the apps with a rule in an older kit's one file for sudo."""
    rules = re.findall(rf"^%.* {names.RUN_COMMAND} (\S+) \*$", read(root, names.SUDOERS) or "", re.MULTILINE)
    return sorted({app for app in rules if APP.fullmatch(app)})


def deployed(root: str) -> list[str]:
    """Return the names of the apps of which something is on the host, whether the inventory knows of them or not."""
    places = (f"{names.APPS}/*/releases", f"{names.LOGS}/*", f"{names.NGINX_APPS}/*.conf")
    paths = [path for place in places for path in glob.glob(at(root, place))]
    apps = {
        os.path.basename(os.path.dirname(path) if path.endswith("/releases") else path.removesuffix(".conf"))
        for path in paths
    }
    return sorted(name for name in apps if APP.fullmatch(name))


def _reason(mark: releases.Mark) -> str:
    return mark.reason or "no reason is recorded"


def release_facts(root: str, release_id: str) -> dict[str, Any]:
    """Return what is known about one release; ``complete``: it has its manifest, its code and a whole virtualenv."""
    path = release_path(root, release_id)
    manifest, activated, migrated = (
        read_object(f"{path}/{name}.json") for name in ("manifest", "activated", "migrated")
    )
    whole = manifest.get("release") == release_id and os.path.isdir(f"{path}/code")
    mark = releases.mark_of(root, release_id)
    return {
        "code": manifest.get("code"),
        "build": manifest.get("build"),
        "placed": manifest.get("placed"),
        "mount": manifest.get("mount") or None,
        "bad": _reason(mark) if mark else None,
        "activated": activated.get("when") if activated.get("verified") else None,
        "runs": activated.get("runs") or [],
        "previous": activated.get("previous"),
        "migrated": migrated.get("when"),
        "complete": whole and os.path.exists(f"{path}/venv/.complete"),
    }
