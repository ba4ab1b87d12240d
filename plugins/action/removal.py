"""Check, before an app is removed, that one is named and that a host has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible import context
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.kit.plugins.action import preflight, resident
from ansible_collections.slipway.kit.plugins.module_utils import display, environments, inventory, whole_runs
from ansible_collections.slipway.kit.plugins.module_utils.contract import names, origins
from ansible_collections.slipway.kit.plugins.module_utils.model import spelling
from ansible_collections.slipway.kit.plugins.module_utils.model.validation import Fault
from ansible_collections.slipway.kit.plugins.module_utils.sources.cache import current_run


class ActionModule(preflight.ActionModule):
    """Runs on the controller alone; once before the hosts were looked at, once after it."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail with one sentence, or return the names of the apps to remove.

        A name is known when a host has it in its inventory or on its disk. The hosts' facts list the latter.
        """
        result: dict[str, Any] = ActionBase.run(self, tmp, task_vars)
        task_vars = task_vars or {}
        if why := whole_runs.refusal(context.CLIARGS) or environments.refusal(
            context.CLIARGS.get("inventory") or (), preflight.GROUP
        ):
            result.update(failed=True, msg=why, **display.as_("only"))
            return result
        if not preflight.hosts_of_the_run(task_vars):
            result.update(failed=True, msg=preflight.without_hosts(task_vars["groups"]), **display.as_("only"))
            return result
        hosts = [str(host) for host in task_vars["groups"].get(preflight.GROUP, ())]
        self._begin()
        inventory_faults = [fault for host in hosts for fault in self._host(host, task_vars["hostvars"], False)]
        inventory_faults += [*self._files(hosts, task_vars), *self._given()]
        facts = [
            host_facts
            for host in hosts
            if (host_facts := (task_vars["hostvars"].raw_get(host).get("ansible_facts") or {}).get("slipway"))
        ]
        known = sorted(self._apps.union(*(host_facts["deployed"] for host_facts in facts)))
        wanted = [name for name in inventory.chosen(self._templar.template(task_vars.get("app"))) if name]
        msg = ""
        if not wanted:
            choice = f"; the inventory has: {', '.join(known)} (a host may have more)" if known else ""
            msg = f"Say which app to remove: -e app=NAME{choice}. No host was touched."
        elif impossible := [name for name in dict.fromkeys(wanted) if not names.APP.fullmatch(name)]:
            msg = "\n".join(_impossible(name, known) for name in impossible)
        elif inventory_faults:
            msg = preflight.in_words(inventory_faults)
        elif facts:
            msg = "\n".join(
                f"app {name} is neither in the inventory nor on a host{spelling.did_you_mean(name, known)}"
                for name in dict.fromkeys(wanted)
                if name not in known
            ) or "\n".join(self._strangers(hosts, wanted, task_vars))
        if msg:
            result.update(failed=True, msg=msg, **display.as_("only"))
            return result
        if self._advice and not facts:  # once
            result["warnings"] = list(self._advice)
        result.update(changed=False, apps=wanted, ansible_facts={resident.CHECKED: current_run()})
        return result

    def _strangers(self, hosts: Sequence[str], wanted: Sequence[str], task_vars: Mapping[str, Any]) -> Iterator[str]:
        """Why apps stay that belong to another inventory than this one."""
        for host in hosts if not boolean(task_vars.get("take_over", False)) else ():
            variables = task_vars["hostvars"].raw_get(host)
            facts = (variables.get("ansible_facts") or {}).get("slipway") or {}
            owners = {name: (facts.get("origins") or {}).get(name, "") for name in wanted}
            if why := origins.refusal(owners, inventory.origin(variables)):
                yield f"{host}: {why}"

    def _host(self, host: str, hostvars: Any, fetch: bool, renders: bool = False) -> Iterator[Fault]:
        """The faults of a host's inventory, in which the last app may be gone already."""
        apps = hostvars.raw_get(host).get("apps")
        for fault in super()._host(host, hostvars, fetch, renders):
            if apps or fault.path != ("apps",):
                yield fault

    def _but_missing_apps(self, host: str, faults: list[Fault]) -> list[Fault]:
        """All faults: `_host` judges whether `apps` may be missing."""
        return faults


def _impossible(name: str, known: Sequence[str]) -> str:
    """Say that no app can have such a name. No host gets it: there it might lead to another folder."""
    near = spelling.did_you_mean(name, known) if known else ""
    return (
        f"-e: app is {spelling.as_yaml(name)}, which is no name for an app{near}. A name has 1 to 31 lower-case letters, digits and "
        "hyphens, a letter first. No host was touched."
    )
