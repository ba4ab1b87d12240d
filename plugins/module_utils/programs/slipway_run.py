#!/usr/bin/python3 -I
"""Run a command in an app's current release: `slipway-run APP COMMAND [ARGUMENT...]`.

The command runs as the app's user, in its code, with its environment and its sandbox; in a terminal, if this has one. Root may
run it, and by sudo the members of the app's group. The work is done by the kit's modules, which the host keeps.
"""

from __future__ import annotations

import difflib
import grp
import importlib
import os
import sys

FOLDER = "/var/lib/slipway/modules"
PACKAGE = "ansible_collections/slipway/kit/plugins/module_utils/host/run"
MODULE = "terminal"
SUDO = "/usr/bin/sudo"
APPS = "/srv"
REFUSED = 78
"""Exit status where nothing was run, as the module's."""


def unknown(app: str) -> str:
    """Why an app is none of this host's, with the nearest one; empty if the host may have it.

    Without this, sudo would answer a slip with its refusal: its rules name the apps.
    """
    if os.path.isdir(f"{APPS}/{app}"):
        return ""
    known = sorted(name for name in os.listdir(APPS) if os.path.lexists(f"{APPS}/{name}/current"))
    # A user in none of these groups may still be an administrator.
    permitted = [name for name in known if os.geteuid() == 0 or name in _groups()]
    if near := difflib.get_close_matches(app, permitted or known, n=1):
        return f"this host has no app {app}; did you mean {near[0]}?"
    return f"this host has no app {app}{'; you may run: ' + ', '.join(permitted) if permitted else ''}"


def _groups() -> set[str]:
    """The groups of the user who runs this."""
    names = set()
    for number in os.getgroups():
        try:
            names.add(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return names


def main() -> None:
    """Become root by sudo if need be, and hand over to the newest modules of the kit."""
    if len(sys.argv) > 2 and sys.argv[1].replace("-", "").isalnum() and (problem := unknown(sys.argv[1])):
        print(f"slipway-run: {problem}", file=sys.stderr)
        sys.exit(REFUSED)
    if os.geteuid():
        if not os.access(SUDO, os.X_OK):
            sys.exit("slipway-run: only root can run this, and sudo is not installed")
        os.execv(SUDO, [SUDO, "--", os.path.abspath(__file__), *sys.argv[1:]])  # noqa: S606  # nosec B606 # no shell is the point
    os.umask(0o077)
    folders = [os.path.join(FOLDER, name) for name in (os.listdir(FOLDER) if os.path.isdir(FOLDER) else ())]
    whole = [folder for folder in folders if os.path.exists(f"{folder}/{PACKAGE}/{MODULE}.py")]
    if not whole:
        sys.exit("slipway-run: this host does not keep the kit's modules; deploy an app with this version of the kit")
    sys.path.insert(0, max(whole, key=os.path.getmtime))
    importlib.import_module(f"{PACKAGE.replace('/', '.')}.{MODULE}").main(sys.argv[1:])


if __name__ == "__main__":
    main()
