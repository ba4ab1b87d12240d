#!/usr/bin/python
"""Let one run at a time change the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lock
short_description: Let one run at a time change the host, and write down what it did
version_added: 0.1.0
author: Slipway
description:
  - Takes or frees the host's lock, C(/var/lib/slipway/lock.json). It names who has it, since when and for what.
  - A lock whose process on the controller is gone, or from before the host's last boot, is taken over with a warning.
  - Freed, the run gets a line in C(/var/log/slipway/journal.jsonl) for every app that it changed.
  - The action of the same name adds who and where we are.
options:
  state:
    description: Take the lock, or free it.
    type: str
    choices: [taken, free]
    required: true
  purpose:
    description: What the lock is for.
    type: str
    default: deploy
  wait:
    description: How long to wait for another run, in seconds.
    type: int
    default: 0
  apps:
    description: The apps the run is about.
    type: list
    elements: dict
    default: []
    suboptions:
      root:
        description: The app's directory.
        type: path
        required: true
      release:
        description: The release that the run was to make current.
        type: str
  outcome:
    description: How the run ended, when the lock is freed.
    type: str
    choices: [ok, failed]
    default: ok
  reason:
    description: Why it failed.
    type: str
    default: ""
  owner:
    description: Who we are; set by the action.
    type: dict
    default: {}
  gone:
    description: The token of a lock whose process is dead; set by the action.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Does nothing.
"""

EXAMPLES = r"""
- name: Let nobody else change the host meanwhile
  slipway.kit.lock:
    state: taken
    purpose: deploy
    wait: 60
"""

RETURN = r"""
held:
  description: The lock of who has it, when it could not be taken.
  returned: when somebody else has it
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.kit.plugins.module_utils.host import lock, releases
from ansible_collections.slipway.kit.plugins.module_utils.host.manifest import app_name
from ansible_collections.slipway.kit.plugins.module_utils.host.report import answer


def main() -> None:
    """Take or free the lock."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["taken", "free"], "required": True},
            "purpose": {"type": "str", "default": "deploy"},
            "wait": {"type": "int", "default": 0},
            "apps": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"root": {"type": "path", "required": True}, "release": {"type": "str"}},
            },
            "outcome": {"type": "str", "choices": ["ok", "failed"], "default": "ok"},
            "reason": {"type": "str", "default": ""},
            "owner": {"type": "dict", "default": {}},
            "gone": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    params = module.params
    apps, owner = params["apps"], {**params["owner"], "purpose": params["purpose"]}
    if module.check_mode:
        module.exit_json(changed=False)

    def work() -> dict[str, object]:
        if params["state"] == "taken":
            return {"changed": False, "held": lock.take(owner, [app["root"] for app in apps], params["gone"])}
        wanted = {app_name(app["root"]): app.get("release") or releases.current(app["root"]) for app in apps}
        lock.free(str(owner.get("token")), params["outcome"], params["reason"], wanted)
        return {"changed": False}

    answer(module, work)


if __name__ == "__main__":
    main()
