#!/usr/bin/python
"""Starts instances of releases and checks their health."""

from __future__ import annotations

DOCUMENTATION = r"""
module: instance
short_description: Run an instance of a release and prove that it is healthy
version_added: 0.1.0
author:
  - Slipway
description:
  - Starts a release that is ready on the host, as its manifest describes, next to the current one.
  - Sends requests over its own socket until it has given good answers in a row while none of its workers ended.
  - With O(state=absent), stops and removes the instances, except a current one.
  - Leaves an instance unchanged if it runs and answers well.
  - An instance that fails is stopped and removed, and its release is marked bad. The others continue. The failure has the reason
    and the last lines of its log. A current instance is never stopped.
options:
  apps:
    description: The apps, started in parallel.
    type: list
    elements: dict
    required: true
    suboptions:
      root:
        description: The app's directory.
        type: path
        required: true
      release:
        description: The id of the release.
        type: str
        required: true
  state:
    description: Run the instances and prove their health, or stop those that are not current.
    type: str
    choices: [started, absent]
    default: started
attributes:
  check_mode:
    support: full
    description: Reports the instances that would be started.
"""

EXAMPLES = r"""
- name: Start the new release next to the old one
  slipway.kit.instance:
    apps:
      - root: /srv/shop
        release: v1.4.2-1a2b3c4d
"""

RETURN = r"""
apps:
  description: Each app with its release, and whether an instance was started (or, with O(state=absent), stopped).
  returned: success
  type: list
  elements: dict
  sample: [{"app": "shop", "release": "v1.4.2-1a2b3c4d", "started": true}]
failures:
  description: Each app that failed, with its release, the reason, a hint, and the last lines of its log.
  returned: always
  type: list
  elements: dict
  sample: [{"app": "shop", "release": "v1.4.2-1a2b3c4d", "reason": "the process ended", "hint": "", "log": []}]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.kit.plugins.module_utils.host.options import APPS

SPEC: dict[str, Any] = {
    "argument_spec": {"apps": APPS, "state": {"type": "str", "choices": ["started", "absent"], "default": "started"}},
    "supports_check_mode": True,
}
"""The module's parameters. The action of the same name checks them, too."""
RESULT: dict[str, Any] = {"apps": [{"app": "app", "release": "release", "started?": "bool", "stopped?": "bool"}]}
"""The fields of the result. The action refuses all others (plugins/module_utils/answers.py)."""


def main() -> None:
    """Run the module."""
    from ansible_collections.slipway.kit.plugins.module_utils.host.report import answer
    from ansible_collections.slipway.kit.plugins.module_utils.host.run.instances import Wish, start, stop_unseen
    from ansible_collections.slipway.kit.plugins.module_utils.host.system import lock

    module = AnsibleModule(**SPEC)
    wishes = [Wish(app["root"], app["release"]) for app in module.params["apps"]]

    def work() -> dict[str, Any]:
        if module.params["state"] == "absent":
            return stop_unseen(wishes, module.check_mode)
        if not module.check_mode:
            lock.note_targets({wish.root: wish.release_id for wish in wishes})
        return start(wishes, module.check_mode)

    answer(module, work)


if __name__ == "__main__":
    main()
