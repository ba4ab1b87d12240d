#!/usr/bin/python
"""Lets only one run at a time change the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lock
short_description: Lock the host for one run, read its facts, and write the journal
version_added: 0.1.0
author: Slipway
description:
  - Takes or frees the host's lock, C(/var/lib/slipway/lock.json). It names its holder, the time and the purpose.
  - A lock is stale if its process on the controller has ended, or if the host has rebooted since. It is taken over with a warning,
    when the last step of the dead run has ended.
  - With the lock, the module returns the facts of M(slipway.kit.facts), which no other run can change now.
  - When the lock is freed, C(/var/log/slipway/journal.jsonl) gets a line for every app that the run changed.
  - The action of the same name adds the user and the controller.
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
    description: How long to wait for another run, such as 90s, 10m or 2h. The controller waits.
    type: str
    default: "0"
  apps:
    description: The apps of the run.
    type: list
    elements: dict
    default: []
    suboptions:
      root:
        description: The app's directory.
        type: path
        required: true
      release:
        description: The release that the run should have made current; for freeing the lock.
        type: str
  look:
    description: The options of M(slipway.kit.facts), which runs when the lock is taken, also in check mode. Required with
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
      nginx_ports:
        description: The ports on which nginx is to listen.
        type: list
        elements: int
        required: true
      tools:
        description: Names of tools, each with the path of the program that proves its installation.
        type: dict
        required: true
  outcome:
    description: How the run ended; for freeing the lock.
    type: str
    choices: [ok, failed]
    default: ok
  reason:
    description: Why it failed.
    type: str
    default: ""
  owner:
    description: The holder of the lock; set by the action.
    type: dict
    default: {}
  gone:
    description: The token of a lock whose process has ended; set by the action.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Only reads the facts.
"""

EXAMPLES = r"""
- name: Lock the host
  slipway.kit.lock:
    state: taken
    purpose: deploy
    wait: 10m
    apps:
      - {root: /srv/shop}
    look:
      apps:
        - {name: shop, root: /srv/shop}
      packages: [nginx]
      nginx_ports: [80, 443]
      tools:
        uv: /opt/slipway/uv/bin/uv
"""

RETURN = r"""
held:
  description: The other run's lock, if it could not be taken.
  returned: success
  type: dict
busy:
  description: Whether the other run has ended, but one of its steps still runs on the host.
  returned: success
  type: bool
replaced:
  description: The lock that was taken over, with C(why).
  returned: success
  type: dict
facts:
  description: The facts of M(slipway.kit.facts).
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
        "wait": {"type": "str", "default": "0"},
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
"""The module's parameters. The action of the same name checks them, too."""
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
"""The fields of a lock."""
RESULT: dict[str, Any] = {
    "held?": HELD,
    "busy?": "bool",
    "replaced?": {**HELD, "why": "line"},
    "facts?": contract.CONTRACT,
}
"""The fields of the result. The action refuses all others (plugins/module_utils/answers.py)."""


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
        values = None if taken.held else facts.collect(**params["look"])
        return {"changed": False, "held": taken.held, "busy": taken.busy, "replaced": taken.replaced, "facts": values}

    def free() -> dict[str, object]:
        if not check:
            wanted = {app_name(app["root"]): app["release"] for app in apps}
            lock.free(str(owner.get("token")), params["outcome"], params["reason"], wanted)
        return {"changed": False}

    answer(module, take if params["state"] == "taken" else free, alone=False)


if __name__ == "__main__":
    main()
