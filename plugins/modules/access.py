#!/usr/bin/python
"""How ssh lets people into the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: access
short_description: See how ssh lets people into the host
version_added: 0.1.0
author: Slipway
description:
  - Says on which ports sshd listens, the one of this very connection included, and whether passwords let people in.
  - The action of the same name then opens one more connection that may use nothing but a key, to learn whether the person who
    runs the playbook can do without a password.
attributes:
  check_mode:
    support: full
    description: Only reads.
"""

EXAMPLES = r"""
- name: See how ssh lets this run in
  slipway.kit.access:
"""

RETURN = r"""
ansible_facts:
  description: What was seen, under the key C(slipway_access).
  returned: success
  type: dict
  contains:
    slipway_access:
      description:
        - C(sshd) (whether it is there), C(ports), C(passwords) (whether they let people in), C(key) (whether passwords are
          not needed, because a key let us in or nobody comes in by password anyway) and C(why) (why not).
      type: dict
      sample: {"sshd": true, "ports": [22], "passwords": true, "key": true, "why": ""}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

SPEC: dict[str, Any] = {
    "argument_spec": {},
    "supports_check_mode": True,
}
"""What the module takes; the action of the same name checks it, too."""
RESULT: dict[str, Any] = {
    "ansible_facts": {"slipway_access": {"sshd": "bool", "ports": ["count"], "passwords": "bool"}}
}
"""What the module answers; the action takes nothing else (plugins/module_utils/answers.py)."""


def main() -> None:
    """Run the module."""
    from ansible_collections.slipway.kit.plugins.module_utils.host.report import answer
    from ansible_collections.slipway.kit.plugins.module_utils.host.system.access import access

    module = AnsibleModule(**SPEC)
    answer(module, lambda: {"changed": False, "ansible_facts": {"slipway_access": access()}}, alone=False)


if __name__ == "__main__":
    main()
