#!/usr/bin/python
"""Put a whole set of files in place, or nothing of it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: files
short_description: Place a set of rendered templates, all or none, in one round trip
version_added: 0.1.0
author:
  - The Slipway maintainers (@slipway)
description:
  - Renders every template on the controller, ships the set in one module call and writes each entry atomically, only
    where content, owner or mode differ.
  - A template is looked up in C(templates/) of the host's inventory, then in the kit's own C(templates/).
  - Before the first write, what was there is kept in a journal (C(/var/lib/slipway/undo), mode 0600). When a write or
    O(validate) fails, everything goes back; when the host dies in between, the next call of this module puts it back first.
  - Folders are made before what goes into them and removed after it, in whatever order O(files) names them.
options:
  files:
    description: What to place. Exactly one of O(files), O(restore) and O(forget) is given.
    type: list
    elements: dict
    suboptions:
      dest:
        description: Absolute path on the host. Its folder must be there or be an entry of the set.
        type: path
        required: true
      src:
        description: Template, by its name below a C(templates/) folder.
        type: str
      about:
        description: What the user wrote that the file is made from, for messages; else they name the template.
        type: str
      content:
        description: Text to place instead of a template.
        type: str
      state:
        description: What O(files[].dest) shall be.
        type: str
        choices: [file, directory, link, absent]
        default: file
      target:
        description: Where a link points.
        type: str
      owner:
        description: Owner, else O(owner).
        type: str
      group:
        description: Group, else O(group).
        type: str
      mode:
        description: Quoted octal mode, else O(mode).
        type: str
      vars:
        description: Variables for this template only.
        type: dict
      diff:
        description: Whether C(--diff) may show the content. Set it to V(false) for secrets.
        type: bool
        default: true
      recursive:
        description: Whether V(absent) also removes a folder that holds something.
        type: bool
        default: false
  owner:
    description: Owner of every entry that names none.
    type: str
    default: root
  group:
    description: Group of every entry that names none.
    type: str
    default: root
  mode:
    description: Mode of every entry that names none (V(0644), and V(0755) for directories).
    type: str
  validate:
    description:
      - Command (a list of words) run once everything is in place; a failure puts everything back.
      - It is run only when something changed, and not in check mode, where there is nothing to look at.
    type: list
    elements: str
    default: []
  apply:
    description:
      - Commands (lists of words) that have a daemon read the files. They are run when something changed, after O(validate).
      - When one fails, everything goes back, and they are run again for the daemon to read that. So they are wherever the
        set is put back later, by O(restore) or by the next call after the host or the controller died.
    type: list
    elements: list
    default: []
  on_drift:
    description:
      - What becomes of a file that somebody else has changed since this module wrote it. V(keep) puts it aside, as
        C(<path>.changed-<date>), or below C(/var/lib/slipway/changed) where a daemon would read it beside; V(refuse) fails and
        places nothing.
      - The default is the host's setting of that name.
    type: str
    choices: [keep, refuse]
    default: keep
  keep_undo:
    description:
      - Keep what is needed to undo this call under a name, until O(restore) or O(forget) names it.
      - When that name is kept already, because an earlier run ended halfway, the older state stays the one to go back to,
        and the call counts as a change even if it finds nothing to do.
    type: str
  prove:
    description:
      - For files that may lock out whoever writes them. When the set changed, O(prove.apply) is run and a new connection to
        the host is tried. Only if one comes about, what O(keep_undo) keeps is forgotten; else the host itself puts everything
        back after O(prove.seconds), and the task fails. Needs O(keep_undo).
    type: dict
    suboptions:
      apply:
        description: Commands (lists of words) that have the daemon read the files.
        type: list
        elements: list
        required: true
      undo:
        description: Commands run after the files were put back. That one of them fails does not stop the others.
        type: list
        elements: list
        required: true
      seconds:
        description: How long the host waits for the new connection.
        type: int
        default: 60
  restore:
    description: Put everything back as it was before the call that kept this name. No such name is no change.
    type: str
  forget:
    description: Drop what is kept under this name. No such name is no change.
    type: str
attributes:
  check_mode:
    support: full
    description: Reports what would change, also where packages, users and folders are still missing.
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

- name: Change how ssh lets people in
  slipway.kit.files:
    files:
      - {src: ssh/sshd.conf.j2, dest: /etc/ssh/sshd_config.d/00-slipway.conf}
    validate: [sshd, -t]
    keep_undo: ssh
    prove:
      apply: [[systemctl, reload, ssh]]
      undo: [[systemctl, reload, ssh]]

- name: Put the old sites back
  slipway.kit.files:
    restore: nginx-sites
"""

RETURN = r"""
paths:
  description: The paths that changed, in the order in which they were changed.
  returned: always
  type: list
  elements: str
  sample: [/etc/nginx/nginx.conf]
drifted:
  description: Files that somebody else had changed (C(path)), and where that is kept (C(kept), empty when they had been removed).
  returned: always
  type: list
  elements: dict
  sample: [{"path": "/etc/nginx/conf.d/slipway-site-a.conf", "kept": "/etc/nginx/conf.d/slipway-site-a.conf.changed-2026-11-26"}]
recovered:
  description: Paths put back first because an earlier call died halfway.
  returned: always
  type: list
  elements: str
  sample: []
proving:
  description: Whether a new connection must forget what is kept, before the host puts it back.
  returned: with O(prove)
  type: bool
  sample: false
forgotten:
  description: Whether something was kept under the name.
  returned: with O(forget)
  type: bool
  sample: true
rolled_back:
  description: Whether everything was put back because a write, O(validate) or O(apply) failed.
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
"""What the module takes; the action of the same name checks it, too."""
RESULT: dict[str, Any] = {
    "paths": ["line"],
    "recovered": ["line"],
    "drifted?": [{"path": "line", "kept": "line"}],
    "proving": "bool",
    "forgotten": "bool",
    "rolled_back?": "bool",
}
"""What the module answers; the action takes nothing else (plugins/module_utils/answers.py)."""


def main() -> None:
    """Run as an Ansible module; the action plugin gives the rendered set as one compressed payload."""
    from ansible_collections.slipway.kit.plugins.module_utils.contract.manifest import HostError
    from ansible_collections.slipway.kit.plugins.module_utils.host.base.space import explained
    from ansible_collections.slipway.kit.plugins.module_utils.host.files import fileset, paths, trial

    module = AnsibleModule(**SPEC)
    params, check = module.params, module.check_mode
    os.umask(0o077)  # nothing is readable for others before it has its mode
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
