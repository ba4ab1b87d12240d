"""The resolved host, for roles: `lookup('slipway.kit.resolved', 'directories')`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: resolved
short_description: What follows from the inventory for this host
version_added: 0.1.0
author: Slipway
description:
  - Resolves C(apps), C(vault_apps) and the host's settings with the kit's model and returns one part of the result.
options:
  _terms:
    description:
      - One part each. C(apps), C(settings), C(services) (which module starts services), C(directories), C(packages), C(missing) (those to install), C(optional) (those that only apps ask for), C(accounts), C(tools), C(indexes), C(removed), C(look) (what to look at on the host),
        or the files of a layer as C(files/nginx), C(files/sites), C(files/supervisor), C(files/systemd), C(files/virtualenv); C(files/leaving), those of
        nginx's that change when apps leave; C(hardening), the packages for C(harden.yml), and C(files/firewall), C(files/ssh),
        C(files/updates), C(files/fail2ban); C(absent), the roots of the apps that are to be taken off; C(report) is a text, and so is C(obstacle), what keeps the apps off this host;
        C(run), the apps that this run deploys, and what they do at a hook, as C(hooks/migrate).
    required: true
"""

EXAMPLES = r"""
- name: Make the folders
  slipway.kit.accounts:
    directories: "{{ lookup('slipway.kit.resolved', 'directories') }}"
"""

RETURN = r"""
_raw:
  description: The part asked for.
  type: list
  elements: raw
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.slipway.kit.plugins.module_utils import inventory
from ansible_collections.slipway.kit.plugins.module_utils.inventory import Inventory
from ansible_collections.slipway.kit.plugins.module_utils.model import artefacts, resolve, schema
from ansible_collections.slipway.kit.plugins.module_utils.model.resolve import App

BUS, BUS_PACKAGE = "dbus-system-bus", "dbus"
"""By which systemd is asked to run a command: what it is, whoever provides it, and Debian's package. A host of an older kit
may lack it."""
PACKAGES = ("nginx", "python3-venv", "logrotate", "ca-certificates")
"""Debian packages every host needs: the proxy, what installs uv, log rotation, and trust in package indexes."""
HARDENING = ("nftables", "unattended-upgrades", "fail2ban", "python3-systemd")
"""Those that harden.yml needs; by the last, fail2ban reads the journal."""

LOCKS = Path(__file__).parents[2] / "requirements/tools"
"""Made by `uv pip compile`, as docs/operations.md says."""


def _lock(tool: str) -> str:
    """What the kit ships of a tool: its version, which is the model's, and the hashes of its wheels."""
    return (LOCKS / f"{tool}.txt").read_text(encoding="utf-8")


def _ca(found: Inventory) -> list[dict[str, Any]]:
    if not found.indexes.ca:
        return [{"dest": resolve.CA_FILE, "state": "absent"}]
    with open(found.indexes.ca, encoding="utf-8") as handle:
        return [{"dest": resolve.CA_FILE, "content": handle.read(), "diff": False}]


def _sites(found: Inventory) -> Mapping[str, Sequence[str]]:
    """nginx's site files on the host, with the apps that each includes."""
    there: Mapping[str, Sequence[str]] = (found.facts or {}).get("nginx", {}).get("sites", {})
    return there


def _report(found: Inventory) -> str:
    """Where each app answers, and what to try next."""
    lines = []
    for app in found.apps:
        if app.state != "present" or app.name not in found.chosen or app.name in found.held:
            continue
        port = "" if app.nginx_port == 80 else f":{app.nginx_port}"
        path = app.mount if app.mount == "/" else f"{app.mount}/"
        addresses = [f"http://{domain}{port}{path}" for domain in app.domains] or [f"http://127.0.0.1{port}{path}"]
        lines.append(f"{app.name} is at {' and '.join(addresses)}")
        lines.append(f"  try:      curl -i {addresses[0]}")
        lines.append(f"  its log:  tail -F {app.current}/log")
    if lines:
        lines.append(
            "Change the app and deploy again: no request is lost. playbooks/rollback.yml goes back, releases.yml shows what there is."
        )
    return "\n".join(lines)


def _look(found: Inventory) -> dict[str, Any]:
    """What the kit has to know of the host, as the module `facts` takes it."""
    return {
        "apps": [{"name": app.name, "root": app.root} for app in found.apps],
        "packages": _packages(found),
        "nginx_port": found.settings.nginx_http_port,
        "tools": {"uv": resolve.UV_BIN, "supervisor": f"{resolve.SUPERVISOR_VENV}/bin/supervisord"},
    }


def _packages(found: Inventory) -> list[str]:
    """The packages that should be on the host."""
    return [*PACKAGES, BUS, *_of_apps(found)]


def _of_apps(found: Inventory) -> list[str]:
    """Those that only the apps of this run ask for."""
    names = [name for app in _run(found) for name in (*app.system_packages.build, *app.system_packages.run)]
    return [name for name in dict.fromkeys(names) if name not in (*PACKAGES, BUS_PACKAGE)]


def _missing(found: Inventory) -> list[str]:
    """Those that are to be installed."""
    missing = [name for name in (found.facts or {})["packages_missing"] if name != BUS or found.host.systemd]
    return [BUS_PACKAGE if name == BUS else name for name in missing]


