"""Choose the release that each app goes back to, from what the hosts of the run have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.kit.plugins.action import partly
from ansible_collections.slipway.kit.plugins.module_utils import display, inventory, rollback_targets
from ansible_collections.slipway.kit.plugins.module_utils.contract import typed
from ansible_collections.slipway.kit.plugins.module_utils.contract.facts import AppFacts
from ansible_collections.slipway.kit.plugins.module_utils.rollback_targets import NoTarget, OnHost


class ActionModule(partly.ActionModule):
    """Contacts no host: the facts list the releases of each."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Set the fact `slipway_releases`; warn where a migration ran in between."""
        result: dict[str, Any] = ActionBase.run(self, tmp, task_vars)
        task_vars = task_vars or {}
        host = inventory.load(self._templar, task_vars)
        if why := host.stranger or host.displaced:
            raise AnsibleActionFail(why)
        wanted = task_vars.get("release")
        apps = host.to_deploy
        if wanted and len(apps) > 1:
            raise AnsibleActionFail(f"-e release=… is about one app, and this inventory has {len(apps)}; add -e app=…")
        this = str(task_vars["inventory_hostname"])
        hosts = self._hosts(task_vars)
        chosen, lines, failures = [], [], []
        for app in apps:
            its = {name: known[app.name] for name, known in hosts.items() if app.name in known}
            source = its[this].source
            alike = {name: one.on_host for name, one in its.items() if one.source == source}
            on_host = alike[this]
            target = rollback_targets.targets(alike, str(wanted) if wanted else None)[this]
            if isinstance(target, NoTarget):
                failures.append({"app": app.name, "reason": str(target)})
                continue
            current = on_host.facts.current
            for passed in rollback_targets.migrated_since(on_host.facts, target) if target != current else ():
                result.setdefault("warnings", []).append(
                    f"{app.name}: a migration ran with {passed}, after {target}. Going back does not undo it, so check "
                    f"that the code of {target} can work with it"
                )
            chosen.append({"root": app.root, "release": target})
            lines.append(
                f"{app.name}: from {current} to {target}"
                if target != current
                else f"{app.name}: {target} is current already"
            )
        result.update(
            changed=False, msg="\n".join(lines), ansible_facts={"slipway_releases": chosen}, **display.as_("text")
        )
        if failures:
            self.hold(result, failures, task_vars)
        return result

    def _hosts(self, task_vars: Mapping[str, Any]) -> dict[str, dict[str, _App]]:
        """The apps of each host of the run, in the same order on every host."""
        hosts: dict[str, dict[str, _App]] = {}
        for name in map(str, task_vars["ansible_play_hosts_all"]):
            facts = task_vars["hostvars"].raw_get(name).get("ansible_facts") or {}
            entries = inventory.keys(self._templar, task_vars["hostvars"], name, ["state", "source"])
            hosts[name] = {
                app: _App(_on_host(facts, app), entry.get("source"))
                for app, entry in entries.items()
                if entry.get("state") != "absent"
            }
        return hosts


@dataclass(frozen=True)
class _App:
    """An app of one host's inventory."""

    on_host: OnHost
    source: Any


def _on_host(facts: Mapping[str, Any], app: str) -> OnHost:
    """An app on the host with these facts, and what a rollback was to leave there that died."""
    known = (facts.get("slipway") or {}).get("apps") or {}
    app_facts = typed.read(AppFacts, known[app]) if app in known else AppFacts()
    return OnHost(app_facts, rollback_targets.left_by(facts.get("slipway_died"), app))
