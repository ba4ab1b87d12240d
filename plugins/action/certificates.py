"""Give the host what its certificates need, and remember which could not be had: the run reports them at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.kit.plugins.action import resident
from ansible_collections.slipway.kit.plugins.module_utils import inventory, programs, reading
from ansible_collections.slipway.kit.plugins.module_utils.inventory import Inventory
from ansible_collections.slipway.kit.plugins.module_utils.model import acme, authority, sites
from ansible_collections.slipway.kit.plugins.module_utils.model.types import Certificate, ModelError

FACT = "slipway_certificates"
"""The fact of the run: `missing`, the sites for which an authority is to be asked, and `failures`, by site."""

resident.spec("certificates")  # before Ansible forks: see there


class ActionModule(resident.ActionModule):
    """The module, with the program, its settings and the secrets."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task; returns the module's result."""
        result: dict[str, Any] = ActionBase.run(self, tmp, task_vars)
        task_vars = task_vars or {}
        call = dict(self._task.args)
        state = call.get("state")
        if state in ("prepared", "finished"):
            try:
                call |= self._needs(inventory.load(self._templar, task_vars), task_vars, state == "prepared")
            except ModelError as exc:
                raise AnsibleActionFail(str(exc)) from exc
        if state == "listed":
            result.update(self._looked("slipway.kit.certificates", call, task_vars))
        else:
            result.update(self._execute_module(module_args=call, task_vars=task_vars))
        if result.get("failed") or resident.TROUBLE in result:
            return result
        rows = result.get("sites") or []
        failures = {row["site"]: row["failure"] for row in rows if row["failure"]}
        result["ansible_facts"] = {FACT: {"missing": result.get("missing") or [], "failures": failures}}
        lines = [f"{row['site']}: {row['failure'] or row['remark']}" for row in rows if row["failure"] or row["remark"]]
        if lines and state != "listed":
            result["warnings"] = [*result.get("warnings", []), *lines]
        return result

    def _needs(self, host: Inventory, task_vars: dict[str, Any], with_provided: bool) -> dict[str, Any]:
        """What the module is given besides the task's own options."""
        certificates = sites.certificates(host.served(host.apps))
        credentials = {one.site: self._credentials(host, one) for one in certificates if one.dns}
        waits = {site: int(given[acme.PROPAGATION]) for site, given in credentials.items() if acme.PROPAGATION in given}
        plugins = {one.site: one.dns for one in certificates if one.dns}
        secrets = {
            f"{site}.credentials": authority.credentials_file(plugins[site], given)
            for site, given in credentials.items()
        }
        if host.variables.get("acme_eab"):
            secrets["account.ini"] = authority.account_file(host.variables["acme_eab"])
        base = inventory.base(task_vars)
        ca = host.variables.get("acme_ca_file")
        return {
            "program": programs.of_host(),
            "settings": authority.program_settings(certificates, host.settings, host.host.init, host.variables, waits),
            "secrets": secrets,
            "keep": host.others_certificates,
            "authority": reading.text(authority.ca_file(ca, base), reading.AUTHORITIES) if ca else "",
            "provided": self._provided(certificates, base) if with_provided else {},
        }

    @staticmethod
    def _credentials(host: Inventory, one: Certificate) -> dict[str, Any]:
        """What the user wrote for the DNS plugin of a site."""
        return dict(host.entry(one.app)["tls"]["acme"].get("credentials", {}))

    def _provided(self, certificates: list[Certificate], base: Path) -> dict[str, dict[str, str]]:
        """The user's own certificates, which the check of the inventory has read once already."""
        pairs = {}
        for one in certificates:
            if one.source == "provided":
                from ansible_collections.slipway.kit.plugins.module_utils import (
                    provided,
                )  # few inventories need cryptography

                try:
                    pair = provided.pair(one.chain, one.key, base, self._loader)
                except provided.ProvidedError as exc:
                    raise AnsibleActionFail(f"apps.{one.app}.tls.{exc.part} {exc}") from exc
                pairs[one.site] = {"chain": pair.chain, "key": pair.key}
        return pairs
