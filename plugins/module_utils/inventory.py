"""What the controller knows of one host: its variables, resolved. The actions and the lookup share it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import generated, holding, indexes, reading, run_plan, sources, templated
from .contract import facts as contract
from .contract import origins, typed
from .contract.facts import Facts
from .model import authority, front, layout, managers, resolve, schema, shared, sites
from .model import settings as hosts_settings
from .model.types import App, Host, Listener, ModelError, Settings
from .sources.cache import root


@dataclass(frozen=True)
class Resolved:
    """What follows from an inventory for one host."""

    host: Host
    settings: Settings
    apps: list[App]
    """Every app; those in `remove_apps`, which `playbooks/remove.yml` sets, are absent whatever the inventory says."""
    written: list[App]
    """With `remove_apps`: the apps as the inventory has them."""


@dataclass(frozen=True)
class Inventory:
    """What the controller knows of one host."""

    variables: Mapping[str, Any]
    chosen: tuple[str, ...]
    """The apps this run is about: all, or those of `-e app=…`."""
    indexes: indexes.Indexes
    held: holding.Held
    """The apps that this run holds back."""
    access: Mapping[str, Any]
    """How ssh lets people in, by the `access` action; empty before it ran."""
    known: Facts | None
    """None before the host was asked."""
    resolved: Resolved | None
    """None where the host's facts are unknown, and none are assumed."""
    left_out: Collection[str]
    """The apps whose entries are wrong, in a run that is not about them."""
    run: run_plan.Run
    """What this run does."""
    address: str
    """Where the host answers for an app without a domain, for a message: as the controller reaches it."""

    @property
    def facts(self) -> Facts:
        """Return the host's facts.

        Raises:
            ModelError: it was not asked yet.
        """
        if self.known is None:
            raise ModelError(UNKNOWN)
        return self.known

    @property
    def host(self) -> Host:
        """The host.

        Raises:
            ModelError: it was not asked yet, and none is assumed.
        """
        return self._resolved.host

    @property
    def settings(self) -> Settings:
        """The host's settings; raises as `host` does."""
        return self._resolved.settings

    @property
    def apps(self) -> list[App]:
        """Every app, resolved; raises as `host` does."""
        return self._resolved.apps

    @property
    def written(self) -> list[App]:
        """The apps as the inventory has them while some are to be removed; raises as `host` does."""
        return self._resolved.written

    @property
    def _resolved(self) -> Resolved:
        if self.resolved is None:
            raise ModelError(UNKNOWN)
        return self.resolved

    @property
    def entries(self) -> Mapping[str, Mapping[str, Any]]:
        """What the user wrote of each app."""
        entries: Mapping[str, Mapping[str, Any]] = self.variables["apps"]
        return entries

    def entry(self, name: str) -> Mapping[str, Any]:
        """What the user wrote of an app."""
        return self.entries[name]

    def vault(self, name: str) -> Mapping[str, Any]:
        """What `vault_apps` holds of an app."""
        return (self.variables.get("vault_apps") or {}).get(name) or {}

    def setting(self, name: str) -> Any:
        """A setting that is known before the host is."""
        return hosts_settings.value(self.variables, name)

    @property
    def absent(self) -> list[str]:
        """The names of the apps that are not to be on the host."""
        return [name for name, entry in self.entries.items() if entry.get("state") == "absent"]

    @property
    def spared(self) -> set[str]:
        """The names of the absent apps that this run does not remove.

        Those are the apps that it is not about. While an app that it deploys is held back, all stay: it may be the one that takes
        over their clients. A rollback removes none.
        """
        stays = bool(self.late & set(self.going)) or self.run.purpose == "rollback"
        return {name for name in self.absent if stays or name not in self.chosen}

    @property
    def late(self) -> set[str]:
        """The names of the apps that this run does not switch: those that are held back, and those that cannot be resolved."""
        known = self.resolved.apps if self.resolved else ()
        return {*self.held, *(app.name for app in known if app.fault and app.state == "present")}

    @property
    def unfinished(self) -> set[str]:
        """The names of the apps that this run is not about and whose first switch was interrupted: no client has been there yet."""
        names = set()
        for app in self.apps:
            on_host = self.facts.app(app.name)
            current = on_host.releases.get(on_host.current or "")
            if app.name not in self.chosen and current and not (current.activated or current.previous):
                names.add(app.name)
        return names

    @property
    def going(self) -> list[str]:
        """The names of the apps that this run deploys."""
        return [name for name in self.entries if name in self.chosen and name not in self.absent]

    @property
    def to_deploy(self) -> list[App]:
        """The apps that this run deploys."""
        return [app for app in self.apps if app.name in self.going]

    @property
    def sites(self) -> Mapping[str, Sequence[str]]:
        """nginx's site files on the host, each with the apps that it includes."""
        return self.facts.nginx.sites

    @property
    def listening(self) -> list[Listener]:
        """Where nginx listens on the host now, for the apps of all inventories: also where the next deploy no longer will."""
        return sites.elsewhere(self.host, self.sites, ())

    @property
    def others_certificates(self) -> list[str]:
        """The sites with a certificate on the host that serve an app which this inventory does not have, or which it spares."""
        known = {app.name for app in self.apps} - self.spared
        others = {path for path, apps in self.sites.items() if not set(apps) <= known}
        return [name for name in self.facts.certificates if layout.site_file(name) in others]

    def obstacle(self, apps: Sequence[App]) -> str:
        """What on this host has to be corrected before anything is built for `apps`; empty when there is nothing."""
        return self.stranger or sites.obstacle(apps, self.settings, self.host) or self.displaced

    @property
    def origin(self) -> str:
        """The name of this inventory; empty if it has none."""
        return origins.name(self.variables[hosts_settings.FOLDER])

    @property
    def stranger(self) -> str:
        """Why this run leaves apps alone that belong to another inventory; empty where none does, or it takes them over.

        It writes the sites of all apps, so those that it is not about count, too. An app that was removed without its data is still
        the other inventory's: the host forgets that with the data.
        """
        taken = self.chosen if self.run.takes_over else ()
        owners = {name: self.facts.origins.get(name, "") for name in self.entries if name not in taken}
        return origins.refusal(owners, self.origin) or ("" if self.keeps_sites else self.differing)

    @property
    def keeps_sites(self) -> bool:
        """Whether this run leaves nginx's files as they are.

        A rollback does where it knows only some of the apps, and where other inventories need other values in them.
        """
        return self.run.purpose == "rollback" and bool(self.left_out or self.differing)

    @property
    def differing(self) -> str:
        """Why this run must not write the files that all inventories of the host share; empty where it may."""
        return (
            "" if self.run.takes_over else origins.difference(self._applied, self.shared, self.origin, self.variables)
        )

    @property
    def differing_hardening(self) -> str:
        """The same for the files that `harden.yml` writes."""
        return (
            "" if self.run.takes_over else origins.difference(self._applied, self.hardened, self.origin, self.variables)
        )

    @property
    def _applied(self) -> Mapping[str, Mapping[str, str]]:
        """What the inventories that have an app on the host applied to it."""
        return origins.counting(self.facts.applied, self.facts.origins, self.facts.live)

    @property
    def shared(self) -> Mapping[str, str]:
        """The settings in the files that all inventories of the host share."""
        # Not what the controller's environment names: that differs from one controller to the next.
        files = {"package_ca_file": self.variables.get("package_ca_file")}
        if acme := self.variables.get("acme_ca_file"):
            files["acme_ca_file"] = str(authority.ca_file(acme, Path(self.variables[hosts_settings.FOLDER])))
        authorities = {name: reading.fingerprint(Path(path).expanduser()) for name, path in files.items() if path}
        return shared.deployed(self.settings, self.apps, self.variables, authorities)

    def is_applied_elsewhere(self, setting: str) -> bool:
        """Whether another inventory of the host has applied a setting."""
        return any(settings.get(setting) for other, settings in self._applied.items() if other != self.origin)

    @property
    def hardened(self) -> Mapping[str, str]:
        """The settings in the files that `harden.yml` writes."""
        return shared.hardened(self.settings)

    @property
    def displaced(self) -> str:
        """Which app of another inventory would lose its clients to a site of this one; empty where none would."""
        theirs = origins.theirs(self.facts.origins, self.origin)
        return "" if self.keeps_sites else sites.displaced(self.served(self.apps), self.facts.nginx.names, theirs)

    def served(self, apps: Sequence[App]) -> list[App]:
        """The apps as nginx is to know them: what would only get a 502 is absent.

        That is an app without a current release on the host which this run does not deploy either. The entry of an absent app need
        not say where on its domain the app lives: the host knows it.
        """
        return [self._served(app) for app in apps]

    def _served(self, app: App) -> App:
        on_host = self.facts.app(app.name)
        current = on_host.releases.get(on_host.current or "")
        if app.state == "absent" and current and current.mount:
            return replace(app, mount=current.mount)
        return app if app.name in self.chosen or on_host.current else replace(app, state="absent")


