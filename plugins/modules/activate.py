#!/usr/bin/python
"""Make releases the ones that visitors see."""

from __future__ import annotations

DOCUMENTATION = r"""
module: activate
short_description: Switch visitors to a release, or not at all
version_added: 0.1.0
author:
  - Slipway
description:
  - Has the release's instance started at boot, renames the link C(current) to it, and asks nginx on this host as a
    visitor would.
  - When one app's answer is not good, all apps of the call go back to what visitors saw before, and the new instances are
    drained, stopped and removed.
  - The old instances go on running; M(slipway.kit.retire) ends them.
options:
  apps:
    description: The apps, switched together.
    type: list
    elements: dict
    required: true
    suboptions:
      root:
        description: The app's directory.
        type: path
        required: true
      release:
        description: The id of the release. Its instance runs already (M(slipway.kit.instance)).
        type: str
        required: true
  leaving:
    description: Why the releases that are left are marked bad; empty when they are good.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Says which apps would be switched.
"""

EXAMPLES = r"""
- name: Let visitors see the new release
  slipway.kit.activate:
    apps:
      - root: /srv/shop
        release: v1.4.2-1a2b3c4d
"""

RETURN = r"""
apps:
  description: Each app with its release, the one that was current before (null for the first), and whether it changed.
  returned: success
  type: list
  elements: dict
  sample: [{"app": "shop", "release": "v1.4.2-1a2b3c4d", "previous": "v1.4.1-0f9e8d7c", "changed": true}]
failures:
  description: Each app that failed, with its release, the reason and a hint.
  returned: failure
  type: list
  elements: dict
  sample: [{"app": "shop", "release": "v1.4.2-1a2b3c4d", "reason": "nobody listens", "hint": "", "log": []}]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.kit.plugins.module_utils.host.instances import Wish
from ansible_collections.slipway.kit.plugins.module_utils.host.report import APPS, answer
from ansible_collections.slipway.kit.plugins.module_utils.host.switch import activate

SPEC: dict[str, Any] = {
    "argument_spec": {"apps": APPS, "leaving": {"type": "str", "default": ""}},
    "supports_check_mode": True,
}
"""What the module takes; the action of the same name checks it, too."""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**SPEC)
    wishes = [Wish(**app) for app in module.params["apps"]]
    answer(module, lambda: activate(wishes, module.check_mode, module.params["leaving"]))


if __name__ == "__main__":
    main()
