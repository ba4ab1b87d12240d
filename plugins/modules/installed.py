#!/usr/bin/python
"""List what is installed in the current releases."""

from __future__ import annotations

DOCUMENTATION = r"""
module: installed
short_description: List what is installed in the current releases
version_added: 0.1.0
author: Slipway
description:
  - Reads the metadata of every distribution in the virtualenv of each app's current release.
options:
  apps:
    description: The apps. One without a current release is left out.
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
- name: Read what is installed
  slipway.kit.installed:
    apps:
      - root: /srv/shop
"""

RETURN = r"""
releases:
  description: The current releases with their packages, or with the C(error) that kept them from being read.
  returned: success
  type: list
  elements: dict
  sample: [{"app": "shop", "release": "v1.4.2-1a2b3c4d", "packages": [{"name": "flask", "version": "3.1.0"}]}]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

OPTIONS = {"root": {"type": "path", "required": True}}
SPEC: dict[str, Any] = {
    "argument_spec": {"apps": {"type": "list", "elements": "dict", "required": True, "options": OPTIONS}},
    "supports_check_mode": True,
}
"""What the module takes; the action of the same name checks it, too."""
RESULT: dict[str, Any] = {
    "releases": [
        {"app": "app", "release": "release", "packages": [{"name": "line", "version": "line"}], "error?": "line"}
    ]
}
"""What the module answers; the action takes nothing else (plugins/module_utils/answers.py)."""


def main() -> None:
    """Run the module."""
    from ansible_collections.slipway.kit.plugins.module_utils.host.report import answer
    from ansible_collections.slipway.kit.plugins.module_utils.host.system.installed import installed

    module = AnsibleModule(**SPEC)
    answer(
        module,
        lambda: {
            "changed": False,
            "releases": [found for app in module.params["apps"] if (found := installed(app["root"])) is not None],
        },
        alone=False,
    )


if __name__ == "__main__":
    main()
