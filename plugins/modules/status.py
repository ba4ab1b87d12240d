#!/usr/bin/python
"""Reports how the apps run on the host, and what was changed there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: status
short_description: Report how the apps run on the host
version_added: 0.1.0
author: Slipway
description:
  - Reads what the running processes are, what clients got in the last five minutes, and what is no longer as the kit left it.
  - It changes nothing.
options:
  apps:
    description: The apps that the inventory wants present, those of this run first.
    type: list
    elements: dict
    required: true
    suboptions:
      root:
        description: The app's directory.
        type: path
        required: true
      chosen:
        description: Whether this run is about it.
        type: bool
        default: true
  absent:
    description: The names of the apps that the inventory wants absent.
    type: list
    elements: str
    default: []
  inventory:
    description: The name of the inventory; empty if it has none. Apps of another one are no deviation.
    type: str
    default: ""
  sites:
    description: nginx's sites. Their access logs are read.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The site's name.
        type: str
        required: true
      file:
        description: Its file in nginx.
        type: path
        required: true
      log:
        description: Its access log.
        type: path
        required: true
      apps:
        description: The apps that it serves, each with C(name) and C(mount).
        type: list
        elements: dict
        required: true
attributes:
  check_mode:
    support: full
    description: Only reads.
"""

EXAMPLES = r"""
- name: Read how the apps run
  slipway.kit.status:
    apps:
      - root: /srv/shop
    sites:
      - name: shop.example.com
        file: /etc/nginx/conf.d/slipway-site-shop.example.com.conf
        log: /var/log/nginx/slipway-shop.example.com.access.log
        apps: [{name: shop, mount: /}]
"""

RETURN = r"""
host:
  description: The host's disk, nginx, certificates and changes.
  returned: success
  type: dict
apps:
  description: Each app's programs, as their processes are.
  returned: success
  type: list
  elements: dict
traffic:
  description: What clients got in the last five minutes.
  returned: success
  type: list
  elements: dict
busy:
  description: Whether a step of another run is changing the host.
  returned: success
  type: bool
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

SPEC: dict[str, Any] = {
    "argument_spec": {
        "apps": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {"root": {"type": "path", "required": True}, "chosen": {"type": "bool", "default": True}},
        },
        "absent": {"type": "list", "elements": "str", "default": []},
        "inventory": {"type": "str", "default": ""},
        "sites": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "name": {"type": "str", "required": True},
                "file": {"type": "path", "required": True},
                "log": {"type": "path", "required": True},
                "apps": {"type": "list", "elements": "dict", "required": True},
            },
        },
    },
    "supports_check_mode": True,
}
"""The module's parameters. The action of the same name checks them, too."""
DRIFT = [{"kind": "word", "app": "line", "subject": "line", "detail": "line"}]
RESULT: dict[str, Any] = {
    "host": {
        "disk": {"path": "path", "percent": "count", "free": "count"},
        "reboot": "bool",
        "nginx": "bool",
        "complaints": ["line"],
        "certificates": [{"site": "line", "days?": "int"}],
        "drift": DRIFT,
    },
    "apps": [
        {
            "app": "app",
            "current?": "release",
            "drift": DRIFT,
            "programs": [
                {
                    "name": "word",
                    "unit": "word",
                    "alive": "bool",
                    "detail": "line",
                    "release?": "release",
                    "since?": "count",
                    "processes": "count",
                    "memory": "count",
                    "restarts?": "count",
                }
            ],
            "timers": [
                {
                    "name": "word",
                    "schedule": "line",
                    "last?": {
                        "began": "count",
                        "seconds": "count",
                        "result": "word",
                        "status": "word",
                        "release?": "release",
                    },
                    "running?": "count",
                    "next?": "count",
                    "fault": "line",
                }
            ],
            "answers?": "text",
            "queue?": "count",
            "workers?": "count",
            "activated?": "word",
            "version?": "word",
            "code?": "word",
        }
    ],
    "traffic": [
        {
            "app": "app",
            "site": "line",
            "requests": "count",
            "errors": "count",
            "p95?": "count",
            "counts": ["count"],
            "failed": ["count"],
        }
    ],
    "busy": "bool",
}
"""The fields of the result. The action refuses all others (plugins/module_utils/answers.py)."""


def main() -> None:
    """Look at the host."""
    from ansible_collections.slipway.kit.plugins.module_utils.contract.manifest import app_name
    from ansible_collections.slipway.kit.plugins.module_utils.host.report import answer
    from ansible_collections.slipway.kit.plugins.module_utils.host.run import status

    module = AnsibleModule(**SPEC)

    def work() -> dict[str, Any]:
        apps, inventory = module.params["apps"], module.params["inventory"]
        known, absent = [app_name(app["root"]) for app in apps], module.params["absent"]
        chosen = [app["root"] for app in apps if app["chosen"]]
        return {"changed": False, **status.everything(chosen, known, absent, module.params["sites"], inventory)}

    answer(module, work, alone=False)


if __name__ == "__main__":
    main()
