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
  - Nothing is done when one of the names belongs to somebody else.
options:
  apps:
    description: Names of the apps. The home of each user is the app's folder, which is not made here by C(useradd).
    type: list
    elements: str
    default: []
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
    apps: [shop]
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
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule

FIRST_PERSON = 1000
"""Where people's uids begin when /etc/login.defs does not say (login.defs(5), UID_MIN)."""


class Refused(Exception):
    """An account or folder that cannot be made; the text says why and what to do."""


def first_person(path: str = "/etc/login.defs") -> int:
    """Return the lowest uid of a person on this host."""
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            found = re.search(r"^\s*UID_MIN\s+(\d+)", handle.read(), re.MULTILINE)
    except OSError:
        found = None
    return int(found[1]) if found else FIRST_PERSON


def user(name: str) -> pwd.struct_passwd | None:
    """Return a user, by every source of the name service."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def group(name: str) -> grp.struct_group | None:
    """Return a group, by every source of the name service."""
    try:
        return grp.getgrnam(name)
    except KeyError:
        return None


def fault(name: str, home: str, known: pwd.struct_passwd | None, own: grp.struct_group | None, person: int) -> str:
    """Say why the account ``known`` cannot serve the app ``name``; an empty text when it can, or is not there yet."""
    remedy = f"give the app another name than {name}"
    if known is None:
        if own is not None and (own.gr_gid >= person or own.gr_mem):  # whoever is in it could read the app's secrets
            return f"the group {name} is there already and is people's (gid {own.gr_gid}): {remedy}"
        return ""
    if known.pw_uid >= person or known.pw_uid == 0:
        return f"the user {name} is there already and is a person's or root's (uid {known.pw_uid}): {remedy}"
    if known.pw_dir != home:
        return f"the user {name} is there already and serves something else (home {known.pw_dir}): {remedy}"
    if own is None or own.gr_gid != known.pw_gid:
        return f"the user {name} is there already and its group is not {name}: {remedy}, or mend it with usermod"
    return ""


def nologin() -> str:
    """Return the shell that lets nobody in."""
    return next((path for path in ("/usr/sbin/nologin", "/sbin/nologin") if os.path.exists(path)), "/bin/false")


def run(argv: Sequence[str]) -> None:
    """Run a command that makes an account; raises ``Refused`` with what it said."""
    environ = {**os.environ, "LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    try:
        done = subprocess.run(
            argv, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    except OSError as exc:
        raise Refused(f"{argv[0]} could not be run: {exc}") from exc
    if done.returncode:
        raise Refused(f"{' '.join(argv)} failed (status {done.returncode}): {done.stdout.strip()}")


def accounts(names: Sequence[str], homes: str, check: bool) -> list[str]:
    """Make the users and groups that are missing; raises ``Refused``, before the first is made, for every clash."""
    person = first_person()
    faults = [fault(name, os.path.join(homes, name), user(name), group(name), person) for name in names]
    if any(faults):
        raise Refused("\n".join(text for text in faults if text))
    made = []
    for name in names:
        if group(name) is None:
            made.append(f"group {name}")
            if not check:
                run(["groupadd", "--system", name])
        if user(name) is None:
            made.append(f"user {name}")
            if not check:
                options = ["--gid", name, "--home-dir", os.path.join(homes, name), "--shell", nologin()]
                run(["useradd", "--system", "--no-create-home", "--no-log-init", *options, name])
    return made


def directory(path: str, owner: str, group_name: str, mode: int, check: bool) -> list[str]:
    """Let ``path`` be a folder of this owner, group and mode; return what that took. Raises ``Refused``."""
    made = []
    parent = os.path.dirname(path)
    if not os.path.isdir(parent) and parent != path:
        made += directory(parent, "root", "root", 0o755, check)
    known, own = user(owner), group(group_name)
    if (known is None or own is None) and not check:
        raise Refused(f"{path}: there is no {'user ' + owner if known is None else 'group ' + group_name} on this host")
    try:
        info = os.stat(path)  # an administrator may have put a link here, to another disk
    except FileNotFoundError:
        if not check:
            os.mkdir(path, 0o700)
            _own(path, known, own, mode)
        return [*made, f"folder {path}"]
    if not stat.S_ISDIR(info.st_mode):
        raise Refused(f"{path} is there and is not a folder: move it away")
    wanted = (known.pw_uid if known else None, own.gr_gid if own else None, mode)
    if (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) != wanted:
        if not check:
            _own(path, known, own, mode)
        made.append(f"folder {path}: {owner}:{group_name} {mode:04o}")
    return made


def _own(path: str, known: pwd.struct_passwd | None, own: grp.struct_group | None, mode: int) -> None:
    if known is not None and own is not None:
        os.chown(path, known.pw_uid, own.gr_gid)
        os.chmod(path, mode)  # after chown, which clears setgid


def directories(entries: Sequence[Mapping[str, Any]], check: bool) -> list[str]:
    """Make all folders, in the order given; raises ``Refused`` for a path or mode that is none."""
    made: list[str] = []
    for entry in entries:
        path, mode = entry["path"], entry["mode"]
        if not path.startswith("/") or os.path.normpath(path) != path:
            raise Refused(f"{path!r} is not an absolute path without '..' and trailing slash")
        if not re.fullmatch("[0-7]{3,4}", mode):
            raise Refused(f"{path}: mode must be a quoted octal number such as '0755', not {mode!r}")
        made += directory(path, entry["owner"], entry["group"], int(mode, 8), check)
    return list(dict.fromkeys(made))


SPEC: dict[str, Any] = {
    "argument_spec": {
        "apps": {"type": "list", "elements": "str", "default": []},
        "homes": {"type": "path", "default": "/srv"},
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
    module = AnsibleModule(**SPEC)
    params, check = module.params, module.check_mode
    os.umask(0o022)
    try:
        made = accounts(params["apps"], params["homes"], check)
        made += directories(params["directories"], check)
    except (OSError, Refused) as exc:
        module.fail_json(msg=str(exc))
    diff = {"prepared": "".join(f"+ {line}\n" for line in made)} if module._diff and made else {}
    module.exit_json(changed=bool(made), made=made, diff=diff)


if __name__ == "__main__":
    main()
