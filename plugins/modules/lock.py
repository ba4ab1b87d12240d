#!/usr/bin/python
"""Let one run at a time change the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lock
short_description: Let one run at a time change the host, look at it, and write down what was done
version_added: 0.1.0
author: Slipway
description:
  - Takes or frees the host's lock, C(/var/lib/slipway/lock.json). It names who has it, since when and for what.
  - A lock whose process on the controller is gone, or from before the host's last boot, is taken over with a warning, once
    the last step of the dead run is done.
  - With the lock comes what M(slipway.kit.facts) tells of the host, now that nobody else changes it.
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
        description: The release that the run was to make current; told when the lock is freed.
        type: str
  look:
    description: What to look at once the lock is taken, as M(slipway.kit.facts) takes it. Also looked at in check mode. Required with
      O(state=taken).
    type: dict
    suboptions:
      apps:
        description: The apps of the host.
        type: list
        elements: dict
        required: true
        suboptions:
          name:
            description: The app's name.
            type: str
            required: true
          root:
            description: Its directory.
            type: path
            required: true
      packages:
        description: Packages of the distribution that should be installed.
        type: list
        elements: str
        required: true
      nginx_port:
        description: The port whose default server is looked for.
        type: int
        required: true
      tools:
        description: Names with the path of the program that proves each.
        type: dict
        required: true
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
    description: Only looks.
"""

EXAMPLES = r"""
- name: Let nobody else change the host meanwhile
  slipway.kit.lock:
    state: taken
    purpose: deploy
    wait: 60
    apps:
      - {root: /srv/shop}
    look:
      apps:
        - {name: shop, root: /srv/shop}
      packages: [nginx]
      nginx_port: 80
      tools:
        uv: /opt/slipway/uv/bin/uv
"""

RETURN = r"""
held:
  description: The lock of who has it, when it could not be taken.
  returned: success
  type: dict
busy:
  description: Whether who has it is dead, but a step of theirs is still at work.
  returned: success
  type: bool
replaced:
  description: The lock that was taken over, with C(why).
  returned: success
  type: dict
facts:
  description: What M(slipway.kit.facts) tells of the host.
  returned: when it was taken
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.kit.plugins.module_utils.contract import facts as contract
from ansible_collections.slipway.kit.plugins.module_utils.host.options import LOOK

SPEC: dict[str, Any] = {
    "argument_spec": {
        "state": {"type": "str", "choices": ["taken", "free"], "required": True},
        "purpose": {"type": "str", "default": "deploy"},
        "wait": {"type": "int", "default": 0},
        "apps": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {"root": {"type": "path", "required": True}, "release": {"type": "str"}},
        },
        "look": {"type": "dict", "options": LOOK},
        "outcome": {"type": "str", "choices": ["ok", "failed"], "default": "ok"},
        "reason": {"type": "str", "default": ""},
        "owner": {"type": "dict", "default": {}},
        "gone": {"type": "str", "default": ""},
    },
    "required_if": [("state", "taken", ("look",))],
    "supports_check_mode": True,
}
"""What the module takes; the action of the same name checks it, too."""
HELD: dict[str, Any] = {
    "token": "line",  # nosec B105 # a kind of text
    "who": "line",
    "controller": "line",
    "place": ["line"],
    "pid": "count",
    "since": "line",
    "purpose": "word",
    "apps": {"<app>": {"root": "path", "from?": "release", "to?": "release"}},
}
"""What is told of a lock."""
RESULT: dict[str, Any] = {
    "held?": HELD,
    "busy?": "bool",
    "replaced?": {**HELD, "why": "line"},
    "facts?": contract.CONTRACT,
}
"""What the module answers; the action takes nothing else (plugins/module_utils/answers.py)."""


def main() -> None:
    """Take or free the lock."""
    from ansible_collections.slipway.kit.plugins.module_utils.contract.manifest import app_name
    from ansible_collections.slipway.kit.plugins.module_utils.host.report import answer
    from ansible_collections.slipway.kit.plugins.module_utils.host.system import facts, lock

    module = AnsibleModule(**SPEC)
    params, check = module.params, module.check_mode
    apps, owner = params["apps"], {**params["owner"], "purpose": params["purpose"]}

    def take() -> dict[str, object]:
        taken = lock.Taken() if check else lock.take(owner, [app["root"] for app in apps], params["gone"])
        found = None if taken.held else facts.collect(**params["look"])
        return {"changed": False, "held": taken.held, "busy": taken.busy, "replaced": taken.replaced, "facts": found}

    def free() -> dict[str, object]:
        if not check:
            wanted = {app_name(app["root"]): app["release"] for app in apps}
            lock.free(str(owner.get("token")), params["outcome"], params["reason"], wanted)
        return {"changed": False}

    answer(module, take if params["state"] == "taken" else free, alone=False)


if __name__ == "__main__":
    main()
