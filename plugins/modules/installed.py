#!/usr/bin/python
"""Lists the packages in the current releases."""

from __future__ import annotations

DOCUMENTATION = r"""
module: installed
short_description: List the packages in the current releases
version_added: 0.1.0
author: Slipway
description:
  - Reads the metadata of every distribution in the virtualenv of each app's current release.
options:
  apps:
    description: The apps. The result omits an app without a current release.
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
- name: List the installed packages
  slipway.kit.installed:
    apps:
      - root: /srv/shop
"""

RETURN = r"""
releases:
  description: The current releases with their packages, or with the C(error) of reading them.
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
"""The module's parameters. The action of the same name checks them, too."""
RESULT: dict[str, Any] = {
    "releases": [
        {"app": "app", "release": "release", "packages": [{"name": "line", "version": "line"}], "error?": "line"}
    ]
}
"""The fields of the result. The action refuses all others (plugins/module_utils/answers.py)."""


def main() -> None:
    """Run the module."""
    from ansible_collections.slipway.kit.plugins.module_utils.host.report import answer
    from ansible_collections.slipway.kit.plugins.module_utils.host.system.installed import installed

    module = AnsibleModule(**SPEC)
    answer(
        module,
        lambda: {
            "changed": False,
            "releases": [release for app in module.params["apps"] if (release := installed(app["root"])) is not None],
        },
        alone=False,
    )


if __name__ == "__main__":
    main()
