#!/usr/bin/python
"""The system users that apps run as, and the folders of the layout, in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: accounts
short_description: Make the apps' system users and the layout's folders
version_added: 0.1.0
author:
  - The Slipway maintainers (@slipway)
description:
  - Each app has a system user and a group of its own name, which own nothing but what the layout gives them and cannot log in.
  - A build user for each app, with a group of its own, owns nothing but what it is building.
  - Only accounts that the kit made are used; it remembers them in C(/var/lib/slipway/accounts.json). Nothing is made when one
    of the names, or the app's folder, is somebody else's, or the name is one that the system or a common package uses.
  - Accounts of before there was that file are taken over where all of them is as the kit makes it and the app's folder is root's
    and has a release of that app, or its logs have their folder.
options:
  apps:
    description: The apps. The home of each user is the app's folder, which is not made here by C(useradd).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The app's name, and that of its user and group.
        type: str
        required: true
      builder:
        description: The name of the user that builds for it.
        type: str
        required: true
  homes:
    description: The folder under which the apps' folders are.
    type: path
    default: /srv
  directories:
    description: Folders to make, parents first. A parent that nobody names is made for root, mode 0755.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      owner:
        description: Name of the owner.
        type: str
        default: root
      group:
        description: Name of the group.
        type: str
        default: root
      mode:
        description: Quoted octal mode.
        type: str
        default: "0755"
attributes:
  check_mode:
    support: full
    description: Reports what would be made.
  diff_mode:
    support: full
    description: Shows one line per user, group and folder.
"""

EXAMPLES = r"""
- name: Make the app's user and folders
  slipway.kit.accounts:
    apps:
      - {name: shop, builder: shop_build}
    directories:
      - {path: /srv/shop}
      - {path: /srv/shop/shared, owner: shop, group: shop, mode: "0750"}
"""

RETURN = r"""
made:
  description: What was made or changed, one line each.
  returned: success
  type: list
  elements: str
  sample: ["user shop", "folder /srv/shop"]
"""

import grp
import os
import pwd
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.kit.plugins.module_utils.contract import names
from ansible_collections.slipway.kit.plugins.module_utils.contract.manifest import HostError

T = TypeVar("T")


def directory(path: str, owner: str, group_name: str, mode: int, check: bool) -> list[str]:
    """Let ``path`` be a folder of this owner, group and mode; return what that took. Raises ``HostError``."""
    made = []
    parent = os.path.dirname(path)
    if not os.path.isdir(parent) and parent != path:
        made += directory(parent, "root", "root", 0o755, check)
    known, own = _account(pwd.getpwnam, owner), _account(grp.getgrnam, group_name)
    if (known is None or own is None) and not check:
        raise HostError(
            f"{path}: there is no {'user ' + owner if known is None else 'group ' + group_name} on this host"
        )
    try:
        info = os.stat(path)  # an administrator may have put a link here, to another disk
    except FileNotFoundError:
        if not check:
            os.mkdir(path, 0o700)
            _own(path, known, own, mode)
        return [*made, f"folder {path}"]
    if not stat.S_ISDIR(info.st_mode):
        raise HostError(f"{path} is there and is not a folder: move it away")
    wanted = (known.pw_uid if known else None, own.gr_gid if own else None, mode)
    if (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) != wanted:
        if not check:
            _own(path, known, own, mode)
        made.append(f"folder {path}: {owner}:{group_name} {mode:04o}")
    return made


def _account(table: Callable[[str], T], name: str) -> T | None:
    """A user or group, by every source of the name service."""
    try:
        return table(name)
    except KeyError:
        return None


def _own(path: str, known: pwd.struct_passwd | None, own: grp.struct_group | None, mode: int) -> None:
    if known is not None and own is not None:
        os.chown(path, known.pw_uid, own.gr_gid)
        os.chmod(path, mode)  # after chown, which clears setgid


def directories(entries: Sequence[Mapping[str, Any]], check: bool) -> list[str]:
    """Make all folders, in the order given; raises ``HostError`` for a path or mode that is none."""
    made: list[str] = []
    for entry in entries:
        path, mode = entry["path"], entry["mode"]
        if not path.startswith("/") or os.path.normpath(path) != path:
            raise HostError(f"{path!r} is not an absolute path without '..' and trailing slash")
        if not re.fullmatch("[0-7]{3,4}", mode):
            raise HostError(f"{path}: mode must be a quoted octal number such as '0755', not {mode!r}")
        made += directory(path, entry["owner"], entry["group"], int(mode, 8), check)
    return list(dict.fromkeys(made))


SPEC: dict[str, Any] = {
    "argument_spec": {
        "apps": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {"name": {"type": "str", "required": True}, "builder": {"type": "str", "required": True}},
        },
        "homes": {"type": "path", "default": names.APPS},
        "directories": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "path": {"type": "path", "required": True},
                "owner": {"type": "str", "default": "root"},
                "group": {"type": "str", "default": "root"},
                "mode": {"type": "str", "default": "0755"},
            },
        },
    },
    "supports_check_mode": True,
}
"""What the module takes; the action of the same name checks it, too."""
RESULT: dict[str, Any] = {"made": ["line"]}
"""What the module answers; the action takes nothing else (plugins/module_utils/answers.py)."""


def main() -> None:
    """Run as an Ansible module."""
    from ansible_collections.slipway.kit.plugins.module_utils.host.report import answer
    from ansible_collections.slipway.kit.plugins.module_utils.host.system import accounts

    module = AnsibleModule(**SPEC)
    params, check = module.params, module.check_mode

    def work() -> dict[str, Any]:
        made = accounts.make(params["apps"], params["homes"], check)
        made += directories(params["directories"], check)
        diff = {"prepared": "".join(f"+ {line}\n" for line in made)} if module._diff and made else {}
        return {"changed": bool(made), "made": made, "diff": diff}

    os.umask(0o022)
    answer(module, work, alone=False)


if __name__ == "__main__":
    main()