def _run(found: Inventory) -> list[App]:
    """The apps that this run deploys."""
    return [app for app in found.apps if app.state == "present" and app.name in found.chosen]


def _newcomers(found: Inventory) -> list[str]:
    """The apps that lack an account on the host."""
    there = set((found.facts or {})["users"])
    return [app.name for app in found.apps if app.state == "present" and not {app.user, app.builder} <= there]


def _unready(found: Inventory) -> str:
    """What site.yml still has to install on the host, for a message; empty when nothing is missing."""
    facts = found.facts or {}
    packages = [name for name in facts["packages_missing"] if name in PACKAGES]
    tools = ["uv", *(["supervisor"] if found.settings.process_manager == "supervisor" else [])]
    return ", ".join([*packages, *(tool for tool in tools if not facts["tools"][tool])])


def _hooks(found: Inventory, when: str) -> list[dict[str, Any]]:
    """What the apps of this run do at one of the hooks."""
    return [
        {"name": app.name, "root": app.root, **asdict(hook)}
        for app in _run(found)
        for hook in app.hooks
        if hook.when == when
    ]


PARTS: Mapping[str, Callable[[Inventory], Any]] = {
    "apps": lambda found: [asdict(app) for app in found.apps],
    "settings": lambda found: asdict(found.settings),
    # Ansible's own choice costs a call, and is systemd wherever that is installed, also where it does not run.
    "services": lambda found: "systemd" if found.host.systemd else "sysvinit",
    # Each does nothing where nginx does not run: what starts it later has it read its files anyway.
    "reload_nginx": lambda found: (
        ["systemctl", "try-reload-or-restart", "nginx"] if found.host.systemd else ["/etc/init.d/nginx", "reload"]
    ),
    "packages": lambda found: _packages(found),
    "missing": lambda found: _missing(found),
    "optional": lambda found: _of_apps(found),
    "hardening": lambda found: list(HARDENING),
    "accounts": lambda found: [
        {"name": app.name, "builder": app.builder} for app in found.apps if app.state == "present"
    ],
    "directories": lambda found: artefacts.directories(found.apps),
    "obstacle": lambda found: resolve.obstacle(found.apps, found.settings, found.host),
    "newcomers": lambda found: _newcomers(found),
    "unready": lambda found: _unready(found),
    "tools": lambda found: {
        "uv": resolve.UV_BIN,
        "uv_lock": _lock("uv"),
        "uv_venv": resolve.UV_BIN.removesuffix("/bin/uv"),
        "supervisor": f"{resolve.SUPERVISOR_VENV}/bin/supervisord",
        "supervisor_lock": _lock("supervisor"),
        "supervisor_venv": resolve.SUPERVISOR_VENV,
    },
    "indexes": lambda found: {
        "url": found.indexes.url,
        "extra": found.indexes.extra,
        "ca": resolve.CA_FILE if found.indexes.ca else None,
    },
    "removed": lambda found: [
        {
            "name": app.name,
            "root": app.root,
            "site_logs": artefacts.site_logs(app, found.host, found.apps, _sites(found)),
        }
        for app in found.apps
        if app.state == "absent"
    ],
    "absent": lambda found: [{"root": app.root} for app in found.apps if app.state == "absent"],
    "look": _look,
    "run": lambda found: [{"root": app.root} for app in _run(found)],
    **{f"hooks/{key.name}": partial(_hooks, when=key.name) for key in schema.HOOKS},
    "files/nginx": lambda found: artefacts.nginx_base(found.settings, found.host),
    "files/sites": lambda found: artefacts.nginx_sites(
        found.settings,
        found.host,
        found.apps,
        _sites(found),
        {*found.held, *(app.name for app in found.apps if app.fault)},
    ),
    "files/leaving": lambda found: artefacts.nginx_leaving(
        found.settings, found.host, found.written, found.apps, _sites(found)
    ),
    "files/supervisor": lambda found: artefacts.supervisor("systemd" if found.host.systemd else "init"),
    "files/systemd": lambda found: artefacts.systemd(),
    "files/virtualenv": _ca,
    "files/firewall": lambda found: artefacts.firewall(found.settings, found.access["ports"]),
    "files/ssh": lambda found: artefacts.ssh(found.settings.ssh_passwords or not found.access["key"]),
    "files/updates": lambda found: artefacts.updates(found.settings),
    "files/fail2ban": lambda found: artefacts.fail2ban(found.settings, found.host, _sites(found)),
    "report": lambda found: _report(found),
}


class LookupModule(LookupBase):
    """Resolves the host and returns parts of it."""

    def run(self, terms: list[str], variables: Mapping[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        """Return one value for each term. Raises AnsibleLookupError."""
        try:
            found = inventory.load(self._templar, variables or {})
            return [PARTS[str(term)](found) for term in terms]
        except resolve.ModelError as exc:
            raise AnsibleLookupError(str(exc)) from exc
        except KeyError as exc:
            raise AnsibleLookupError(f"slipway.kit.resolved knows no {exc}; it knows {', '.join(PARTS)}") from exc