LOCAL = "127.0.0.1"
LEFT_OUT = "slipway_left_out"
"""The fact that names the apps whose entries are wrong, in a run that is not about them and writes nothing that apps share."""
ENTRIES = ("apps", "vault_apps")
UNKNOWN = "the facts of this host are not read yet; run slipway.kit.facts or slipway.kit.lock first"


def load(templar: Any, task_vars: Mapping[str, Any], assume: bool = False) -> Inventory:
    """Resolve the inventory of the host with these `task_vars`, as far as the host is known.

    Args:
        templar: the action's or the lookup's.
        task_vars: the host's variables, with its facts.
        assume: take a common small host where there are no facts, for what contacts no host.

    Raises:
        ModelError: the inventory cannot be resolved on this host.
    """
    ansible_facts = task_vars.get("ansible_facts") or {}
    others = frozenset(ansible_facts.get(LEFT_OUT) or ())
    variables = {
        name: templated.plain(
            _without(others, task_vars[name]) if name in ENTRIES else task_vars[name], templar.template
        )
        for name in schema.VARIABLES
        if task_vars.get(name) is not None
    }
    generated.fill(variables, base(task_vars))
    variables[hosts_settings.FOLDER] = str(base(task_vars))
    leaving = chosen(templar.template(task_vars.get("remove_apps")))
    written = variables.get("apps") or {}
    if leaving:
        absent = {name: {**written.get(name, {}), "state": "absent"} for name in leaving}
        variables["apps"] = {**written, **absent}
    facts = _facts(ansible_facts)
    host = None
    if facts:
        host = Host.from_facts(facts, ansible_facts.get("slipway_unavailable") or {})
    elif assume:
        host = assumed(variables)
    remote = templar.template(task_vars.get("ansible_connection", "ssh")) != "local"
    address = templar.template(task_vars.get("ansible_host") or task_vars.get("inventory_hostname"))
    return Inventory(
        variables=variables,
        chosen=chosen(templar.template(task_vars.get("app"))) or tuple(variables["apps"]),
        indexes=indexes.find(variables, os.environ, indexes.pip_settings(), remote),
        held=holding.held(ansible_facts),
        access=ansible_facts.get("slipway_access") or {},
        known=facts,
        resolved=None
        if host is None
        else Resolved(
            host=host,
            settings=hosts_settings.settings(variables, host),
            apps=resolve.resolve_all(variables, host),
            written=resolve.resolve_all({**variables, "apps": written}, host) if leaving else [],
        ),
        left_out=others,
        run=run_plan.read(templar.template, task_vars, ansible_facts),
        address=front.address(address or LOCAL) if remote else LOCAL,
    )


