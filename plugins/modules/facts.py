#!/usr/bin/python
"""Facts of a host, as far as Slipway needs them, in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: facts
short_description: Learn what Slipway needs to know of a host
version_added: 0.1.0
author:
  - The Slipway maintainers (@slipway)
description:
  - Reads the machine, its interpreters, packages, nginx, process managers and the apps' releases. Changes nothing.
options:
  apps:
    description: The apps to look at.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the app, which is also its user.
        type: str
        required: true
      root:
        description: Folder of the app.
        type: path
        required: true
  packages:
    description: Distribution packages to look for.
    type: list
    elements: str
    required: true
  nginx_port:
    description: Port whose default server is looked for.
    type: int
    required: true
  tools:
    description: Names, each with the path of the program that proves the tool.
    type: dict
    required: true
attributes:
  check_mode:
    support: full
    description: Only reads.
  diff_mode:
    support: none
    description: Changes nothing.
"""

EXAMPLES = r"""
- name: Learn about the host
  slipway.kit.facts:
    apps:
      - {name: shop, root: /srv/shop}
    packages: [nginx]
    nginx_port: 80
    tools:
      uv: /opt/slipway/uv-0.9.11/bin/uv
"""

RETURN = r"""
ansible_facts:
  description: The facts, under the key C(slipway).
  returned: success
  type: dict
  contains:
    slipway:
      description:
        - C(cores), C(memory) in bytes, C(systemd), C(ipv6),
          C(pythons) (path to version), C(packages_missing), C(tools) (name to whether it is whole), C(supervisor_running),
          C(users) (the accounts that the kit made), C(deployed) (of which apps something is on the host), C(drifted) (the kit's files that somebody else has changed).
        - C(nginx) has C(installed), C(user), C(group), C(main_conf) (V(distro), V(slipway), V(local) or
          V(absent)), C(distro_conf) (its text while it is the distribution's), C(running), C(port_taken) (C(program) and C(pid) of another program that listens on the port, or null), C(default_server) (a file that is not ours, or null), C(welcome_page) (the same when it is but the package's own page), C(nameless_server) (a file that is not ours whose server gets what names no other one only because it comes first) and C(sites) (our site files, each
          with its apps).
        - C(apps) has for each C(current), C(releases) (C(code), C(bad), C(complete) and more).
      type: dict
      sample: {cores: 2, memory: 4294967296, systemd: true}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.kit.plugins.module_utils.contract import facts as contract
from ansible_collections.slipway.kit.plugins.module_utils.host.options import LOOK

SPEC: dict[str, Any] = {"argument_spec": LOOK, "supports_check_mode": True}
"""What the module takes; the action of the same name checks it, too."""
RESULT: dict[str, Any] = {"ansible_facts": {"slipway": contract.CONTRACT}}
"""What the module answers; the action takes nothing else (plugins/module_utils/answers.py)."""


def main() -> None:
    """Run as an Ansible module."""
    from ansible_collections.slipway.kit.plugins.module_utils.host.report import answer
    from ansible_collections.slipway.kit.plugins.module_utils.host.system import facts

    module = AnsibleModule(**SPEC)

    def look() -> dict[str, Any]:
        return {"changed": False, "ansible_facts": {"slipway": facts.collect(**module.params)}}

    answer(module, look, alone=False)


if __name__ == "__main__":
    main()
