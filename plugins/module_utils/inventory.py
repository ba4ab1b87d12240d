"""What the controller knows of one host: its variables, resolved. The actions and the lookup share it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError, AnsibleUndefinedVariable

from . import generated, holding, indexes, sources
from .model import resolve, schema
from .model.validation import Fault, secret

VARIABLES = ("apps", "vault_apps", *(key.name for key in schema.SETTINGS))


@dataclass(frozen=True)
class Inventory:
    """One host, resolved."""

    variables: Mapping[str, Any]
    facts: Mapping[str, Any] | None
    access: Mapping[str, Any]
    """How ssh lets people in, by the `access` action; empty before it ran."""
    host: resolve.Host
    settings: resolve.Settings
    apps: list[resolve.App]
    """Every app; those in `remove_apps`, which `playbooks/remove.yml` sets, are absent whatever the inventory says."""
    written: list[resolve.App]
    """With `remove_apps`: the apps as the inventory has them."""
    chosen: tuple[str, ...]
    """The apps this run is about: all, or those of `-e app=…`."""
    indexes: indexes.Indexes
    held: holding.Held
    """The apps that this run holds back."""

    def entry(self, name: str) -> Mapping[str, Any]:
        """What the user wrote of an app."""
        return self.variables["apps"][name]

    def vault(self, name: str) -> Mapping[str, Any]:
        """What `vault_apps` holds of an app."""
        return (self.variables.get("vault_apps") or {}).get(name) or {}

    @property
    def to_deploy(self) -> list[resolve.App]:
        """The apps that this run deploys."""
        return [app for app in self.apps if app.state == "present" and app.name in self.chosen]

    @property
    def sites(self) -> Mapping[str, Sequence[str]]:
        """nginx's site files on the host, each with the apps that it includes."""
        sites: Mapping[str, Sequence[str]] = (self.facts or {}).get("nginx", {}).get("sites", {})
        return sites

    def served(self, apps: Sequence[resolve.App]) -> list[resolve.App]:
        """The apps as nginx is to know them: what would only get a 502 is absent.

        That is an app without a current release on the host which this run does not deploy either.
        """
        on_host = (self.facts or {}).get("apps", {})
        return [
            app if app.name in self.chosen or on_host.get(app.name, {}).get("current") else replace(app, state="absent")
            for app in apps
        ]

    @property
    def share(self) -> float:
        """The part of the host's memory that one app's workers may take by default."""
        return resolve.HOST_SHARE / (sum(1 for app in self.apps if app.state == "present") or 1)


def plain(
    value: Any, template: Callable[[Any], Any], path: tuple[Any, ...] = (), faults: list[Fault] | None = None
) -> Any:
    """`value` with every template in it rendered, as plain mappings, lists and scalars.

    A leaf that does not render raises, or becomes one of `faults` when such a list is given.
    """
    if isinstance(value, str) or not isinstance(value, Mapping | list | tuple):
        try:
            done = template(value)
        except AnsibleError as exc:
            if faults is None:
                raise
            faults.append(Fault(path, _unrendered(exc, path)))
            return None
        if isinstance(done, Mapping | list | tuple):  # a whole mapping out of one expression
            return plain(done, template, path, faults)
        return done
    if isinstance(value, Mapping):
        return {key: plain(item, template, (*path, key), faults) for key, item in value.items()}
    return [plain(item, template, (*path, number), faults) for number, item in enumerate(value)]


def _unrendered(exc: AnsibleError, path: tuple[Any, ...]) -> str:
    """Why a value does not render; of a secret only where it is sure that the reason does not quote it."""
    if isinstance(exc, AnsibleUndefinedVariable):
        return f"does not render: {exc.message}; define it in the inventory, or correct its name"
    if "decrypt" in exc.message:
        return "cannot be decrypted; give the vault's password with --ask-vault-pass or --vault-password-file"
    return "does not render" if secret(path) else f"does not render: {exc.message}"


def load(templar: Any, task_vars: Mapping[str, Any]) -> Inventory:
    """Resolve the host whose variables are `task_vars`. Raises ModelError.

    Without facts (the offline render) a common small host is assumed.
    """
    variables = {
        name: plain(task_vars[name], templar.template) for name in VARIABLES if task_vars.get(name) is not None
    }
    generated.fill(variables, base(task_vars))
    leaving = chosen(templar.template(task_vars.get("remove_apps")))
    written = variables.get("apps") or {}
    if leaving:
        absent = {name: {**written.get(name, {}), "state": "absent"} for name in leaving}
        variables["apps"] = {**written, **absent}
    facts = (task_vars.get("ansible_facts") or {}).get("slipway")
    host = (
        resolve.Host.from_facts(facts, (task_vars.get("ansible_facts") or {}).get("slipway_unavailable") or {})
        if facts
        else resolve.Host(systemd=variables.get("process_manager") != "supervisor")
    )
    remote = templar.template(task_vars.get("ansible_connection", "ssh")) != "local"
    return Inventory(
        variables=variables,
        facts=facts,
        access=(task_vars.get("ansible_facts") or {}).get("slipway_access") or {},
        host=host,
        settings=resolve.settings(variables, host),
        apps=resolve.resolve_all(variables, host),
        written=resolve.resolve_all({**variables, "apps": written}, host) if leaving else [],
        chosen=chosen(templar.template(task_vars.get("app"))) or tuple(variables["apps"]),
        indexes=indexes.find(variables, os.environ, indexes.pip_settings(), remote),
        held=holding.held(task_vars.get("ansible_facts") or {}),
    )


def chosen(value: Any) -> tuple[str, ...]:
    """The names in `-e app=shop,blog` or `-e '{"app": ["shop"]}'`."""
    if value is None:
        return ()
    return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else tuple(value)


def base(task_vars: Mapping[str, Any]) -> Path:
    """The inventory's folder: where relative paths start from, and generated secrets are kept."""
    return Path(str(task_vars.get("inventory_dir") or os.getcwd()))


def fetch(entry: Mapping[str, Any], task_vars: Mapping[str, Any], log: Callable[[str], None]) -> sources.Tree:
    """The code of one app, fetched once per run. Raises SourceError."""
    return sources.fetch(
        entry["source"],
        requirements=entry.get("requirements"),
        constraints=entry.get("constraints"),
        base=base(task_vars),
        cache=cache(),
        log=log,
    )


def cache() -> Path:
    """The controller's folder for what can be made again."""
    return Path(os.environ.get("SLIPWAY_CACHE") or Path.home() / ".cache" / "slipway")
