"""Print a message in one of the ways that the callback `concise` knows; fail with it, if the task says so."""

from __future__ import annotations

from typing import Any, get_args

from ansible_collections.slipway.kit.plugins.module_utils import alone, display


class ActionModule(alone.AloneAction):
    """Runs on the controller alone. `ansible.builtin.debug` and `fail` cannot say how their message is shown."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the message with the field that the callback reads."""
        result, arguments = self.begin(
            tmp,
            task_vars,
            {
                "msg": {"type": "str", "required": True},
                "show": {"type": "str", "choices": list(get_args(display.Show)), "default": "text"},
                "failed": {"type": "bool", "default": False},
                "aside": {"type": "list", "elements": "str", "default": []},
            },
        )
        if arguments["aside"]:
            result["warnings"] = arguments["aside"]  # printed to stderr: a program may read msg
        result.update(changed=False, failed=arguments["failed"], msg=arguments["msg"], **display.as_(arguments["show"]))
        return result
