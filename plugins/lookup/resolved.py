"""The resolved host, for roles: `lookup('slipway.kit.resolved', 'directories')`.

One module, though a long one: a flat list of small functions, one for each part.
"""

from __future__ import annotations

DOCUMENTATION = r"""
name: resolved
short_description: Resolve the inventory for this host
version_added: 0.1.0
author: Slipway
description:
  - Resolves C(apps), C(vault_apps) and the host's settings with the kit's model, and returns parts of the result.
options:
  _terms:
    description:
      - One part each, such as C(directories) or C(hooks/migrate). The lookup's C(PARTS) lists them all. An unknown part is refused with
        the nearest known one.
    required: true
"""

EXAMPLES = r"""
- name: Create the folders
  slipway.kit.accounts:
    directories: "{{ lookup('slipway.kit.resolved', 'directories') }}"
"""

RETURN = r"""
_raw:
  description: The parts, one for each term.
  type: list
  elements: raw
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.slipway.kit.plugins.module_utils import doors, file_sets
from ansible_collections.slipway.kit.plugins.module_utils import inventory as inventories
from ansible_collections.slipway.kit.plugins.module_utils.contract import names
from ansible_collections.slipway.kit.plugins.module_utils.inventory import Inventory
from ansible_collections.slipway.kit.plugins.module_utils.model import (
    artefacts,
    authority,
    hardening,
    https,
    schema,
    sites,
    spelling,
    tools,
)
from ansible_collections.slipway.kit.plugins.module_utils.model.managers import INITS, PROCESS_MANAGERS, Entry
from ansible_collections.slipway.kit.plugins.module_utils.model.types import ModelError

INIT_PACKAGES = {name: package for init in INITS.values() for name, package in init.packages.items()}
"""What the init systems need: a name that a package has or provides, to Debian's package."""
PACKAGES = ("nginx", "python3-venv", "logrotate", "ca-certificates")
"""Debian packages that every host needs: the proxy, what installs uv, log rotation, and trust in package indexes."""
CRON = "cron"
"""What renews certificates where systemd is not the init, and runs timers where the process manager has none."""
HARDENING = ("nftables", "unattended-upgrades", "fail2ban", "python3-systemd")
"""Packages that harden.yml needs. fail2ban reads the journal with the last one."""

LOCKS = Path(__file__).parents[2] / "requirements/tools"
"""Written by `uv pip compile`, as docs/operations.md describes."""

TOOLS = {"uv": tools.UV_BIN, "supervisor": f"{tools.SUPERVISOR_VENV}/bin/supervisord"}
"""The tools that the kit installs, each into its own virtualenv, with their programs."""


def _settings(inventory: Inventory) -> dict[str, Any]:
    """The host's settings."""
    return asdict(inventory.settings)


def _look(inventory: Inventory) -> dict[str, Any]:
    """What the module `facts` looks at on the host."""
    return {
        "apps": [{"name": name, "root": names.app_root(name)} for name in inventory.entries],
        "packages": _packages(inventory),
        "nginx_ports": _ports(inventory),
        "tools": {**TOOLS, **_certbot(inventory), "sudo": file_sets.VISUDO},
    }


def _certbot(inventory: Inventory) -> dict[str, str]:
    """The program of certbot, where an authority is to be asked."""
    derived = [wanted for entry in https.present(inventory.entries).values() if (wanted := https.derive(entry))]
    asking = [wanted for wanted in derived if wanted.source == "acme"]
    plugins = [wanted.dns for wanted in asking if wanted.dns]
    return {"certbot": f"{tools.certbot_venv(plugins)}/bin/certbot"} if asking else {}


def _ports(inventory: Inventory) -> list[int]:
    """The ports on which nginx is to listen; that for https only where an app has it."""
    encrypted = any(map(https.derive, https.present(inventory.entries).values()))
    kinds = ("http", "https") if encrypted else ("http",)
    return [int(inventory.setting(f"nginx_{kind}_port")) for kind in kinds]


def _services(inventory: Inventory) -> str:
    """Which module of Ansible starts services."""
    return inventory.host.init.services


def _packages(inventory: Inventory) -> list[str]:
    """The packages that the host must have."""
    return [*PACKAGES, *INIT_PACKAGES, *([CRON] if _certbot(inventory) else []), *_app_packages(inventory)]


def _app_packages(inventory: Inventory) -> list[str]:
    """The packages that only the apps of this run need."""
    lists = [inventory.entry(name).get("system_packages", {}) for name in inventory.going]
    wanted = [name for packages in lists for kind in ("build", "run") for name in packages.get(kind, ())]
    if any(inventory.entry(name).get("timers") for name in inventory.going):
        wanted.append(CRON)
    return [name for name in dict.fromkeys(wanted) if name not in (*PACKAGES, *INIT_PACKAGES.values())]


