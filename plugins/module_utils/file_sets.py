"""The kit's sets of files on a host: what is in each, which command tests it, and which make a daemon read it.

The actions take them from here, and not from the lookup `resolved`. The lookup's answer would become a value of Ansible's, and a
set of sites has hundreds of values for each app.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import doors, programs, reading
from .contract import names
from .inventory import Inventory
from .model import artefacts, hardening, spelling
from .model.managers import PROCESS_MANAGERS, Entry
from .model.types import ModelError

VISUDO = "/usr/sbin/visudo"
"""Checks sudo's rules; where it is missing, sudo is not installed."""
NGINX_TEST = ("/usr/sbin/nginx", "-t", "-q")
"""nginx's own parser, on all of its files."""

Commands = Sequence[Sequence[str]]


@dataclass(frozen=True)
class FileSet:
    """A set of files that are placed together, or none of them."""

    entries: Callable[[Inventory], Sequence[Entry]]
    """The files, as the action `files` takes them."""
    validate: Callable[[Inventory], Sequence[str]] = lambda _: ()
    """The command that tests the placed files; empty for none."""
    apply: Callable[[Inventory], Commands] = lambda _: ()
    """The commands that make a daemon read them."""


def _reload_services(inventory: Inventory) -> Commands:
    """The commands by which the init reads changed files of services."""
    return inventory.host.init.reload_services


def _reload_nginx(inventory: Inventory) -> Commands:
    """The command that reloads nginx, and does nothing where nginx does not run."""
    return [inventory.host.init.reload_nginx]


def _certificates(inventory: Inventory) -> list[Entry]:
    """The certificate authorities that the host trusts for package indexes."""
    if not inventory.variables.get("package_ca_file") and inventory.is_applied_elsewhere("package_ca_file"):
        return []
    if not inventory.indexes.ca:
        return [{"dest": names.CA_FILE, "state": "absent"}]
    text = reading.text(Path(inventory.indexes.ca).expanduser(), reading.AUTHORITIES)
    return [{"dest": names.CA_FILE, "content": text, "diff": False}]


def _has_sudo(inventory: Inventory) -> bool:
    return inventory.facts.tools.get("sudo", False)


def _commands(inventory: Inventory) -> list[Entry]:
    """List what runs an app's commands on the host."""
    ruled = inventory.facts.ruled
    return artefacts.commands(inventory.apps, programs.slipway_run(), _has_sudo(inventory), ruled)


def _sites(inventory: Inventory) -> list[Entry]:
    """List the sites of all apps. The files of an app that is held back stay unchanged, and so do those of one that stays for now."""
    apps = inventory.served(inventory.apps)
    back = inventory.late | inventory.spared | inventory.unfinished
    texts = doors.texts(inventory)
    return artefacts.nginx_sites(inventory.settings, inventory.host, apps, inventory.sites, back, texts)


def _leaving(inventory: Inventory) -> list[Entry]:
    """List nginx's files that change when apps are removed from the host.

    Raises:
        ModelError: some are shared with another inventory of the host, which has other settings.
    """
    before, after = inventory.served(inventory.written), inventory.served(inventory.apps)
    entries = artefacts.nginx_leaving(
        inventory.settings, inventory.host, before, after, inventory.sites, inventory.spared
    )
    if inventory.differing and {names.NGINX_BASE, artefacts.NGINX_REFUSE} & {one["dest"] for one in entries}:
        raise ModelError(inventory.differing)
    return entries


def _of_nginx(entries: Callable[[Inventory], list[Entry]]) -> FileSet:
    return FileSet(entries, validate=lambda _: NGINX_TEST, apply=_reload_nginx)


SETS: Mapping[str, FileSet] = {
    "nginx": _of_nginx(lambda inventory: artefacts.nginx_base(inventory.settings, inventory.host)),
    "sites": _of_nginx(_sites),
    "leaving": _of_nginx(_leaving),
    "supervisor": FileSet(
        lambda inventory: PROCESS_MANAGERS["supervisor"].files(inventory.host.init),
        apply=_reload_services,  # the next restart then uses this unit
    ),
    "systemd": FileSet(lambda inventory: inventory.host.init.nginx, apply=_reload_services),
    "authorities": FileSet(_certificates),
    "commands": FileSet(
        _commands,
        validate=lambda inventory: artefacts.sudo_test(_commands(inventory), VISUDO),
    ),
    "firewall": FileSet(
        lambda inventory: hardening.firewall(
            inventory.settings, inventory.apps, inventory.access["ports"], inventory.listening
        ),
        validate=lambda _: ("nft", "-c", "-f", names.FIREWALL),
    ),
    "ssh": FileSet(
        lambda inventory: hardening.ssh(inventory.settings.ssh_passwords or not inventory.access["key"]),
        validate=lambda _: ("sshd", "-t"),
    ),
    "updates": FileSet(
        lambda inventory: hardening.updates(inventory.settings), validate=lambda _: ("apt-config", "dump")
    ),
    "fail2ban": FileSet(
        lambda inventory: hardening.fail2ban(inventory.settings, inventory.host, inventory.apps, inventory.listening),
        validate=lambda _: ("fail2ban-client", "--test"),
    ),
}
"""Every set, by its name."""


def resolved(inventory: Inventory, wanted: Sequence[str]) -> dict[str, Any]:
    """What the action `files` takes for these sets, placed together: `files`, `validate` and `apply`.

    Raises:
        ModelError: there is no such set, two of them have a test, or the inventory cannot be resolved.
        PagesError: an app's own error pages cannot be used.
    """
    for name in wanted:
        if name not in SETS:
            raise ModelError(f"there is no set of files {name}{spelling.did_you_mean(name, list(SETS))}")
    sets = [SETS[name] for name in wanted]
    tests = [list(test) for one in sets if (test := one.validate(inventory))]
    if len(tests) > 1:
        raise ModelError(f"{' and '.join(wanted)} cannot be placed together: each has its own test")
    return {
        "files": [entry for one in sets for entry in one.entries(inventory)],
        "validate": tests[0] if tests else [],
        "apply": [list(command) for one in sets for command in one.apply(inventory)],
    }
