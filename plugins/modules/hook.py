#!/usr/bin/python
"""Runs the commands of a hook."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hook
short_description: Run the commands of a hook
version_added: 0.1.0
author: Slipway
description:
  - Runs each app's command as its user, in its release's code and with its environment.
  - An app whose command fails, or takes longer than its timeout, is held back. The message has the last lines of its output.
options:
  name:
    description: The hook.
    type: str
    required: true
  hooks:
    description: Each app's command.
    type: list
    elements: dict
    required: true
    suboptions:
      root:
        description: The app's directory.
        type: path
        required: true
      release:
        description: The release in which to run it.
        type: str
        required: true
      command:
        description: The command and its arguments. If it is empty, the module only records that the hook ran.
        type: list
        elements: str
        required: true
      timeout:
        description: Seconds after which the command is killed.
        type: int
        required: true
attributes:
  check_mode:
    support: full
    description: Runs nothing.
"""

EXAMPLES = r"""
- name: Migrate
  slipway.kit.hook:
    name: migrate
    hooks:
      - root: /srv/shop
        release: v1.4.2-1a2b3c4d
        command: [python, manage.py, migrate, --noinput]
        timeout: 600
"""

RETURN = r"""
ran:
  description: The apps whose command ran.
  returned: success
  type: list
  elements: str
  sample: [shop]
failures:
  description: The apps whose command failed, each with the reason.
  returned: success
  type: list
  elements: dict
  sample: [{"app": "shop", "release": "v1.4.2-1a2b3c4d", "reason": "hook migrate failed", "hint": "", "log": []}]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

SPEC: dict[str, Any] = {
    "argument_spec": {
        "name": {"type": "str", "required": True},
        "hooks": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "root": {"type": "path", "required": True},
                "release": {"type": "str", "required": True},
                "command": {"type": "list", "elements": "str", "required": True},
                "timeout": {"type": "int", "required": True},
            },
        },
    },
    "supports_check_mode": True,
}
"""The module's parameters. The action of the same name checks them, too."""
RESULT: dict[str, Any] = {"ran": ["app"]}
"""The fields of the result. The action refuses all others (plugins/module_utils/answers.py)."""


def main() -> None:
    """Run the hooks one after the other."""
    from ansible_collections.slipway.kit.plugins.module_utils.contract.errors import HostError
    from ansible_collections.slipway.kit.plugins.module_utils.contract.manifest import app_name
    from ansible_collections.slipway.kit.plugins.module_utils.host.base.outcome import Failure
    from ansible_collections.slipway.kit.plugins.module_utils.host.report import answer
    from ansible_collections.slipway.kit.plugins.module_utils.host.run import hooks

    module = AnsibleModule(**SPEC)

    def work() -> dict[str, object]:
        wanted = [
            hooks.Hook(item["root"], item["release"], tuple(item["command"]), item["timeout"])
            for item in module.params["hooks"]
        ]
        ran: dict[str, None] = {}
        failures: dict[str, dict[str, Any]] = {}
        for hook in wanted:
            app = app_name(hook.root)
            if app in failures:  # of several commands, the first that fails ends the hook
                continue
            try:
                if not module.check_mode:
                    hooks.run(module.params["name"], hook)
                if hook.command:
                    ran[app] = None
            except HostError as error:
                failures[app] = Failure(app, hook.release_id, str(error)).as_result()
        return {"changed": bool(wanted), "ran": list(ran), "failures": list(failures.values())}

    answer(module, work)


if __name__ == "__main__":
    main()