def _missing_packages(inventory: Inventory) -> list[str]:
    """The packages to install."""
    of_init = inventory.host.init.packages
    missing = [name for name in inventory.facts.packages_missing if name not in INIT_PACKAGES or name in of_init]
    return [of_init.get(name, name) for name in missing if name != CRON or _needs_cron(inventory)]


def _needs_cron(inventory: Inventory) -> bool:
    """Whether this host needs cron: for certificates, for timers, or since an app asks for it."""
    if _certbot(inventory) and not inventory.host.init.has_timers:
        return True
    entries = [inventory.entry(name) for name in inventory.going]
    if not PROCESS_MANAGERS[inventory.settings.process_manager].timer and any(one.get("timers") for one in entries):
        return True
    return any(CRON in packages for one in entries for packages in one.get("system_packages", {}).values())


def _missing_tools(inventory: Inventory) -> list[str]:
    """The tools of `look` that the host lacks, or that are not whole."""
    return [name for name, is_whole in inventory.facts.tools.items() if not is_whole]


def _missing_setup(inventory: Inventory) -> str:
    """What site.yml still has to install on the host, for a message; empty when nothing is missing."""
    facts = inventory.facts
    packages = [name for name in facts.packages_missing if name in PACKAGES]
    needed = ["uv", *PROCESS_MANAGERS[inventory.settings.process_manager].tools]
    return ", ".join([*packages, *(tool for tool in needed if not facts.tools[tool])])


def _new_apps(inventory: Inventory) -> list[str]:
    """The apps that lack an account on the host."""
    users = set(inventory.facts.users)
    return [app.name for app in inventory.apps if app.state == "present" and not {app.user, app.builder} <= users]


def _nginx(inventory: Inventory) -> dict[str, bool]:
    """Whether nginx is `installed`, and whether it is `started`: it runs, and starts at boot."""
    nginx = inventory.facts.nginx
    return {"installed": nginx.installed, "started": nginx.running and nginx.at_boot}


def _supervisor_running(inventory: Inventory) -> bool:
    """Whether supervisord runs and starts at boot."""
    return inventory.facts.supervisor_running


def _can_harden(inventory: Inventory) -> bool:
    """Whether the host's init can do what harden.yml sets up."""
    return inventory.host.init.can_harden


def _firewall_file(_inventory: Inventory) -> str:
    """The file with the firewall's rules."""
    return names.FIREWALL


def _held(inventory: Inventory) -> list[str]:
    """The apps that are held back."""
    return sorted(inventory.held)


def _hardening(_inventory: Inventory) -> list[str]:
    """The packages that harden.yml needs."""
    return list(HARDENING)


def _accounts(inventory: Inventory) -> list[dict[str, str]]:
    """The accounts of every app."""
    return [{"name": app.name, "builder": app.builder} for app in inventory.apps if app.state == "present"]


def _directories(inventory: Inventory) -> list[Entry]:
    """The folders of the host and of every app."""
    return artefacts.directories(inventory.apps)


def _origin(inventory: Inventory) -> str:
    """The name of the inventory."""
    return inventory.origin


def _shared(inventory: Inventory) -> Mapping[str, str]:
    """The settings in the files that all inventories of the host share."""
    return inventory.shared


def _hardened(inventory: Inventory) -> Mapping[str, str]:
    """The settings in the files that `harden.yml` writes."""
    return inventory.hardened


def _hardening_refusal(inventory: Inventory) -> str:
    """Why harden.yml must leave the host to another inventory; empty if it need not."""
    return inventory.stranger or inventory.differing_hardening


def _obstacle(inventory: Inventory) -> str:
    """Why clients could not reach the apps on this host; empty if they can."""
    return inventory.obstacle(inventory.apps)


def _refusal(inventory: Inventory) -> str:
    """Why this run must leave the host to another inventory; empty if it need not."""
    return inventory.stranger


def lock(tool: str) -> str:
    """The lock that the kit ships of a tool: its version, which is the model's, and the hashes of its wheels."""
    return (LOCKS / f"{tool}.txt").read_text(encoding="utf-8")


def _tools(inventory: Inventory) -> dict[str, dict[str, str]]:
    """The tools, each with the hashes of its wheels (`lock`) and the folder of its virtualenv (`venv`)."""
    wanted = {**TOOLS, **_certbot(inventory)}
    texts = {name: lock(name) for name in wanted}
    if "certbot" in wanted:
        plugins = authority.wanted_plugins(sites.certificates(inventory.apps))
        texts["certbot"] += "".join(lock(f"certbot-dns-{plugin}") for plugin in plugins)
    return {name: {"lock": texts[name], "venv": program.rpartition("/bin/")[0]} for name, program in wanted.items()}


def _certified(inventory: Inventory) -> list[str]:
    """The sites that have or need a certificate on the host: the two differ when an app leaves."""
    here = [one.site for one in sites.certificates(inventory.served(inventory.apps))]
    return list(dict.fromkeys([*here, *inventory.facts.certificates]))


