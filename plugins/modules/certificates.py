#!/usr/bin/python
"""Keeps the certificates of the host's sites."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificates
short_description: Keep the certificates of the host's sites
version_added: 0.2.0
author: Slipway
description:
  - Gives every site of nginx with https a certificate, gets the missing ones from an authority, and removes those that no site
    needs.
  - Places a program on the host that does this. A timer runs the same program twice a day and renews what is due.
  - The action of the same name adds the program, its settings and the secrets.
options:
  state:
    description:
      - C(prepared) gives every site a certificate that nginx can read. Where the authority has not signed one yet, it is a
        placeholder.
      - C(finished) completes the certificates of the sites in O(missing), which nginx serves by now. It asks the authority where
        that has not signed one yet, and leads clients of http to https. It removes what no site needs.
      - C(listed) lists the certificates.
      - C(renewed) renews all certificates of the authority now, and lists them.
    type: str
    choices: [prepared, finished, listed, renewed]
    required: true
  missing:
    description: The sites whose certificates are completed.
    type: list
    elements: str
    default: []
  program:
    description: The files of the program.
    type: dict
    default: {}
  settings:
    description: The program's settings.
    type: dict
    default: {}
  provided:
    description: The provided certificates, each with C(chain) and C(key), by site.
    type: dict
    default: {}
  secrets:
    description: The files that only certbot's user reads, by name.
    type: dict
    default: {}
  authority:
    description: The certificates that certbot trusts for a private directory.
    type: str
    default: ""
  keep:
    description: The sites of other inventories of the host. Their settings and certificates stay.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: partial
    description: Reports whether the settings differ. Asks no authority.
"""

EXAMPLES = r"""
- name: Give every site a certificate
  slipway.kit.certificates:
    state: prepared

- name: Complete the certificates
  slipway.kit.certificates:
    state: finished
    missing: [shop.example.com]

- name: List the certificates
  slipway.kit.certificates:
    state: listed
"""

RETURN = r"""
sites:
  description: What was done for each site. C(failure) is empty where it succeeded.
  returned: success
  type: list
  elements: dict
  sample: [{"site": "shop.example.com", "changed": true, "failure": "", "remark": ""}]
missing:
  description: The sites that have no certificate of the authority yet, or whose clients are not led to https yet.
  returned: success
  type: list
  elements: str
  sample: [shop.example.com]
certificates:
  description: The certificates on the host.
  returned: with C(listed) and C(renewed)
  type: list
  elements: dict
  sample: [{"site": "shop.example.com", "domains": ["shop.example.com"], "source": "acme", "kind": "acme", "issuer": "CN=E7",
    "expires": "2026-03-01T00:00:00Z", "days": 59, "renews": "2026-01-30T00:00:00Z", "succeeded": "2026-01-01T00:00:00Z",
    "failed": "", "failure": ""}]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

SPEC: dict[str, Any] = {
    "argument_spec": {
        "state": {"type": "str", "choices": ["prepared", "finished", "listed", "renewed"], "required": True},
        "missing": {"type": "list", "elements": "str", "default": []},
        "program": {"type": "dict", "default": {}},
        "settings": {"type": "dict", "default": {}},
        "provided": {"type": "dict", "default": {}, "no_log": True},
        "secrets": {"type": "dict", "default": {}, "no_log": True},
        "authority": {"type": "str", "default": ""},
        "keep": {"type": "list", "elements": "str", "default": []},
    },
    "supports_check_mode": True,
}
"""The module's parameters. The action of the same name checks them, too."""
RESULT: dict[str, Any] = {
    "sites?": [{"site": "word", "changed": "bool", "failure": "line", "remark": "line"}],
    "missing?": ["word"],
    "certificates?": [
        {
            "site": "word",
            "domains": ["line"],
            "source": "word",
            "kind": "word",
            "issuer": "line",
            "expires": "word",
            "days": "int",
            "renews": "word",
            "succeeded": "word",
            "failed": "word",
            "failure": "line",
        }
    ],
}
"""The fields of the result. The action refuses all others (plugins/module_utils/answers.py)."""


def main() -> None:
    """Run the module."""
    from ansible_collections.slipway.kit.plugins.module_utils.host.report import answer
    from ansible_collections.slipway.kit.plugins.module_utils.host.system import certificates

    module = AnsibleModule(**SPEC)
    given = module.params
    wanted = certificates.Wanted(
        given["program"], given["settings"], given["authority"], given["secrets"], given["keep"]
    )

    def work() -> dict[str, Any]:
        if given["state"] == "listed":
            return {"changed": False, "certificates": certificates.status()}
        if module.check_mode:
            same = given["state"] == "renewed" or certificates.is_placed(wanted)
            return {"changed": not same, "sites": [], "missing": []}
        if given["state"] == "renewed":
            return {**certificates.renew(now=True), "certificates": certificates.status()}
        if given["state"] == "prepared":
            return certificates.prepare(wanted, given["provided"])
        return certificates.finish(wanted, given["missing"])

    # The program takes the host's lock itself, while it changes a certificate: it waits for an authority without it.
    answer(module, work, alone=False)


if __name__ == "__main__":
    main()