def _without(names: Collection[str], entries: Any) -> Any:
    """Entries of apps, but those of `names`."""
    if not names or not isinstance(entries, Mapping):
        return entries
    return {name: entry for name, entry in entries.items() if name not in names}


def keys(templar: Any, hostvars: Any, host: str, wanted: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """The apps that a host's variables have, each with those of its `wanted` keys that its entry has.

    Nothing else of an entry is rendered: it may be one that is wrong and that this run leaves out.
    """
    raw = hostvars.raw_get(host)
    template = templar.copy_with_new_env(available_variables=raw).template
    apps = raw.get("apps") or {}
    if not isinstance(apps, Mapping):  # one template for all of them
        apps = template(apps) or {}
    rendered = {}
    for name, entry in _without(frozenset((raw.get("ansible_facts") or {}).get(LEFT_OUT) or ()), apps).items():
        mapping = entry if isinstance(entry, Mapping) else template(entry)
        rendered[str(name)] = {key: template(mapping[key]) for key in wanted if key in mapping}
    return rendered


def _facts(ansible_facts: Mapping[str, Any]) -> Facts | None:
    if not ansible_facts.get("slipway"):
        return None
    try:
        return contract.read(ansible_facts["slipway"])
    except typed.Misfit as exc:
        raise ModelError(f"the facts of this host are not those of this kit: {exc}; run the whole playbook") from exc


def assumed(variables: Mapping[str, Any]) -> Host:
    """A common small host that can have the inventory's process manager."""
    manager = managers.PROCESS_MANAGERS.get(str(variables.get("process_manager")), managers.SYSTEMD)
    return Host.assumed(init=manager.inits[0])


def chosen(value: Any) -> tuple[str, ...]:
    """The names in `-e app=shop,blog` or `-e '{"app": ["shop"]}'`."""
    if value is None:
        return ()
    return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else tuple(value)


def base(task_vars: Mapping[str, Any]) -> Path:
    """The inventory's folder: where relative paths start from, and generated secrets are kept."""
    return Path(str(task_vars.get("inventory_dir") or os.getcwd()))


def origin(task_vars: Mapping[str, Any]) -> str:
    """The name of the inventory of a host; empty if it has none."""
    return origins.name(str(base(task_vars)))


def fetch(entry: Mapping[str, Any], task_vars: Mapping[str, Any], log: Callable[[str], None]) -> sources.Tree:
    """The code of one app, fetched once per run. Raises SourceError."""
    return sources.fetch(
        entry["source"],
        requirements=entry.get("requirements"),
        constraints=entry.get("constraints"),
        base=base(task_vars),
        cache=root(),
        log=log,
    )
