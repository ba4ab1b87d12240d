#!/usr/bin/python
"""Install one pinned Python tool into a virtualenv of its own."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tool
short_description: Install one pinned Python tool into a virtualenv of its own
version_added: 0.1.0
author: Slipway
description:
  - Makes the virtualenv with the host's python3 and installs the tool with pip. A virtualenv that is complete is left alone.
options:
  name:
    description: The tool's name in the package index.
    type: str
    required: true
  version:
    description: Its version.
    type: str
    required: true
  path:
    description: Where the virtualenv goes.
    type: path
    required: true
  index:
    description: Where packages come from; C(url), C(extra) and C(ca).
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    description: Reports whether the tool would be installed.
"""

EXAMPLES = r"""
- name: Install uv
  slipway.kit.tool:
    name: uv
    version: 0.13.9
    path: /opt/slipway/uv-0.13.9
"""

RETURN = r"""#"""

import glob
import os
import shutil
import subprocess
import sysconfig
import tempfile
from typing import Any

from ansible.module_utils.basic import AnsibleModule

COMPLETE = ".complete"


SPEC: dict[str, Any] = {
    "argument_spec": {
        "name": {"type": "str", "required": True},
        "version": {"type": "str", "required": True},
        "path": {"type": "path", "required": True},
        "index": {"type": "dict", "default": {}},
    },
    "supports_check_mode": True,
}
"""What the module takes; the action of the same name checks it, too."""
RESULT: dict[str, Any] = {}
"""What the module answers; the action takes nothing else (plugins/module_utils/answers.py)."""


def bundled_pip() -> str | None:
    """The wheel of pip that the distribution keeps for new virtualenvs; None where Python has it somewhere else.

    Unpacked it runs as it is. To install it into the virtualenv takes longer than what it is wanted for.
    """
    folder = sysconfig.get_config_var("WHEEL_PKG_DIR")  # --with-wheel-pkg-dir of Python's configure
    return max(glob.glob(f"{folder}/pip-*.whl"), default=None) if folder else None


def main() -> None:
    """Install the tool unless it is there."""
    module = AnsibleModule(**SPEC)
    path, index = module.params["path"], module.params["index"]
    wanted = f"{module.params['name']}=={module.params['version']}"
    if os.path.exists(f"{path}/{COMPLETE}"):
        module.exit_json(changed=False)
    if module.check_mode:
        module.exit_json(changed=True)
    # An empty PIP_CONFIG_FILE would not do: pip reads the host's own configuration, which is the host's business.
    environment = {
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_NO_CACHE_DIR": "1",  # nothing is installed twice
        "LANG": "C.UTF-8",
    }
    if index.get("url"):
        environment["PIP_INDEX_URL"] = index["url"]
    if index.get("extra"):
        environment["PIP_EXTRA_INDEX_URL"] = " ".join(index["extra"])
    if index.get("ca"):
        environment["PIP_CERT"] = index["ca"]
    os.umask(0o022)
    shutil.rmtree(path, ignore_errors=True)
    wheel = bundled_pip()
    with tempfile.TemporaryDirectory() as folder:
        if wheel:
            shutil.unpack_archive(wheel, folder, "zip")
            environment["PYTHONPATH"] = folder
        steps = (
            (
                ["/usr/bin/python3", "-m", "venv", *(["--without-pip"] if wheel else []), path],
                "the virtualenv could not be made; is python3-venv installed?",
            ),
            (
                [f"{path}/bin/python", "-m", "pip", "install", "--quiet", wanted],
                f"{wanted} could not be installed; is the package index reachable from the host?",
            ),
        )
        for command, failure in steps:
            done = subprocess.run(
                command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
            )
            if done.returncode:
                shutil.rmtree(path, ignore_errors=True)
                module.fail_json(msg=failure, stdout=done.stdout, stderr=done.stderr, rc=done.returncode)
    with open(f"{path}/{COMPLETE}", "w", encoding="utf-8") as marker:
        marker.write(wanted + "\n")
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
