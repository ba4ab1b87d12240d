#!/usr/bin/python
"""Removes apps from the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: remove
short_description: Remove an app from the host
version_added: 0.1.0
author:
  - Slipway
description:
  - Drains, stops and removes every instance of the app, under systemd and supervisor alike, then its releases and virtualenvs.
  - Ends every process of the app's users before it removes them.
  - Works if parts are already removed. The result names what cannot be removed; the rest is removed. It does not touch nginx's
    files; remove them first.
  - A folder or user with the app's name that was not created for it stays, and the result names it.
options:
  apps:
    description: The apps.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The app's name; by default the last part of its directory.
        type: str
      root:
        description: The app's directory.
        type: path
        required: true
      run:
        description: Directory of the instances' sockets; C(/run/<app>) by default.
        type: path
      log:
        description: Directory of the instances' logs; C(/var/log/slipway/<app>) by default.
        type: path
      site_logs:
        description:
          - The first part of the names of nginx's logs, for each site that is removed with the app, such as
            C(/var/log/nginx/slipway-shop.example.com). The logs are kept in C(log), or removed with it.
        type: list
        elements: path
        default: []
  purge:
    description:
      - Remove shared data, logs, users and groups, too.
      - Accounts that the kit did not create for the app stay.
    type: bool
    default: false
  supervisor_socket:
    description: The socket of supervisord.
    type: path
    default: /run/slipway/supervisor.sock
  supervisor_programs:
    description: The folder of supervisord's programs.
    type: path
    default: /etc/slipway/supervisor.d
attributes:
  check_mode:
    support: full
    description: Reports what would be removed and what would stay.
"""

EXAMPLES = r"""
- name: Remove the shop, but keep its data
  slipway.kit.remove:
    apps:
      - name: shop
        root: /srv/shop
"""

RETURN = r"""
interpreters:
  description: The folders of Python versions that were removed, since no app uses them.
  returned: success
  type: list
  elements: str
  sample: [/opt/slipway/python/3.13.18]
apps:
  description: Each app with the units, paths and accounts that were removed, those that were left, and where files may be left
    that were not looked at.
  returned: success
  type: list
  elements: dict
  sample: [{"app": "shop", "removed": ["/srv/shop/releases"], "left": ["/srv/shop/shared", "user shop"], "unseen": []}]
message:
  description: The same as a sentence for each app.
  returned: success
  type: list
  elements: str
  sample: ["shop is off this host. Left: /srv/shop/shared, user shop; playbooks/remove.yml with -e purge=true removes them too."]
left:
  description: The paths and accounts of all apps that were left.
  returned: success
  type: list
  elements: str
  sample: [/srv/shop/shared, /var/log/slipway/shop, user shop, group shop]
failures:
  description: Each app that failed, with the reason.
  returned: failure
  type: list
  elements: dict
  sample: [{"app": "shop", "release": "", "reason": "it did not stop", "hint": "", "log": []}]
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.kit.plugins.module_utils.contract import names
from ansible_collections.slipway.kit.plugins.module_utils.contract.manifest import SupervisorPlace

APP = {
    "name": {"type": "str"},
    "root": {"type": "path", "required": True},
    "run": {"type": "path"},
    "log": {"type": "path"},
    "site_logs": {"type": "list", "elements": "path", "default": []},
}
SPEC: dict[str, Any] = {
    "argument_spec": {
        "apps": {"type": "list", "elements": "dict", "required": True, "options": APP},
        "purge": {"type": "bool", "default": False},
        "supervisor_socket": {"type": "path", "default": SupervisorPlace.socket},
        "supervisor_programs": {"type": "path", "default": SupervisorPlace.programs},
    },
    "supports_check_mode": True,
}
"""The module's parameters. The action of the same name checks them, too."""
RESULT: dict[str, Any] = {
    "apps": [{"app": "app", "removed": ["line"], "left": ["line"], "unseen": ["line"]}],
    "message": ["text"],
    "left": ["line"],
    "interpreters": ["path"],
}
"""The fields of the result. The action refuses all others (plugins/module_utils/answers.py)."""


def main() -> None:
    """Run the module."""
    from ansible_collections.slipway.kit.plugins.module_utils.host.report import answer
    from ansible_collections.slipway.kit.plugins.module_utils.host.run.removal import Place, remove

    module = AnsibleModule(**SPEC)
    given = module.params
    places = []
    for entry in given["apps"]:
        name = entry["name"] or os.path.basename(entry["root"])
        places.append(
            Place(
                root=entry["root"],
                run=entry["run"] or f"/run/{name}",
                log=entry["log"] or names.app_logs(name),
                site_logs=tuple(entry["site_logs"]),
            )
        )
    supervisor = SupervisorPlace(given["supervisor_socket"], given["supervisor_programs"])
    answer(module, lambda: remove(places, supervisor, given["purge"], module.check_mode))


if __name__ == "__main__":
    main()
