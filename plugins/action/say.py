"""Print a message in one of the ways that the callback `concise` knows; fail with it, if the task says so."""

from __future__ import annotations

from typing import Any, get_args

from ansible.plugins.action import ActionBase
from ansible_collections.slipway.kit.plugins.module_utils import display


class ActionModule(ActionBase):
    """Runs on the controller alone. `ansible.builtin.debug` and `fail` cannot say how their message is shown."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the message with the field that the callback reads."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _valid, arguments = self.validate_argument_spec(
            argument_spec={
                "msg": {"type": "str", "required": True},
                "show": {"type": "str", "choices": list(get_args(display.Show)), "default": "text"},
                "failed": {"type": "bool", "default": False},
            }
        )
        result.update(changed=False, failed=arguments["failed"], msg=arguments["msg"], **display.as_(arguments["show"]))
        return result
