#!/usr/bin/python
"""Reports how users log in to the host with ssh."""

from __future__ import annotations

DOCUMENTATION = r"""
module: access
short_description: Report how users log in to the host with ssh
version_added: 0.1.0
author: Slipway
description:
  - Reports the ports on which sshd listens, including the port of this connection, and whether it accepts passwords.
  - The action of the same name then opens another connection by key only. This shows whether the operator needs a password.
attributes:
  check_mode:
    support: full
    description: Only reads.
"""

EXAMPLES = r"""
- name: Find out how this run logs in
  slipway.kit.access:
"""

RETURN = r"""
ansible_facts:
  description: The facts, under the key C(slipway_access).
  returned: success
  type: dict
  contains:
    slipway_access:
      description:
        - C(sshd) says whether the host has sshd, and C(passwords) whether it accepts passwords. C(ports) are its ports.
        - C(key) says whether passwords are unnecessary, because a key worked or sshd accepts no passwords. C(why) is the reason
          if not.
      type: dict
      sample: {"sshd": true, "ports": [22], "passwords": true, "key": true, "why": ""}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

SPEC: dict[str, Any] = {
    "argument_spec": {},
    "supports_check_mode": True,
}
"""The module's parameters. The action of the same name checks them, too."""
RESULT: dict[str, Any] = {
    "ansible_facts": {"slipway_access": {"sshd": "bool", "ports": ["count"], "passwords": "bool"}}
}
"""The fields of the result. The action refuses all others (plugins/module_utils/answers.py)."""


def main() -> None:
    """Run the module."""
    from ansible_collections.slipway.kit.plugins.module_utils.host.report import answer
    from ansible_collections.slipway.kit.plugins.module_utils.host.system.access import access

    module = AnsibleModule(**SPEC)
    answer(module, lambda: {"changed": False, "ansible_facts": {"slipway_access": access()}}, alone=False)


if __name__ == "__main__":
    main()
