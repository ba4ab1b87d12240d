"""Read how the apps run on a host. A host that does not answer is part of the report, and no end of the run."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.slipway.kit.plugins.action import resident
from ansible_collections.slipway.kit.plugins.module_utils import inventory
from ansible_collections.slipway.kit.plugins.module_utils.model import layout, releases, sites

SOURCE = 16
"""Digits of the hash by which the sources of an app differ. Hosts with the same source should have the same code."""

resident.spec("status")  # before Ansible forks: see there


class ActionModule(resident.ActionModule):
    """The module works on the host. Which apps and logs it looks at, the inventory says."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what the host answers, or why it does not answer as `trouble`."""
        result: dict[str, Any] = ActionBase.run(self, tmp, task_vars)
        variables = task_vars or {}
        known = inventory.load(self._templar, variables, assume=True)
        present = [app for app in known.apps if app.state == "present"]
        arguments = {
            "apps": [{"root": app.root, "chosen": app.name in known.chosen} for app in present],
            "absent": [app.name for app in known.apps if app.state == "absent"],
            "inventory": known.origin,
            "sites": [
                {
                    "name": site.name,
                    "file": layout.site_file(site.name),
                    "log": layout.access_log(site.name),
                    "apps": [{"name": app.name, "mount": app.mount} for app in site.apps],
                }
                for site in sites.sites(present)
                if any(app.name in known.chosen for app in site.apps)
            ],
        }
        answer = self._looked("slipway.kit.status", arguments, variables)
        result.update(
            changed=False,
            state={
                **answer,
                "expected": [app.name for app in present if app.name in known.chosen],
                "sources": {
                    app.name: releases.digest(known.entry(app.name).get("source"), SOURCE)
                    for app in present
                    if app.name in known.chosen
                },
            },
        )
        return result
