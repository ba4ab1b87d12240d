"""Run a one-off command on a host: start it, print its output as it comes, and report how it ended."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.kit.plugins.action import lock, resident
from ansible_collections.slipway.kit.plugins.module_utils import display, given, inventory
from ansible_collections.slipway.kit.plugins.module_utils.contract import names
from ansible_collections.slipway.kit.plugins.module_utils.model import commands, run_variables

WAIT = 5
"""Seconds for which the host waits for more output before it answers."""
KEPT = 1 << 20
"""Characters of the output in the result for programs: its end."""

resident.spec("command")  # before Ansible forks: see there


class ActionModule(resident.ActionModule):
    """The module runs on the host. Which hosts run the command, and how its output is printed, is decided here."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the command; the task fails with it, except where `quiet` has the output in the result."""
        result: dict[str, Any] = ActionBase.run(self, tmp, task_vars)
        variables = task_vars or {}
        _valid, options = self.validate_argument_spec(
            argument_spec={
                "app": {"type": "str", "required": True},
                "command": {"type": "raw", "required": True},
                "time_limit": {"type": "str", "required": True},
                "on_hosts": {"type": "str", "choices": ["once", "all"], "required": True},
                "quiet": {"type": "bool", "required": True},
            }
        )
        app, host = options["app"], str(variables["inventory_hostname"])
        hosts = [
            str(one)
            for one in variables["ansible_play_hosts_all"]
            if app in inventory.keys(self._templar, variables["hostvars"], str(one))
        ]
        if host not in hosts or (options["on_hosts"] == "once" and host != hosts[0]):
            result.update(changed=False, skipped=True, skip_reason="the command runs on another host")
            return result
        command = commands.parse(given.written(given.COMMAND) or options["command"])[0]
        owner = lock.owner()
        self._several = options["on_hosts"] == "all" and len(hosts) > 1
        start = self._begin(
            variables,
            root=names.app_root(app),
            command=list(command),
            timeout=run_variables.seconds(options["time_limit"]),
            inventory=inventory.origin(variables),
            take_over=boolean(variables.get("take_over", False)),
            who=owner["who"],
            controller=owner["controller"],
        )
        if start.get("failed"):
            return {**result, **self._unstarted(start, app, command, host, options)}
        about = f"{app} {start['release']} on {host}"
        if self._task.check_mode:
            result.update(changed=True, msg=f"{about} would run: {shlex.join(command)}", **display.as_("text"))
            return result
        if not options["quiet"]:
            self._print(f"{about} runs: {shlex.join(command)}", host)
        output, end = self._follow(variables, app, start, host, options["quiet"])
        result.update(
            changed=False,
            rows=[
                {
                    "app": app,
                    "release": start["release"],
                    "command": list(command),
                    "status": end["status"],
                    "seconds": end["milliseconds"] / 1000,
                    "timed_out": end["timed_out"],
                    "error": end["error"],
                    "output": output,
                }
            ],
            msg=f"{about}: {outcome(end, options['time_limit'])}",
            failed=bool(end["status"] or end["timed_out"]) and not options["quiet"],
            **display.as_("nothing" if options["quiet"] else "text"),
        )
        return result

    def _begin(self, variables: dict[str, Any], **arguments: Any) -> dict[str, Any]:
        """The host's answer to the start, or that it gives none."""
        try:
            return self._ask(variables, **arguments)
        except AnsibleConnectionFailure as exc:
            host = variables["inventory_hostname"]
            way_on = "" if self._several else f". Choose another host with --limit {shlex.quote(f'all:!{host}')}"
            return {"failed": True, "msg": f"{host} does not answer: {exc.message}{way_on}"}

    @staticmethod
    def _unstarted(
        start: dict[str, Any], app: str, command: Sequence[str], host: str, options: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The result where the command was not started; with `quiet` it is a row, so that the other hosts' output is not lost."""
        if not options["quiet"]:
            return start
        row = {"app": app, "command": list(command), "status": None, "error": str(start["msg"]), "output": ""}
        return {"changed": False, "rows": [{**row, "release": None, "seconds": 0.0, "timed_out": False}]}

    def _follow(
        self, variables: dict[str, Any], app: str, start: dict[str, Any], host: str, quiet: bool
    ) -> tuple[str, dict[str, Any]]:
        """Print the output as it comes; returns its end, which only `quiet` needs, and how the command ended."""
        where = {"root": names.app_root(app), "release": start["release"], "token": start["token"]}
        offset, kept, lost = 0, "", 0.0
        while True:
            try:
                piece = self._ask(variables, state="read", offset=offset, wait=WAIT, **where)
            except AnsibleConnectionFailure as exc:
                lost = lost or time.monotonic()
                if time.monotonic() - lost > resident.LOST:
                    raise AnsibleActionFail(
                        f"the connection to {host} is lost: {exc.message}. The command keeps running there until it ends or its time "
                        f"limit is over. {names.JOURNAL} on the host then has a line with {start['token']}"
                    ) from exc
                self._print("the connection is lost; the command keeps running, and the host is asked again", host)
                self._connection.reset()
                time.sleep(WAIT)
                continue
            lost = 0.0
            if piece.get("failed"):
                raise AnsibleActionFail(str(piece["msg"]))
            offset = piece["offset"]
            text = str(piece["output"])
            if quiet:
                kept = (kept + text)[-KEPT:]
            elif text:
                self._print(text.removesuffix("\n"), host)
            if piece["end"]:
                return kept, dict(piece["end"])

    def _ask(self, variables: dict[str, Any], **arguments: Any) -> dict[str, Any]:
        """The module's answer."""
        answer: dict[str, Any] = self._execute_module(
            module_name="slipway.kit.command", module_args=arguments, task_vars=variables
        )
        return answer

    def _print(self, text: str, host: str) -> None:
        """Print lines now; each with its host, where several run the command."""
        if self._several:
            text = "\n".join(f"{host} | {line}" for line in text.split("\n"))
        self._display.display(text)


def outcome(end: dict[str, Any], time_limit: str) -> str:
    """How a command ended, in words."""
    took = f"after {end['milliseconds'] / 1000:.1f} s"
    if end["error"]:
        return f"the command could not be run: {end['error']}"
    if end["timed_out"]:
        limit = f"{time_limit} s" if time_limit.isdecimal() else time_limit
        return f"the command was killed {took}, since its time limit of {limit} was over; give it more with -e time_limit=…"
    status = end["status"]
    if status > 128:
        return f"the command ended {took} with exit status {status}: signal {status - 128}"
    return f"the command ended {took} with exit status {status}"
