#!/usr/bin/python
"""End the old instances, remove what no release needs any more, and give the lock back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: retire
short_description: Drain and stop old instances, prune old releases, unlock the host
version_added: 0.1.0
author:
  - Slipway
description:
  - Waits until nobody waits on an old instance's socket any more, then stops it gracefully and removes its unit.
  - Keeps the current release, the one before it, as many good ones as C(keep_releases) says, and the newest bad one; removes
    the other releases with their logs, virtualenvs that no release uses, and what interrupted deploys left.
  - Does nothing to an app of which no release is current.
  - When all is done, so is the run. It gives the host's lock back in the same call, since each call costs time, and has its
    line in the journal, as with M(slipway.kit.lock).
options:
  apps:
    description: The apps, drained side by side.
    type: list
    elements: dict
    required: true
    suboptions:
      root:
        description: The app's directory.
        type: path
        required: true
      release:
        description: The release that must be current; when another one is, the module fails and touches nothing.
        type: str
  held:
    description: The apps that this run has held back, each with its C(reason); in the journal the run has failed for them.
    type: dict
    default: {}
  token:
    description: That of the lock that the run has; set by the action of the same name.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Names what would be stopped and removed.
"""

EXAMPLES = r"""
- name: End the old release, and the run
  slipway.kit.retire:
    apps:
      - root: /srv/shop
        release: v1.4.2-1a2b3c4d
"""

RETURN = r"""
interpreters:
  description: The folders of the Pythons that were installed for apps and are removed, since no app uses them any more.
  returned: success
  type: list
  elements: str
  sample: [/opt/slipway/python/3.13.18]
apps:
  description:
    - Each app with the releases whose instances were ended (C(retired)), those of them on which requests were still
      waiting when the drain limit was over (C(undrained)), the paths removed, and what could not be removed (C(remains)).
  returned: success
  type: list
  elements: dict
  sample: [{"app": "shop", "retired": ["v1.4.1-0f9e8d7c"], "undrained": [], "removed": [], "remains": []}]
failures:
  description: Each app that failed, with the reason.
  returned: failure
  type: list
  elements: dict
  sample: [{"app": "shop", "release": "", "reason": "it did not stop", "hint": "", "log": []}]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

APP = {"root": {"type": "path", "required": True}, "release": {"type": "str"}}
SPEC: dict[str, Any] = {
    "argument_spec": {
        "apps": {"type": "list", "elements": "dict", "required": True, "options": APP},
        "held": {"type": "dict", "default": {}},
        "token": {"type": "str", "default": "", "no_log": False},
    },
    "supports_check_mode": True,
}
"""What the module takes; the action of the same name checks it, too."""
RESULT: dict[str, Any] = {
    "apps": [
        {"app": "app", "retired": ["release"], "undrained": ["release"], "removed": ["line"], "remains": ["line"]}
    ],
    "interpreters": ["path"],
}
"""What the module answers; the action takes nothing else (plugins/module_utils/answers.py)."""


def main() -> None:
    """Run the module."""
    from ansible_collections.slipway.kit.plugins.module_utils.host.report import answer
    from ansible_collections.slipway.kit.plugins.module_utils.host.run.retire import retire
    from ansible_collections.slipway.kit.plugins.module_utils.host.system import lock

    module = AnsibleModule(**SPEC)
    roots = {app["root"]: app["release"] for app in module.params["apps"]}

    def work() -> dict[str, Any]:
        done = retire(roots, module.check_mode)
        if not module.check_mode:
            held = {app: str(why["reason"]) for app, why in module.params["held"].items()}
            lock.free(module.params["token"], "ok", "", {}, held=held)
        return done

    answer(module, work)


if __name__ == "__main__":
    main()
