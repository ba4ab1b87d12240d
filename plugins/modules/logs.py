#!/usr/bin/python
"""Reads an app's logs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: logs
short_description: Read the lines of an app on the host
version_added: 0.1.0
author: Slipway
description:
  - Reads the logs of the app's programs and of nginx, those that rotation has moved, too. Lines that belong together stay together.
  - The text of the logs is read without rights, and secrets are hidden.
options:
  root:
    description: The app's directory.
    type: path
    required: true
  sites:
    description: nginx's sites that serve the app.
    type: list
    elements: dict
    default: []
    suboptions:
      access:
        description: The access log.
        type: path
        required: true
      errors:
        description: The error log.
        type: path
        required: true
      mount:
        description: The path below which the app is; empty for all of the site.
        type: str
        default: ""
  seconds:
    description: The age of the oldest lines.
    type: int
    default: 3600
  program:
    description: The program whose lines are returned, such as C(web), C(worker), C(nginx) or the name of a timer; empty for all.
    type: str
    default: ""
  pattern:
    description: A regular expression. Only entries in which it is found are returned.
    type: str
    default: ""
  follow:
    description: Whether more calls follow.
    type: bool
    default: false
  cursors:
    description: How far the logs were read, from the last answer.
    type: str
    default: ""
  wait:
    description: How long to wait for new lines, in seconds.
    type: int
    default: 0
attributes:
  check_mode:
    support: full
    description: Only reads.
"""

EXAMPLES = r"""
- name: Read the lines of the last ten minutes
  slipway.kit.logs:
    root: /srv/shop
    seconds: 600
"""

RETURN = r"""
entries:
  description: The entries, the oldest first.
  returned: success
  type: list
  elements: dict
left_out:
  description: How many older entries there are.
  returned: success
  type: int
unread:
  description: The files whose beginning was not read, though it may have lines of the requested time, and how many bytes that are.
  returned: success
  type: list
  elements: dict
deployed:
  description: Whether the host has a release of the app.
  returned: success
  type: bool
cursors:
  description: How far the logs were read.
  returned: success
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

SITE = {
    "access": {"type": "path", "required": True},
    "errors": {"type": "path", "required": True},
    "mount": {"type": "str", "default": ""},
}
SPEC: dict[str, Any] = {
    "argument_spec": {
        "root": {"type": "path", "required": True},
        "sites": {"type": "list", "elements": "dict", "default": [], "options": SITE},
        "seconds": {"type": "int", "default": 3600},
        "program": {"type": "str", "default": ""},
        "pattern": {"type": "str", "default": ""},
        "follow": {"type": "bool", "default": False},
        "cursors": {"type": "str", "default": ""},
        "wait": {"type": "int", "default": 0},
    },
    "supports_check_mode": True,
}
"""The module's parameters. The action of the same name checks them, too."""
RESULT: dict[str, Any] = {
    "entries": [{"at": "count", "source": "line", "release": "line", "text": "text"}],
    "left_out": "count",
    "unread": [{"path": "path", "bytes": "count"}],
    "deployed": "bool",
    "cursors": "text",
}
"""The fields of the result. The action refuses all others (plugins/module_utils/answers.py)."""


def main() -> None:
    """Read the logs."""
    import json
    import time

    from ansible_collections.slipway.kit.plugins.module_utils.host.report import answer
    from ansible_collections.slipway.kit.plugins.module_utils.host.run import logbook, logfiles

    module = AnsibleModule(**SPEC)
    options = module.params

    def work() -> dict[str, Any]:
        every = logfiles.logs(options["root"], options["sites"])
        entries = logbook.read(
            options["root"],
            logfiles.of_program(every, options["program"]),
            time.time() - options["seconds"],
            options["pattern"],
            options["follow"],
            json.loads(options["cursors"]) if options["cursors"] else None,
            options["wait"],
        )
        return {"changed": False, "deployed": any(not log.of_nginx for log in every), **entries}

    answer(module, work, alone=False)


if __name__ == "__main__":
    main()
