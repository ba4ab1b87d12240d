#!/usr/bin/python
"""Install one pinned Python tool into a virtualenv of its own."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tool
short_description: Install one pinned Python tool into a virtualenv of its own
version_added: 0.1.0
author: Slipway
description:
  - Makes the virtualenv with the host's python3 and installs with pip what the lock names, by its hashes, and nothing else.
  - Only wheels are installed, and nothing of them is run meanwhile. A virtualenv that is complete is left alone.
options:
  name:
    description: The tool's name, for messages.
    type: str
    required: true
  lock:
    description: What to install, in pip's format of requirements, each with the hashes of its wheels.
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
    lock: "{{ lookup('slipway.kit.resolved', 'tools').uv.lock }}"
    path: /opt/slipway/uv-0.13.9
"""

RETURN = r"""#"""

import glob
import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.kit.plugins.module_utils.contract.manifest import HostError

COMPLETE = ".complete"
HASHED = ("--quiet", "--require-hashes", "--no-deps", "--only-binary", ":all:")
"""pip's options: only what the lock names, only by hash, and no source package, whose build would run its code as root."""
DEADLINE = 300
"""Seconds for each of the two commands: uv's wheel is 20 MB, and pip tries a silent index for 15 s, five times."""

SPEC: dict[str, Any] = {
    "argument_spec": {
        "name": {"type": "str", "required": True},
        "lock": {"type": "str", "required": True},
        "path": {"type": "path", "required": True},
        "index": {"type": "dict", "default": {}, "no_log": True},  # its addresses may hold passwords
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


def install(name: str, lock: str, path: str, index: Mapping[str, Any]) -> None:
    """Make the virtualenv. Raises HostError when that fails; nothing is left then."""
    # An empty PIP_CONFIG_FILE would not do: pip reads the host's own configuration, which is the host's business.
    environment = {
        **os.environ,
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
    shutil.rmtree(path, ignore_errors=True)
    wheel = bundled_pip()
    try:
        with tempfile.TemporaryDirectory() as folder:
            if wheel:
                shutil.unpack_archive(wheel, folder, "zip")
                environment["PYTHONPATH"] = folder
            wanted = os.path.join(folder, "lock.txt")
            with open(wanted, "w", encoding="utf-8") as handle:
                handle.write(lock)
            done = run(["/usr/bin/python3", "-m", "venv", *(["--without-pip"] if wheel else []), path], environment)
            if done.returncode:
                raise HostError(
                    f"{name}: the virtualenv {path} could not be made; is python3-venv installed? {last(done)}"
                )
            done = run([f"{path}/bin/python", "-m", "pip", "install", *HASHED, "--requirement", wanted], environment)
            if done.returncode:
                raise HostError(refusal(name, done))
        with open(f"{path}/{COMPLETE}", "w", encoding="utf-8") as marker:
            marker.write(lock)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def run(argv: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command of Python's. Raises HostError when it takes too long."""
    try:
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=DEADLINE, check=False)
    except subprocess.TimeoutExpired as error:
        raise HostError(
            f"{' '.join(argv)} was not done after {DEADLINE} s; is the package index reachable from the host?"
        ) from error


def last(done: subprocess.CompletedProcess[str]) -> str:
    """The line in which a command says why it failed."""
    lines = [line for line in (done.stderr + done.stdout).splitlines() if line.startswith(("ERROR", "Error"))]
    return (lines or (done.stderr + done.stdout).splitlines() or [f"status {done.returncode}"])[-1]


def refusal(name: str, done: subprocess.CompletedProcess[str]) -> str:
    """Why pip installed nothing, in one sentence."""
    found = re.search(r"Expected sha256 (\w+).*?Got\s+(\w+)", done.stderr, re.DOTALL)
    if found:
        return (
            f"{name} was not installed: the package index gave a file with the hash sha256:{found[2]}, which is not in the "
            "kit's lock; find out who changed it, the index or something before it"
        )
    if "No matching distribution" in done.stderr:
        return f"{name} was not installed: the package index has no wheel of it for this host that the kit's lock names"
    return f"{name} was not installed; is the package index reachable from the host? {last(done)}"


def main() -> None:
    """Install the tool unless it is there."""
    from ansible_collections.slipway.kit.plugins.module_utils.host.report import answer

    module = AnsibleModule(**SPEC)
    given = module.params

    def work() -> dict[str, Any]:
        there = os.path.exists(f"{given['path']}/{COMPLETE}")
        if not there and not module.check_mode:
            install(given["name"], given["lock"], given["path"], given["index"])
        return {"changed": not there}

    os.umask(0o022)
    answer(module, work, alone=False)


if __name__ == "__main__":
    main()
