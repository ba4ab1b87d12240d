#!/usr/bin/python
"""Ends the old instances, removes files that no release needs, and releases the lock."""

from __future__ import annotations

DOCUMENTATION = r"""
module: retire
short_description: Drain and stop old instances, prune old releases, unlock the host
version_added: 0.1.0
author:
  - Slipway
description:
  - Waits until no request waits on an old instance's socket, then stops the instance gracefully and removes its unit.
  - Keeps the current release, the one before it, the newest bad one, and good ones up to C(keep_releases). Removes the other
    releases with their logs, virtualenvs that no release uses, and files of interrupted deploys.
  - Of removed bad releases it keeps the marks, and the logs of the newest three.
  - Changes nothing for an app without a current release.
  - This is the last step of a run. So it also releases the host's lock, since each call costs time, and writes the journal, as
    M(slipway.kit.lock) does.
options:
  apps:
    description: The apps, drained in parallel.
    type: list
    elements: dict
    required: true
    suboptions:
      root:
        description: The app's directory.
        type: path
        required: true
      release:
        description: The release that must be current. If another one is, the module fails and changes nothing.
        type: str
  held:
    description: The apps that this run has held back, each with its C(reason). The journal records a failed run for them.
    type: dict
    default: {}
  inventory:
    description: The name of the inventory that the apps belong to from now on; empty if it has none.
    type: str
    default: ""
  settings:
    description: The settings that this inventory applies to files which all inventories of the host share, each with its value in JSON.
    type: dict
    default: {}
  unlock:
    description: Whether the run ends here; false for a run that failed late and has more to do.
    type: bool
    default: true
  token:
    description: The token of the run's lock; set by the action of the same name.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Reports what would be stopped and removed.
"""

EXAMPLES = r"""
- name: Retire the old release and end the run
  slipway.kit.retire:
    apps:
      - root: /srv/shop
        release: v1.4.2-1a2b3c4d
"""

RETURN = r"""
interpreters:
  description: The folders of Python versions that were removed, since no app uses them.
  returned: success
  type: list
  elements: str
  sample: [/opt/slipway/python/3.13.18]
apps:
  description:
    - Each app with the releases whose instances ended (C(retired)), the removed paths, and those that could not be removed
      (C(remains)). C(undrained) are releases with requests that still waited at the drain limit. C(ending) are releases whose
      processes still finish a task; the next run removes what is left of them.
  returned: success
  type: list
  elements: dict
  sample: [{"app": "shop", "retired": ["v1.4.1-0f9e8d7c"], "undrained": [], "ending": [], "removed": [], "remains": []}]
unlocked:
  description: Whether the run's lock was released.
  returned: success, if O(unlock) is true
  type: bool
  sample: true
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
        "inventory": {"type": "str", "default": ""},
        "settings": {"type": "dict", "default": {}},
        "unlock": {"type": "bool", "default": True},
        "token": {"type": "str", "default": "", "no_log": False},
    },
    "supports_check_mode": True,
}
"""The module's parameters. The action of the same name checks them, too."""
RESULT: dict[str, Any] = {
    "apps": [
        {
            "app": "app",
            "retired": ["release"],
            "undrained": ["release"],
            "ending": ["release"],
            "removed": ["line"],
            "remains": ["line"],
        }
    ],
    "interpreters": ["path"],
    "unlocked?": "bool",
}
"""The fields of the result. The action refuses all others (plugins/module_utils/answers.py)."""


def main() -> None:
    """Run the module."""
    from ansible_collections.slipway.kit.plugins.module_utils.contract.manifest import app_name
    from ansible_collections.slipway.kit.plugins.module_utils.host.files import fileset
    from ansible_collections.slipway.kit.plugins.module_utils.host.report import answer
    from ansible_collections.slipway.kit.plugins.module_utils.host.run import switch_record
    from ansible_collections.slipway.kit.plugins.module_utils.host.run.retire import retire
    from ansible_collections.slipway.kit.plugins.module_utils.host.system import lock, origins

    module = AnsibleModule(**SPEC)
    roots = {app["root"]: app["release"] for app in module.params["apps"]}

    def work() -> dict[str, Any]:
        result = retire(roots, module.check_mode)
        fileset.forget(switch_record.BEFORE, module.check_mode)
        if not module.check_mode:
            switch_record.forget()
            origins.note(map(app_name, roots), module.params["inventory"])
            origins.apply(module.params["inventory"], module.params["settings"])
        if module.params["unlock"] and not module.check_mode:
            held = {app: str(why["reason"]) for app, why in module.params["held"].items()}
            result["unlocked"] = lock.free(module.params["token"], "ok", "", {}, held=held)
        return result

    answer(module, work)


if __name__ == "__main__":
    main()
