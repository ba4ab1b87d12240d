#!/usr/bin/python
"""Reads the facts of a host that Slipway needs, in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: facts
short_description: Read the facts of a host that Slipway needs
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
  nginx_ports:
    description: The ports on which nginx is to listen.
    type: list
    elements: int
    required: true
  tools:
    description: Names of tools, each with the path of the program that proves its installation.
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
- name: Read the host's facts
  slipway.kit.facts:
    apps:
      - {name: shop, root: /srv/shop}
    packages: [nginx]
    nginx_ports: [80, 443]
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
        - C(schema), the number of their form. C(cores), C(memory) in bytes, C(systemd), C(ipv6),
          C(pythons) (path to version), C(packages_missing), C(tools) (name to whether it is complete), C(supervisor_running),
          C(users) (the accounts that the kit created), C(deployed) (the apps with files on the host), C(drifted) (placed files that
          another user or program changed), C(firewall) (the ports that the kit's firewall opens, or null).
        - C(nginx) has C(installed), C(user), C(group), C(running), C(masked), C(at_boot), C(version), C(openssl), C(http3), C(main_conf) (V(distro),
          V(slipway), V(local) or V(absent)), and C(distro_conf) (its text while it is the distribution's). C(nginx.sites) are the kit's site files, each with
          its apps. C(nginx.names) are their names, each with the apps that it leads to, and V(_) for every other name.
        - C(nginx.ports) has each C(port) that was asked about. C(taken) is the C(program) and C(pid) of another program that listens
          there, or null.
        - C(default_server) is a default server's file that is not the kit's, or null. C(nginx.welcome_page) is the same if it is
          only the package's own page.
        - C(nameless_server) is a file that is not the kit's. Its server gets all requests for unknown names only because it
          comes first.
        - C(apps) has C(current) and C(releases) (C(code), C(bad), C(complete) and more) for each app.
      type: dict
      sample: {schema: 1, cores: 2, memory: 4294967296, systemd: true}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.kit.plugins.module_utils.contract import facts as contract
from ansible_collections.slipway.kit.plugins.module_utils.host.options import LOOK

SPEC: dict[str, Any] = {"argument_spec": LOOK, "supports_check_mode": True}
"""The module's parameters. The action of the same name checks them, too."""
RESULT: dict[str, Any] = {"ansible_facts": {"slipway": contract.CONTRACT}}
"""The fields of the result. The action refuses all others (plugins/module_utils/answers.py)."""


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
