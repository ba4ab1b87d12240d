#!/usr/bin/python
"""Runs a one-off command."""

from __future__ import annotations

DOCUMENTATION = r"""
module: command
short_description: Run a one-off command in the current release of an app
version_added: 0.1.0
author: Slipway
description:
  - Runs a command as the app's user, in the code of its current release, with its environment and its sandbox.
  - A process on the host watches the command and keeps its output. So a lost connection ends nothing. C(state=read) returns the
    next part of the output.
options:
  state:
    description: Whether to start a command, or to read more of its output.
    type: str
    choices: [started, read]
    default: started
  root:
    description: The app's directory.
    type: path
    required: true
  command:
    description: The command and its arguments.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds after which the command is killed.
    type: int
    default: 3600
  inventory:
    description: The name of the inventory of this run, empty if it has none. An app of another one is refused.
    type: str
    default: ""
  take_over:
    description: Whether the command runs in an app of another inventory, too.
    type: bool
    default: false
  who:
    description: The user who runs it, for the journal.
    type: str
    default: root
  controller:
    description: The machine that runs it, for the journal.
    type: str
    default: ""
  release:
    description: The release in which the command runs, from the answer to its start.
    type: str
    default: ""
  token:
    description: The name of the command, from the answer to its start.
    type: str
    default: ""
  offset:
    description: Where the part of the output begins.
    type: int
    default: 0
  wait:
    description: How long to wait for more output, in seconds.
    type: int
    default: 5
attributes:
  check_mode:
    support: full
    description: Runs nothing.
"""

EXAMPLES = r"""
- name: Run a command
  slipway.kit.command:
    root: /srv/shop
    command: [flask, db, current]
"""

RETURN = r"""
release:
  description: The release in which the command runs.
  returned: success
  type: str
  sample: v1.4.2-1a2b3c4d
token:
  description: The name of the command.
  returned: success
  type: str
  sample: 0123456789ab
output:
  description: The next part of the output.
  returned: success
  type: str
offset:
  description: Where the part after it begins.
  returned: success
  type: int
end:
  description: How the command ended; null while it runs.
  returned: success
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

SPEC: dict[str, Any] = {
    "argument_spec": {
        "state": {"type": "str", "choices": ["started", "read"], "default": "started"},
        "root": {"type": "path", "required": True},
        "command": {"type": "list", "elements": "str", "default": []},
        "timeout": {"type": "int", "default": 3600},
        "inventory": {"type": "str", "default": ""},
        "take_over": {"type": "bool", "default": False},
        "who": {"type": "str", "default": "root"},
        "controller": {"type": "str", "default": ""},
        "release": {"type": "str", "default": ""},
        "token": {"type": "str", "default": "", "no_log": False},
        "offset": {"type": "int", "default": 0},
        "wait": {"type": "int", "default": 5},
    },
    "supports_check_mode": True,
}
"""The module's parameters. The action of the same name checks them, too."""
RESULT: dict[str, Any] = {
    "release": "release",
    "token?": "word",
    "output?": "text",
    "offset?": "count",
    "end?": {"status": "int", "milliseconds": "count", "timed_out": "bool", "error": "text"},
}
"""The fields of the result. The action refuses all others (plugins/module_utils/answers.py)."""


def main() -> None:
    """Start the command, or read its output."""
    from ansible_collections.slipway.kit.plugins.module_utils.contract.manifest import app_name
    from ansible_collections.slipway.kit.plugins.module_utils.host.report import answer
    from ansible_collections.slipway.kit.plugins.module_utils.host.run import commands
    from ansible_collections.slipway.kit.plugins.module_utils.host.system import origins

    module = AnsibleModule(**SPEC)
    options = module.params

    def work() -> dict[str, Any]:
        if options["state"] == "read":
            piece = commands.read(
                options["root"], options["release"], options["token"], options["offset"], options["wait"]
            )
            end = piece.end and {
                "status": piece.end.status,
                "milliseconds": round(piece.end.seconds * 1000),
                "timed_out": piece.end.timed_out,
                "error": piece.end.error,
            }
            return {
                "changed": False,
                "release": options["release"],
                "output": piece.text,
                "offset": piece.offset,
                "end": end,
            }
        if not options["take_over"]:
            origins.check(app_name(options["root"]), options["inventory"])
        if module.check_mode:
            return {"changed": True, "release": commands.current(options["root"]).release_id}
        owner = commands.Owner(options["who"], options["controller"])
        manifest, token = commands.start(options["root"], options["command"], options["timeout"], owner)
        return {"changed": True, "release": manifest.release_id, "token": token}

    answer(module, work, alone=False)


if __name__ == "__main__":
    main()
