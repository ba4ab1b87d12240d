#!/usr/bin/python
"""Lists the releases on the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: releases
short_description: List the releases on the host
version_added: 0.1.0
author: Slipway
description:
  - For every release, reports its version, its size, and when and by which user it became current. It also marks the current, the
    previous and the bad ones.
options:
  apps:
    description: The apps.
    type: list
    elements: dict
    required: true
    suboptions:
      root:
        description: The app's directory.
        type: path
        required: true
attributes:
  check_mode:
    support: full
    description: Only reads.
"""

EXAMPLES = r"""
- name: List the releases
  slipway.kit.releases:
    apps:
      - root: /srv/shop
"""

RETURN = r"""
releases:
  description: The releases, the newest first.
  returned: success
  type: list
  elements: dict
  sample: [{"app": "shop", "id": "v1.4.2-1a2b3c4d", "version": "v1.4.2", "when": "2026-01-01T00:00:00Z", "who": "ann", "bytes": 123456,
    "current": true, "previous": false, "bad": null}]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

OPTIONS = {"root": {"type": "path", "required": True}}
SPEC: dict[str, Any] = {
    "argument_spec": {"apps": {"type": "list", "elements": "dict", "required": True, "options": OPTIONS}},
    "supports_check_mode": True,
}
"""The module's parameters. The action of the same name checks them, too."""
RESULT: dict[str, Any] = {
    "releases": [
        {
            "app": "app",
            "id": "release",
            "version": "word",
            "when": "word",
            "who": "line",
            "bytes": "count",
            "current": "bool",
            "previous": "bool",
            "bad?": "text",
        }
    ]
}
"""The fields of the result. The action refuses all others (plugins/module_utils/answers.py)."""


def main() -> None:
    """Run the module."""
    from ansible_collections.slipway.kit.plugins.module_utils.host.report import answer
    from ansible_collections.slipway.kit.plugins.module_utils.host.system.history import history

    module = AnsibleModule(**SPEC)
    answer(
        module,
        lambda: {"changed": False, "releases": [one for app in module.params["apps"] for one in history(app["root"])]},
        alone=False,
    )


if __name__ == "__main__":
    main()
