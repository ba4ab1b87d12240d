"""Run a module in which some apps may fail: they are held back, and the run continues with the others.

The actions of the modules that need no more than this are symbolic links to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible import constants as C
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.kit.plugins.action import resident
from ansible_collections.slipway.kit.plugins.module_utils import display, holding, inventory

OWN = __name__.rpartition(".")[2]
if OWN != "partly":
    resident.spec(OWN)  # before Ansible forks: see there


class ActionModule(resident.ActionModule):
    """A module whose result names `failures`, app by app."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module of the task's name."""
        result: dict[str, Any] = ActionBase.run(self, tmp, task_vars)
        result.update(self._execute_module(task_vars=task_vars))
        if result.get("failures") and not result.get("failed"):
            self.hold(result, result["failures"], task_vars or {})
        return result

    def hold(self, result: dict[str, Any], failures: Sequence[Mapping[str, Any]], task_vars: Mapping[str, Any]) -> None:
        """Add to a result that these apps are held back; with no app left to continue with, it is a failure.

        The fact that it sets is this host's. Before a step that all hosts share, the task `agree` sets it on every host.
        """
        messages = [holding.text(failure) for failure in failures]
        before = holding.held(task_vars.get("ansible_facts") or {})
        facts = {**(task_vars.get("ansible_facts") or {}), **result.get("ansible_facts", {})}
        roots = {holding.name(one): one["root"] for one in facts.get("slipway_releases") or ()}
        back = holding.held(facts)
        for failure in failures:
            app = failure["app"]
            reason = str(failure["reason"]).splitlines()[0]
            back[app] = {
                "reason": reason,
                "release": failure.get("release") or None,
                "root": roots.get(app),
                "on": failure.get("on") or task_vars.get("inventory_hostname"),
            }
        host_inventory = inventory.load(self._templar, task_vars)
        failed = set(back)
        back = holding.agree(
            [{"slipway_held": back}], {name: one.get("together") for name, one in host_inventory.entries.items()}
        )
        messages += [f"{app}: {why['reason']}" for app, why in back.items() if app not in failed | set(before)]
        result["ansible_facts"] = {**result.get("ansible_facts", {}), "slipway_held": back}
        if self._all_apps(host_inventory, task_vars) <= set(back):
            result.update(failed=True, msg="\n\n".join(messages))
        else:
            display.hold_back(result, messages)
            if C.DEFAULT_STDOUT_CALLBACK != display.CALLBACK:
                result.setdefault("warnings", []).extend(messages)  # every callback shows these

    def _all_apps(self, host_inventory: inventory.Inventory, task_vars: Mapping[str, Any]) -> set[str]:
        """The apps that this run is about, on all its hosts."""
        names = set(host_inventory.going)
        for host in task_vars.get("ansible_play_hosts_all") or ():
            if host != task_vars.get("inventory_hostname"):
                apps = inventory.keys(self._templar, task_vars["hostvars"], str(host), ["state"])
                present = {name for name, entry in apps.items() if entry.get("state") != "absent"}
                names |= present & set(host_inventory.chosen) if task_vars.get("app") else present
        return names
