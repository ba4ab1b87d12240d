"""Runs one of the modules beside it on the host: the request on standard input, the answer on standard output.

The controller has checked the request against the module's SPEC and filled in what it does not name.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import types
from typing import Any, NoReturn


class Module:
    """What the kit's modules use of Ansible's AnsibleModule."""

    def __init__(self, request: dict[str, Any], answer: int) -> None:
        self.params = request["params"]
        self.check_mode = request["check_mode"]
        self._diff = request["diff"]
        self._answer = answer

    def exit_json(self, **result: Any) -> NoReturn:
        """Answer, and end well."""
        self._end(result, 0)

    def fail_json(self, msg: str, **result: Any) -> NoReturn:
        """Answer with a failure, and end with status 1."""
        self._end({**result, "msg": msg, "failed": True}, 1)

    def _end(self, result: dict[str, Any], status: int) -> NoReturn:
        with os.fdopen(self._answer, "w", encoding="utf-8") as out:
            out.write(json.dumps(result) + "\n")
        sys.exit(status)


class Later(types.ModuleType):
    """A module that Python loads when something of it is used first."""

    def __getattr__(self, name: str) -> Any:
        """What the module has of that name."""
        return getattr(importlib.import_module(self.__name__), name)


def import_dataclasses() -> None:
    """Import `dataclasses` without `inspect`, which takes 5 ms to load. It is only used for a class without a docstring."""
    sys.modules["inspect"] = Later("inspect")
    importlib.import_module("dataclasses")
    del sys.modules["inspect"]  # other modules import the real one


def main() -> None:
    """Run the module that the request names."""
    import_dataclasses()
    request = json.load(sys.stdin.buffer)
    answer = os.dup(1)
    os.dup2(2, 1)  # what anything prints is no answer
    basic = types.ModuleType("ansible.module_utils.basic")
    vars(basic)["AnsibleModule"] = lambda **_spec: Module(request, answer)
    for name in ("ansible", "ansible.module_utils"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules[basic.__name__] = basic
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    importlib.import_module(f"ansible_collections.slipway.kit.plugins.modules.{request['module']}").main()


if __name__ == "__main__":
    main()