def _unneeded(inventory: Inventory) -> list[str]:
    """The sites whose certificate on the host no site needs any more."""
    here = {one.site for one in sites.certificates(inventory.served(inventory.apps))}
    # nginx starts only with the certificates of all sites.
    needed = here | {*inventory.others_certificates}
    return [name for name in inventory.facts.certificates if name not in needed]


def _completed(inventory: Inventory) -> list[str]:
    """The sites whose certificates this run completes: nginx serves them by then. A rollback waits for no authority."""
    apps = inventory.served(inventory.apps)
    made = [site.certificate for site in sites.sites(apps, inventory.late) if site.certificate]
    return [one.site for one in made if one.source != "acme" or inventory.run.purpose != "rollback"]


def _indexes(inventory: Inventory) -> dict[str, Any]:
    """Where the tools are installed from."""
    indexes = inventory.indexes
    return {"url": indexes.url, "extra": indexes.extra, "ca": names.CA_FILE if indexes.ca else None}


def _run(inventory: Inventory) -> list[dict[str, str]]:
    """The roots of the apps that this run deploys."""
    return [{"root": names.app_root(name)} for name in inventory.going]


def _absent(inventory: Inventory) -> list[dict[str, str]]:
    """The roots of the apps that this run is to remove."""
    return [{"root": names.app_root(name)} for name in inventory.absent if name not in inventory.spared]


def _removed(inventory: Inventory) -> list[dict[str, Any]]:
    """The apps that this run removes, as the module `remove` takes them. A rollback removes none."""
    if inventory.run.purpose == "rollback":
        return []
    return [
        {
            "name": app.name,
            "root": app.root,
            "site_logs": artefacts.site_logs(app, inventory.apps, inventory.sites),
        }
        for app in inventory.apps
        if app.state == "absent" and app.name not in inventory.spared
    ]


def _returning(inventory: Inventory) -> list[str]:
    """Which of the apps that a run removes the next deploy would bring back."""
    names_of = [app.name for app in inventory.written if app.state == "present" and app.name in inventory.absent]
    return [
        f"The inventory still has {name}. Delete its entry, or the next deploy brings it back." for name in names_of
    ]


def hooks_of(inventory: Inventory, when: str) -> list[dict[str, Any]]:
    """What the apps of this run do at one of the hooks. A run that is refused has none: it would run in another environment."""
    if inventory.stranger:
        return []
    return [
        {"name": app.name, "root": app.root, **asdict(hook)}
        for app in inventory.to_deploy
        for hook in app.hooks
        if hook.when == when
    ]


def _refused_log(inventory: Inventory) -> str:
    """The log of nginx's that fail2ban reads; empty on a host without nginx."""
    return hardening.refused_log(inventory.host)


PARTS: Mapping[str, Callable[[Inventory], Any]] = {
    "absent": _absent,
    "accounts": _accounts,
    "app_packages": _app_packages,
    "can_harden": _can_harden,
    "certified": _certified,
    "completed": _completed,
    "directories": _directories,
    "firewall_file": _firewall_file,
    "hardened": _hardened,
    "hardening": _hardening,
    "hardening_refusal": _hardening_refusal,
    "held": _held,
    "indexes": _indexes,
    "look": _look,
    "missing_packages": _missing_packages,
    "missing_setup": _missing_setup,
    "missing_tools": _missing_tools,
    "new_apps": _new_apps,
    "nginx": _nginx,
    "obstacle": _obstacle,
    "origin": _origin,
    "packages": _packages,
    "refusal": _refusal,
    "refused_log": _refused_log,
    "removed": _removed,
    "returning": _returning,
    "run": _run,
    "services": _services,
    "settings": _settings,
    "shared": _shared,
    "supervisor_running": _supervisor_running,
    "tools": _tools,
    "unneeded_certificates": _unneeded,
    **{f"hooks/{key.name}": partial(hooks_of, when=key.name) for key in schema.HOOKS},
}
"""Every part that a role can ask for."""


class LookupModule(LookupBase):
    """Resolves the host and returns parts of it."""

    def run(self, terms: list[str], variables: Mapping[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        """Return one value for each term.

        Raises:
            AnsibleLookupError: there is no such part, or the inventory cannot be resolved.
        """
        # Before the inventory is resolved, so that a KeyError there is not mistaken for an unknown part.
        parts = [part(str(term)) for term in terms]
        try:
            inventory = inventories.load(self._templar, variables or {})
            return [derive(inventory) for derive in parts]
        except (ModelError, doors.PagesError) as exc:
            raise AnsibleLookupError(str(exc)) from exc


def part(name: str) -> Callable[[Inventory], Any]:
    """The function that derives a part. Raises AnsibleLookupError."""
    if name not in PARTS:
        raise AnsibleLookupError(f"slipway.kit.resolved has no part {name}{spelling.did_you_mean(name, list(PARTS))}")
    return PARTS[name]
