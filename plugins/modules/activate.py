#!/usr/bin/python
"""Switches clients to releases."""

from __future__ import annotations

DOCUMENTATION = r"""
module: activate
short_description: Switch clients to releases, all or none
version_added: 0.1.0
author:
  - Slipway
description:
  - Places nginx's files, enables the release's instance at boot, and renames the link C(current) to the release. Then it sends a
    request through nginx as a client would.
  - If one app's answer is not good, all apps of the call go back to their previous releases, with nginx's files. The new
    instances are drained, stopped and removed.
  - The old instances keep running; M(slipway.kit.retire) ends them. Until then O(state=undone) takes the switch back, since it
    failed on another host.
options:
  apps:
    description: The apps, switched together. Required to switch.
    type: list
    elements: dict
    suboptions:
      root:
        description: The app's directory.
        type: path
        required: true
      release:
        description: The id of the release, whose instance already runs (M(slipway.kit.instance)).
        type: str
        required: true
  state:
    description:
      - C(activated) switches.
      - C(undone) gives clients the release that they had before this run's switch, with nginx's files of then. The new instances
        are drained, stopped and removed. The host knows what this run has switched. A release that is not current is left alone.
    type: str
    choices: [activated, undone]
    default: activated
  sites:
    description:
      - nginx's files of every app, written by the action, as M(slipway.kit.files) takes them.
      - The previous files are kept until the run has succeeded. If the host crashes before its switch has, the next run finds
        them.
    type: dict
  token:
    description: Whose switch it is; set by the action. Only the run that has switched undoes it.
    type: str
    default: ""
  leaving:
    description: Why the previous releases are marked bad; empty if they are good.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Reports the apps that would be switched.
"""

EXAMPLES = r"""
- name: Switch clients to the new release
  slipway.kit.activate:
    apps:
      - root: /srv/shop
        release: v1.4.2-1a2b3c4d
"""

RETURN = r"""
apps:
  description:
    - Each app with its release, the one that was current before (null for the first), and whether it changed.
    - With O(state=undone), those that went back. C(note) says which release the app has now.
  returned: success
  type: list
  elements: dict
  sample: [{"app": "shop", "release": "v1.4.2-1a2b3c4d", "previous": "v1.4.1-0f9e8d7c", "changed": true}]
paths:
  description: nginx's files that changed.
  returned: success
  type: list
  elements: str
  sample: [/etc/nginx/conf.d/slipway-shop.conf]
drifted:
  description: nginx's files that another user or program had changed, as M(slipway.kit.files) returns them.
  returned: success
  type: list
  elements: dict
  sample: []
misled:
  description:
    - The apps that kept their release and that clients do not reach, with the reason and a hint. Another site of nginx has their
      domain, for example.
  returned: success
  type: list
  elements: dict
  sample: []
failures:
  description: Each app that failed, with its release, the reason and a hint.
  returned: failure
  type: list
  elements: dict
  sample: [{"app": "shop", "release": "v1.4.2-1a2b3c4d", "reason": "no process listens", "hint": "", "log": []}]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.kit.plugins.module_utils.host.options import APPS

SPEC: dict[str, Any] = {
    "argument_spec": {
        "apps": {**APPS, "required": False},
        "leaving": {"type": "str", "default": ""},
        "token": {"type": "str", "default": "", "no_log": False},
        "state": {"type": "str", "choices": ["activated", "undone"], "default": "activated"},
        "sites": {
            "type": "dict",
            "options": {
                "payload": {"type": "str", "required": True, "no_log": True},
                "validate": {"type": "list", "elements": "str", "required": True},
                "apply": {"type": "list", "elements": "list", "required": True},
                "on_drift": {"type": "str", "choices": ["keep", "refuse"], "default": "keep"},
            },
        },
    },
    "required_if": [("state", "activated", ("apps",))],
    "supports_check_mode": True,
}
"""The module's parameters. The action of the same name checks them, too."""
RESULT: dict[str, Any] = {
    "apps": [
        {
            "app": "app",
            "release": "release",
            "previous?": "release",
            "changed": "bool",
            "note?": "line",
        }
    ],
    "paths?": ["line"],
    "drifted?": [{"path": "line", "kept": "line"}],
    "misled?": [
        {"app": "app", "release": "release", "reason": "text", "hint": "text", "log": ["text"], "source?": "line"}
    ],
}
"""The fields of the result. The action refuses all others (plugins/module_utils/answers.py)."""


def main() -> None:
    """Run the module."""
    from ansible_collections.slipway.kit.plugins.module_utils.host.files import fileset
    from ansible_collections.slipway.kit.plugins.module_utils.host.report import answer
    from ansible_collections.slipway.kit.plugins.module_utils.host.run.instances import Wish
    from ansible_collections.slipway.kit.plugins.module_utils.host.run.switch import switch
    from ansible_collections.slipway.kit.plugins.module_utils.host.run.way_back import take_back

    module = AnsibleModule(**SPEC)
    wishes = [Wish(app["root"], app["release"]) for app in module.params["apps"] or ()]
    sites = module.params["sites"] and fileset.Wanted.read(module.params["sites"])

    def work() -> dict[str, Any]:
        if module.params["state"] == "undone":
            return take_back(module.params["token"], module.check_mode)
        result, diffs = switch(wishes, sites, module.check_mode, module.params["leaving"], module.params["token"])
        return {**result, "diff": diffs if module._diff else []}

    answer(module, work)


if __name__ == "__main__":
    main()
