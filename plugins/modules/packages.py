#!/usr/bin/python
"""Installs packages of the distribution."""

from __future__ import annotations

DOCUMENTATION = r"""
module: packages
short_description: Install packages of a Debian-like distribution
version_added: 0.1.0
author: Slipway
description:
  - Completes installations that a power cut interrupted. Waits for other programs that use apt, and names them.
  - Fetches the package index only if a package is not found. A source that does not answer is only a warning if all packages are
    available.
options:
  names:
    description: The packages.
    type: list
    elements: str
    required: true
  optional:
    description: Those of them that may be missing; the others are installed anyway.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: The task says what would be installed.
"""

EXAMPLES = r"""
- name: Install nginx
  slipway.kit.packages:
    names: [nginx]
"""

RETURN = r"""
installed:
  description: The packages that are now installed.
  returned: success
  type: list
  elements: str
  sample: [nginx]
unavailable:
  description: The optional packages that are not available, each with the reason.
  returned: success
  type: dict
  sample: {}
ansible_facts:
  description: C(slipway_unavailable), the same.
  returned: success
  type: dict
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

SPEC: dict[str, Any] = {
    "argument_spec": {
        "names": {"type": "list", "elements": "str", "required": True},
        "optional": {"type": "list", "elements": "str", "default": []},
    }
}
"""The module's parameters. The action of the same name checks them, too."""

RESULT: dict[str, Any] = {"installed": ["package"], "unavailable": {"<package>": "line"}}
"""The fields of the result. The action refuses all others (plugins/module_utils/answers.py)."""


def main() -> None:
    """Install the packages."""
    from ansible_collections.slipway.kit.plugins.module_utils.host.report import answer
    from ansible_collections.slipway.kit.plugins.module_utils.host.system import packages

    module = AnsibleModule(**SPEC)
    os.umask(0o022)

    def work() -> dict[str, Any]:
        names = module.params["names"]
        warnings, absent = packages.install(names, module.params["optional"])
        installed = [name for name in names if name not in absent]
        return {"changed": bool(installed), "warnings": warnings, "installed": installed, "unavailable": absent}

    answer(module, work, alone=False)


if __name__ == "__main__":
    main()
