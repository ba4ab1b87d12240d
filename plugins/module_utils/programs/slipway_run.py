#!/usr/bin/python3 -I
"""Run a command in an app's current release: `slipway-run APP COMMAND [ARGUMENT...]`.

The command runs as the app's user, in its code, with its environment and its sandbox; in a terminal, if this has one. Root may
run it, and by sudo the members of the app's group. The work is done by the kit's modules, which the host keeps.
"""

from __future__ import annotations

import importlib
import os
import sys

FOLDER = "/var/lib/slipway/modules"
PACKAGE = "ansible_collections/slipway/kit/plugins/module_utils/host/run"
MODULE = "terminal"
SUDO = "/usr/bin/sudo"


def main() -> None:
    """Become root by sudo if need be, and hand over to the newest modules of the kit."""
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
