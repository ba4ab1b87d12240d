"""Read an app's lines on a host; with `follow`, print them as they come."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.kit.plugins.action import resident
from ansible_collections.slipway.kit.plugins.module_utils import given, inventory, log_lines, overview
from ansible_collections.slipway.kit.plugins.module_utils.contract import names
from ansible_collections.slipway.kit.plugins.module_utils.model import layout, run_variables, sites

MODULE = "slipway.kit.logs"
WAIT = 2
"""Seconds for which the host waits for new lines before it answers."""

resident.spec("logs")  # before Ansible forks: see there


class ActionModule(resident.ActionModule):
    """The module reads on the host. Which of nginx's logs are the app's, the inventory says."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the entries, or print them until the time limit is over."""
        result: dict[str, Any] = ActionBase.run(self, tmp, task_vars)
        variables = task_vars or {}
        _valid, options = self.validate_argument_spec(
            argument_spec={
                "app": {"type": "str", "required": True},
                "since": {"type": "str", "required": True},
                "program": {"type": "str", "required": True},
                "grep": {"type": "str", "required": True},
                "follow": {"type": "bool", "required": True},
                "json": {"type": "bool", "required": True},
                "time_limit": {"type": "str", "required": True},
            }
        )
        known = inventory.load(self._templar, variables, assume=True)
        served = [site for site in sites.sites(known.apps) if any(app.name == options["app"] for app in site.apps)]
        arguments = {
            "root": names.app_root(options["app"]),
            "sites": [
                {
                    "access": layout.access_log(site.name),
                    "errors": layout.error_log(site.name),
                    "mount": next(app.mount for app in site.apps if app.name == options["app"])
                    if len(site.apps) > 1
                    else "",
                }
                for site in served
            ],
            "seconds": run_variables.seconds(options["since"]),
            "program": options["program"],
            "pattern": given.written(given.GREP) or options["grep"],
            "follow": options["follow"],
        }
        answer = self._looked(MODULE, arguments, variables)
        if options["follow"] and resident.TROUBLE not in answer:
            self._follow(variables, arguments, answer, options)
            answer.update(entries=[], left_out=0, unread=[])
        elif options["follow"]:
            host = str(variables["inventory_hostname"])
            for sentence in overview.silent({host: answer}):  # now, since the others are followed without end
                self._display.display(f"! {sentence}", stderr=options["json"])
        result.update({"entries": [], "left_out": 0, "unread": [], **answer}, changed=False)
        return result

    def _follow(
        self, variables: dict[str, Any], arguments: dict[str, Any], answer: dict[str, Any], options: dict[str, Any]
    ) -> None:
        """Print what was read and what comes."""
        limit = run_variables.seconds(options["time_limit"]) if options["time_limit"] else None
        until = time.monotonic() + limit if limit else float("inf")
        host = str(variables["inventory_hostname"])
        lost = 0.0
        self._print(answer, host, options["json"])
        while time.monotonic() < until:
            try:
                answer = self._ask(variables, {**arguments, "cursors": answer["cursors"], "wait": WAIT})
            except AnsibleConnectionFailure:
                lost = lost or time.monotonic()
                if time.monotonic() - lost > resident.LOST:
                    raise
                self._connection.reset()
                time.sleep(WAIT)
                continue
            lost = 0.0
            if answer.get("failed"):
                raise AnsibleActionFail(str(answer["msg"]))
            self._print(answer, host, options["json"])

    def _print(self, answer: dict[str, Any], host: str, as_json: bool) -> None:
        """Print the entries of an answer; what it lacks goes to stderr where a program reads the entries."""
        for note in log_lines.left_out(host, {**answer, "by": self._by()}):
            self._display.display(note, stderr=as_json)
        for entry in answer["entries"]:
            self._display.display(log_lines.line({"host": host, **entry}, as_json))

    def _ask(self, variables: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
        """The module's answer."""
        answer: dict[str, Any] = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=variables)
        return answer
