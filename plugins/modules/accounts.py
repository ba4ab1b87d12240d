#!/usr/bin/python
"""Creates the apps' system users and the folders of the layout in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: accounts
short_description: Create the apps' system users and the layout's folders
version_added: 0.1.0
author:
  - The Slipway maintainers (@slipway)
description:
  - Each app has a system user and a group with the app's name. They cannot log in, and own only files of the layout.
  - Each app has a build user with its own group, which owns only files of a build.
  - The kit uses only accounts that it created, and remembers them in C(/var/lib/slipway/accounts.json). It creates nothing if one
    of the names or the app's folder belongs to another user. The same holds for names that the system or a common package uses.
  - Accounts that are older than that file are taken over under two conditions. They look as the kit creates them. And the app's
    folder is root's and has a release of that app, or its logs have their folder.
options:
  apps:
    description: The apps. The home of each user is the app's folder, which C(useradd) does not create.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name of the app, its user and its group.
        type: str
        required: true
      builder:
        description: The name of its build user.
        type: str
        required: true
  homes:
    description: The folder under which the apps' folders are.
    type: path
    default: /srv
  directories:
    description: Folders to create, parents first. A parent that is not listed is created for root with mode 0755.
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
  inventory:
    description: The name of the inventory to which new apps belong; empty if it has none.
    type: str
    default: ""
  settings:
    description: The settings that this inventory applies to files which all inventories of the host share, each with its value in JSON.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    description: Reports what would be created.
  diff_mode:
    support: full
    description: Shows one line for each user, group and folder.
"""

EXAMPLES = r"""
- name: Create the app's user and folders
  slipway.kit.accounts:
    apps:
      - {name: shop, builder: shop_build}
    directories:
      - {path: /srv/shop}
      - {path: /srv/shop/shared, owner: shop, group: shop, mode: "0750"}
"""

RETURN = r"""
made:
  description: The users, groups and folders that were created or changed, one line each.
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
from ansible_collections.slipway.kit.plugins.module_utils.contract.errors import HostError

T = TypeVar("T")


def directory(path: str, owner: str, group_name: str, mode: int, check: bool) -> list[str]:
    """Create a folder, or correct its owner, group and mode.

    Returns:
        A line for each change.

    Raises:
        HostError: The owner or group does not exist, or the path is not a folder.
    """
    made = []
    parent = os.path.dirname(path)
    if not os.path.isdir(parent) and parent != path:
        made += directory(parent, "root", "root", 0o755, check)
    user, group = _account(pwd.getpwnam, owner), _account(grp.getgrnam, group_name)
    if (user is None or group is None) and not check:
        raise HostError(
            f"{path}: there is no {'user ' + owner if user is None else 'group ' + group_name} on this host"
        )
    try:
        info = os.stat(path)  # an administrator may have put a link here, to another disk
    except FileNotFoundError:
        if not check:
            os.mkdir(path, 0o700)
            _give(path, user, group, mode)
        return [*made, f"folder {path}"]
    if not stat.S_ISDIR(info.st_mode):
        raise HostError(f"{path} exists and is not a folder: move it away")
    wanted = (user.pw_uid if user else None, group.gr_gid if group else None, mode)
    if (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) != wanted:
        if not check:
            _give(path, user, group, mode)
        made.append(f"folder {path}: {owner}:{group_name} {mode:04o}")
    return made


def _account(table: Callable[[str], T], name: str) -> T | None:
    """Look up a user or group in all sources of the name service."""
    try:
        return table(name)
    except KeyError:
        return None


def _give(path: str, user: pwd.struct_passwd | None, group: grp.struct_group | None, mode: int) -> None:
    if user is not None and group is not None:
        os.chown(path, user.pw_uid, group.gr_gid)
        os.chmod(path, mode)  # after chown, which clears setgid


def directories(entries: Sequence[Mapping[str, Any]], check: bool) -> list[str]:
    """Create all folders in order.

    Returns:
        A line for each change.

    Raises:
        HostError: A path or mode is not valid.
    """
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
        "inventory": {"type": "str", "default": ""},
        "settings": {"type": "dict", "default": {}},
    },
    "supports_check_mode": True,
}
"""The module's parameters. The action of the same name checks them, too."""
RESULT: dict[str, Any] = {"made": ["line"]}
"""The fields of the result. The action refuses all others (plugins/module_utils/answers.py)."""


def main() -> None:
    """Run as an Ansible module."""
    from ansible_collections.slipway.kit.plugins.module_utils.host.report import answer
    from ansible_collections.slipway.kit.plugins.module_utils.host.system import accounts, origins

    module = AnsibleModule(**SPEC)
    params, check = module.params, module.check_mode

    def work() -> dict[str, Any]:
        made = accounts.make(params["apps"], params["homes"], check)
        if not check:
            origins.claim((app["name"] for app in params["apps"]), params["inventory"])
            origins.apply(params["inventory"], params["settings"])
        made += directories(params["directories"], check)
        diff = {"prepared": "".join(f"+ {line}\n" for line in made)} if module._diff and made else {}
        return {"changed": bool(made), "made": made, "diff": diff}

    os.umask(0o022)
    answer(module, work, alone=False)


if __name__ == "__main__":
    main()
