"""Run a module of the kit that its host keeps; have the host keep it first, where it does not yet.

The actions of the modules that need no more than this are symbolic links to it.
"""

from __future__ import annotations

import importlib
import json
import shlex
from collections.abc import Mapping
from typing import Any

from ansible import constants as C
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.kit.plugins.module_utils import resident

PREFIX = "slipway.kit."
MODULES = "ansible_collections.slipway.kit.plugins.modules."
PYTHON = "/usr/bin/python3"
"""The host's Python where the inventory names none: the kit's modules need nothing beyond the standard library, so that
there is no need to look for a better one."""
CHECKS = ("mutually_exclusive", "required_one_of", "required_by", "required_if")
"""The parts of a module's SPEC that are rules between its options."""


def spec(name: str) -> Mapping[str, Any]:
    """What the module of that name takes. It imports what it works with in its main(): nothing of that is needed here."""
    found: Mapping[str, Any] = importlib.import_module(MODULES + name).SPEC
    return found


# Ansible loads an action before it forks a process for each of its tasks and hosts. What is imported now is there in all of
# them; an import later would be compiled in each, since Ansible's importer keeps no bytecode of collections.
OWN = __name__.rpartition(".")[2]
if OWN != "resident":
    spec(OWN)


class ActionModule(ActionBase):
    """Calls what the host keeps. Wherever that cannot be done, Ansible sends the module with all it imports as usual:

    without pipelining, in check mode on a host that does not keep it, without rights to have it kept, with options that
    are wrong (whose message is then Ansible's own).
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module of the task's name."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        result.update(self._execute_module(task_vars=task_vars))
        return result

    def _execute_module(
        self,
        module_name: str | None = None,
        module_args: Mapping[str, Any] | None = None,
        tmp: str | None = None,
        task_vars: Mapping[str, Any] | None = None,
        **others: Any,
    ) -> dict[str, Any]:
        """The result of a module of the kit, as the base class returns it."""
        name = module_name or self._task.action
        arguments = self._task.args if module_args is None else module_args
        names = task_vars or {}
        request = None if others else self._request(name, arguments)
        result = self._call(request, names) if request else None
        if result is None:
            result = super()._execute_module(
                module_name=name, module_args=arguments, tmp=tmp, task_vars=task_vars, **others
            )
        return result

    def _request(self, name: str, arguments: Mapping[str, Any]) -> bytes | None:
        """What run.py is told; None when it is not to be asked."""
        if not name.startswith(PREFIX) or not self._is_pipelining_enabled("new"):
            return None
        short = name.removeprefix(PREFIX)
        wanted = spec(short)
        if self._task.check_mode and not wanted.get("supports_check_mode"):
            return None
        rules = {rule: wanted[rule] for rule in CHECKS if rule in wanted}
        checked = ArgumentSpecValidator(wanted["argument_spec"], **rules).validate(dict(arguments))
        if checked.error_messages:
            return None
        request = {
            "module": short,
            "params": checked.validated_parameters,
            "check_mode": bool(self._task.check_mode),
            "diff": bool(self._task.diff),
        }
        return json.dumps(request).encode()

    def _call(self, request: bytes, names: Mapping[str, Any]) -> dict[str, Any] | None:
        """The answer of the host; None when the host does not keep the modules and cannot be made to."""
        home, python = resident.home(), shlex.quote(self._python(names))
        command = f"{self._compute_environment_string()} {python} -I -S -X utf8".strip()
        for attempt in (1, 2):
            done = self._low_level_execute_command(f"{command} {home}/run.py", in_data=request)
            lines = done["stdout"].splitlines()
            if lines and lines[-1].startswith("{"):
                answer: dict[str, Any] = json.loads(lines[-1])
                return answer
            if f"can't open file '{home}/run.py'" not in done["stderr"]:
                break
            if attempt == 2 or self._task.check_mode:
                return None
            install = f"{command} -c {shlex.quote(resident.program('install'))} {home}"
            if self._low_level_execute_command(install, in_data=resident.pack())["rc"]:
                return None
        if done["rc"] == 127:  # there is no such Python; Ansible may find another one
            return None
        return {
            "failed": True,
            "msg": f"the module ended with status {done['rc']} and no answer",
            "module_stdout": done["stdout"],
            "module_stderr": done["stderr"],
            "exception": done["stderr"],
        }

    def _python(self, names: Mapping[str, Any]) -> str:
        """The host's Python that the inventory or Ansible's configuration names."""
        wanted = self._templar.template(C.config.get_config_value("INTERPRETER_PYTHON", variables=names))
        if str(wanted).startswith("auto"):
            wanted = names.get("ansible_facts", {}).get("discovered_interpreter_python", PYTHON)
        return str(wanted)
