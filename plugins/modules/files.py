#!/usr/bin/python
"""Places a set of files, all or none."""

from __future__ import annotations

DOCUMENTATION = r"""
module: files
short_description: Place a set of rendered templates, all or none, in one round trip
version_added: 0.1.0
author:
  - The Slipway maintainers (@slipway)
description:
  - Renders every template on the controller and ships the set in one module call. It writes each entry atomically, and only if
    content, owner or mode differ.
  - A template comes from C(templates/) of the host's inventory, else from the kit's own C(templates/).
  - Before the first write, the previous files are kept in a journal (C(/var/lib/slipway/undo), mode 0600). If a write or
    O(validate) fails, they are restored. If the host crashes meanwhile, the next call of this module restores them first.
  - Folders are created before their contents and removed after them, whatever the order in O(files).
options:
  files:
    description: The files to place. Exactly one of O(files), O(sets), O(restore) and O(forget) is required.
    type: list
    elements: dict
    suboptions:
      dest:
        description: Absolute path on the host. Its folder must exist or be an entry of the set.
        type: path
        required: true
      src:
        description: Name of a template below a C(templates/) folder.
        type: str
      about:
        description: The user's key from which the file is rendered, for messages. By default they name the template.
        type: str
      content:
        description: Text to place instead of a template.
        type: str
      state:
        description: What O(files[].dest) should be.
        type: str
        choices: [file, directory, link, absent]
        default: file
      target:
        description: The target of a link.
        type: str
      owner:
        description: Owner; O(owner) by default.
        type: str
      group:
        description: Group; O(group) by default.
        type: str
      mode:
        description: Quoted octal mode; O(mode) by default.
        type: str
      vars:
        description: Variables for this template only.
        type: dict
      diff:
        description: Whether C(--diff) may show the content. Set it to V(false) for secrets.
        type: bool
        default: true
      random:
        description:
          - Whether C(@random@) in the text is a place for 32 hexadecimal digits that only the host knows. It takes those that the file
            has, and makes new ones where there is no file.
        type: bool
        default: false
      recursive:
        description: Whether V(absent) also removes a folder that is not empty.
        type: bool
        default: false
  sets:
    description:
      - Names of sets of files that the kit has (C(plugins/module_utils/file_sets.py)), placed together. They bring their own O(validate) and
        O(apply). Sets without files on this host change nothing.
    type: list
    elements: str
  owner:
    description: Owner of every entry without one.
    type: str
    default: root
  group:
    description: Group of every entry without one.
    type: str
    default: root
  mode:
    description: Mode of every entry without one (V(0644), and V(0755) for directories).
    type: str
  validate:
    description:
      - A command (a list of words) that runs when all files are placed. If it fails, the previous files are restored.
      - It runs only after a change, and not in check mode, which places nothing.
    type: list
    elements: str
    default: []
  apply:
    description:
      - Commands (lists of words) that make a daemon read the files. They run after a change, after O(validate).
      - If one fails, the previous files are restored and the commands run again, so that the daemon reads them. They also run when
        the set is restored later, by O(restore) or by the next call after the host or the controller died.
    type: list
    elements: list
    default: []
  on_drift:
    description:
      - What to do with a placed file that another user or program changed. V(keep) keeps that file as C(<path>.changed-<date>), or
        below C(/var/lib/slipway/changed) where a daemon would otherwise read the copy, too. V(refuse) fails and places nothing.
      - The default is the host's setting of that name.
    type: str
    choices: [keep, refuse]
    default: keep
  keep_undo:
    description:
      - Keep the previous files under this name, until O(restore) or O(forget) names it.
      - If an earlier run ended halfway, the name may already exist. Then that older state stays the one to restore, and the call
        counts as a change even if it places nothing.
    type: str
  prove:
    description:
      - For files that may lock out the user who writes them. If the set changed, O(prove.apply) runs, and the controller tries a
        new connection to the host. If it opens, O(keep_undo) is forgotten. Otherwise the host itself restores the previous files
        after O(prove.seconds), and the task fails. Requires O(keep_undo).
    type: dict
    suboptions:
      apply:
        description: Commands (lists of words) that make the daemon read the files.
        type: list
        elements: list
        required: true
      undo:
        description: Commands that run after the files are restored. If one fails, the others still run.
        type: list
        elements: list
        required: true
      seconds:
        description: How long the host waits for the new connection.
        type: int
        default: 60
  restore:
    description: Restore the files from before the call that kept this name. An unknown name is no change.
    type: str
  forget:
    description: Drop the files that are kept under this name. An unknown name is no change.
    type: str
attributes:
  check_mode:
    support: full
    description: Reports the changes, also if packages, users and folders are still missing.
  diff_mode:
    support: full
    description: Shows a diff for each entry, except where its C(diff) is V(false).
"""

