"""The base of actions that run on the controller alone and contact no host."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase


class AloneAction(ActionBase):
    """An action without a connection. It works the same way in check mode."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def begin(
        self, tmp: str | None, task_vars: dict[str, Any] | None, spec: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin a task.

        Args:
            tmp: as `run` gets it.
            task_vars: as `run` gets them.
            spec: the argument specification of its options.

        Returns:
            The result so far, and the task's arguments.
        """
        result: dict[str, Any] = ActionBase.run(self, tmp, task_vars)
        _valid, arguments = self.validate_argument_spec(argument_spec=spec)
        return result, arguments
