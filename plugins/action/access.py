"""See how ssh lets users in, and try whether a key alone lets in the user who runs this."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.kit.plugins.action import resident
from ansible_collections.slipway.kit.plugins.module_utils.terminal import visible

KEY_ALONE = "-o PreferredAuthentications=publickey -o ControlMaster=no -o ControlPath=none"
"""Options of a separate connection that must not ask for a password. They come first, and ssh keeps the first."""
WIDE = 1000
"""Characters of what ssh says that are passed on."""


class ActionModule(resident.ActionModule):
    """The module looks at the host; whether we have a key, only a connection proves."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task."""
        result: dict[str, Any] = ActionBase.run(self, tmp, task_vars)
        result.update(self._execute_module(module_name="slipway.kit.access", module_args={}, task_vars=task_vars))
        access = (result.get("ansible_facts") or {}).get("slipway_access")
        if access:
            # Where no user can log in by password, switching passwords off takes nothing away.
            access["why"] = self._refused() if access["passwords"] else ""
            access["key"] = not access["why"]
        return result

    def _refused(self) -> str:
        """Why a key alone does not let us in; empty when it does."""
        connection = self._connection
        if connection.ansible_name.rpartition(".")[2] != "ssh":
            return f"this run does not come by ssh, but by {connection.ansible_name}"
        usual = connection.get_option("ssh_args")
        connection.set_option("ssh_args", KEY_ALONE)
        try:
            status, _out, output = connection.exec_command("true", sudoable=False)
        except AnsibleConnectionFailure as exc:
            return visible(str(exc).strip().splitlines()[-1])[-WIDE:]
        finally:
            connection.set_option("ssh_args", usual)
        return "" if status == 0 else visible(output.decode("utf-8", "replace").strip())[-WIDE:] or f"status {status}"