EXAMPLES = r"""
- name: Configure nginx
  slipway.kit.files:
    files:
      - {src: nginx/nginx.conf.j2, dest: /etc/nginx/nginx.conf}
      - {src: nginx/site.conf.j2, dest: /etc/nginx/conf.d/site.conf}
      - {dest: /etc/nginx/sites-enabled/default, state: absent}
    validate: [nginx, -t, -q]
    apply: [[systemctl, reload, nginx]]
    keep_undo: nginx-sites

- name: Configure sshd
  slipway.kit.files:
    files:
      - {src: ssh/sshd.conf.j2, dest: /etc/ssh/sshd_config.d/00-slipway.conf}
    validate: [sshd, -t]
    keep_undo: ssh
    prove:
      apply: [[systemctl, reload, ssh]]
      undo: [[systemctl, reload, ssh]]

- name: Restore the old sites
  slipway.kit.files:
    restore: nginx-sites
"""

RETURN = r"""
paths:
  description: The paths that changed, in that order.
  returned: always
  type: list
  elements: str
  sample: [/etc/nginx/nginx.conf]
drifted:
  description: Files that another user or program had changed (C(path)), each with its copy (C(kept), empty for a removed file).
  returned: always
  type: list
  elements: dict
  sample: [{"path": "/etc/nginx/conf.d/slipway-site-a.conf", "kept": "/etc/nginx/conf.d/slipway-site-a.conf.changed-2026-11-26"}]
recovered:
  description: Paths that were restored first because an earlier call died halfway.
  returned: always
  type: list
  elements: str
  sample: []
proving:
  description: Whether a new connection must now forget the kept files, or else the host restores them.
  returned: with O(prove)
  type: bool
  sample: false
forgotten:
  description: Whether files were kept under the name.
  returned: with O(forget)
  type: bool
  sample: true
rolled_back:
  description: Whether the previous files were restored because a write, O(validate) or O(apply) failed.
  returned: on failure
  type: bool
  sample: true
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

SPEC: dict[str, Any] = {
    "argument_spec": {
        "payload": {"type": "str", "no_log": True},
        "validate": {"type": "list", "elements": "str", "default": []},
        "apply": {"type": "list", "elements": "list", "default": []},
        "on_drift": {"type": "str", "choices": ["keep", "refuse"], "default": "keep"},
        "keep_undo": {"type": "str"},
        "prove": {
            "type": "dict",
            "options": {
                "apply": {"type": "list", "elements": "list", "required": True},
                "undo": {"type": "list", "elements": "list", "required": True},
                "seconds": {"type": "int", "default": 60},
            },
        },
        "restore": {"type": "str"},
        "forget": {"type": "str"},
    },
    "required_by": {"prove": "keep_undo"},
    "mutually_exclusive": [("payload", "restore", "forget")],
    "required_one_of": [("payload", "restore", "forget")],
    "supports_check_mode": True,
}
"""The module's parameters. The action of the same name checks them, too."""
RESULT: dict[str, Any] = {
    "paths": ["line"],
    "recovered": ["line"],
    "drifted?": [{"path": "line", "kept": "line"}],
    "proving": "bool",
    "forgotten": "bool",
    "rolled_back?": "bool",
}
"""The fields of the result. The action refuses all others (plugins/module_utils/answers.py)."""


def main() -> None:
    """Run as an Ansible module; the action passes the rendered set as one compressed payload."""
    from ansible_collections.slipway.kit.plugins.module_utils.contract.errors import HostError
    from ansible_collections.slipway.kit.plugins.module_utils.host.base.space import explained
    from ansible_collections.slipway.kit.plugins.module_utils.host.files import fileset, paths, trial

    module = AnsibleModule(**SPEC)
    params, check = module.params, module.check_mode
    os.umask(0o077)  # no other user can read a file before it has its mode
    try:
        if params["restore"]:
            result = fileset.restore(params["restore"], check)
        elif params["forget"]:
            result = fileset.forget(params["forget"], check)
        else:
            result = fileset.place(fileset.Wanted.read(params), params["keep_undo"], check)
            wish = params["prove"]
            if wish and not check:
                result.proving = trial.prove(params["keep_undo"], wish["apply"], wish["undo"], wish["seconds"])
    except (OSError, HostError) as exc:
        module.fail_json(msg=explained(str(exc)), rolled_back=isinstance(exc, paths.RolledBack), paths=[])
    module.exit_json(
        changed=result.changed,
        paths=result.paths,
        recovered=result.recovered,
        drifted=result.drifted,
        proving=result.proving,
        forgotten=result.forgotten,
        diff=result.diffs if module._diff else [],
    )


if __name__ == "__main__":
    main()
