#!/usr/bin/python
"""Installs a pinned Python tool into its own virtualenv."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tool
short_description: Install a pinned Python tool into its own virtualenv
version_added: 0.1.0
author: Slipway
description:
  - Creates the virtualenv with the host's python3. Only the packages of the lock are installed, by their hashes.
  - uv is one program, so the module unpacks its wheel itself. Where that is impossible, and for the other tools, pip installs.
  - It installs only wheels and runs none of their code. A complete virtualenv stays unchanged.
options:
  name:
    description: The tool's name, for messages.
    type: str
    required: true
  lock:
    description: The packages in pip's requirements format, each with the hashes of its wheels.
    type: str
    required: true
  path:
    description: The path of the virtualenv.
    type: path
    required: true
  index:
    description: The package index; C(url), C(extra) and C(ca).
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
from ansible_collections.slipway.kit.plugins.module_utils.contract.errors import HostError

COMPLETE = ".complete"
HASHED = ("--quiet", "--require-hashes", "--no-deps", "--only-binary", ":all:")
"""pip's options: only packages of the lock, by hash. No source packages, whose build would run their code as root."""
GLIBC = """\
def manylinux_compatible(major, minor, architecture):
    return (major, minor) in ((2, 17), (2, 28), (2, 31), (2, 34))
"""
"""PEP 600's module `_manylinux`, which says what wheels an installer may take: those for the versions of glibc that wheels name now.

pip compares each file of an index page with each tag that it may take. uv's page has 6,000 files, and glibc has 30 versions.
"""
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
"""The module's parameters. The action of the same name checks them, too."""
RESULT: dict[str, Any] = {}
"""The fields of the result. The action refuses all others (plugins/module_utils/answers.py)."""


def bundled_pip() -> str | None:
    """Find the wheel of pip that the distribution keeps for new virtualenvs.

    Unpacked, it runs without installation. Installing pip would take longer than its one use here.

    Returns:
        The path of the wheel, or None if Python has no folder for it.
    """
    folder = sysconfig.get_config_var("WHEEL_PKG_DIR")  # --with-wheel-pkg-dir of Python's configure
    return max(glob.glob(f"{folder}/pip-*.whl"), default=None) if folder else None


def install(name: str, lock: str, path: str, index: Mapping[str, Any]) -> None:
    """Create the virtualenv with the tool.

    Raises:
        HostError: That failed; nothing is left.
    """
    from ansible_collections.slipway.kit.plugins.module_utils.host.system import program_wheel

    shutil.rmtree(path, ignore_errors=True)
    wheel = bundled_pip()
    try:
        words = ["/usr/bin/python3", "-m", "venv", *(["--without-pip"] if wheel else []), path]
        result = run(words, {**os.environ, "LANG": "C.UTF-8"})
        if result.returncode:
            raise HostError(
                f"{name}: the virtualenv {path} could not be created; is python3-venv installed? {last(result)}"
            )
        with tempfile.TemporaryDirectory() as folder:
            if not program_wheel.install(name, lock, path, index, folder):
                by_pip(name, lock, path, index, folder, wheel)
        with open(f"{path}/{COMPLETE}", "w", encoding="utf-8") as marker:
            marker.write(lock)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def by_pip(name: str, lock: str, path: str, index: Mapping[str, Any], folder: str, wheel: str | None) -> None:
    """Have pip install the tool into its virtualenv.

    Args:
        name: The tool.
        lock: Its packages.
        path: The virtualenv.
        index: Where packages come from.
        folder: A folder for what pip needs.
        wheel: The wheel of pip that is used; None for the virtualenv's own pip.

    Raises:
        HostError: That failed.
    """
    # pip may read the host's own configuration, so PIP_CONFIG_FILE is not emptied.
    environment = {
        **os.environ,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_NO_CACHE_DIR": "1",  # no package is installed twice
        "LANG": "C.UTF-8",
    }
    if index.get("url"):
        environment["PIP_INDEX_URL"] = index["url"]
    if index.get("extra"):
        environment["PIP_EXTRA_INDEX_URL"] = " ".join(index["extra"])
    if index.get("ca"):
        environment["PIP_CERT"] = index["ca"]
    if wheel:
        shutil.unpack_archive(wheel, folder, "zip")
        environment["PYTHONPATH"] = folder
        with open(os.path.join(folder, "_manylinux.py"), "w", encoding="utf-8") as handle:
            handle.write(GLIBC)
    wanted = os.path.join(folder, "lock.txt")
    with open(wanted, "w", encoding="utf-8") as handle:
        handle.write(lock)
    result = run([f"{path}/bin/python", "-m", "pip", "install", *HASHED, "--requirement", wanted], environment)
    if result.returncode:
        raise HostError(refusal(name, result))


def run(argv: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command of Python.

    Raises:
        HostError: It took too long.
    """
    try:
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=DEADLINE, check=False)
    except subprocess.TimeoutExpired as error:
        raise HostError(
            f"{' '.join(argv)} did not end within {DEADLINE} s; is the package index reachable from the host?"
        ) from error


def last(result: subprocess.CompletedProcess[str]) -> str:
    """Return the line with the reason why a command failed."""
    output = (result.stderr + result.stdout).splitlines()
    lines = [line for line in output if line.startswith(("ERROR", "Error"))]
    return (lines or output or [f"status {result.returncode}"])[-1]


def refusal(name: str, result: subprocess.CompletedProcess[str]) -> str:
    """Explain why pip installed nothing."""
    begin = max(0, result.stderr.find("Expected sha256"))
    hashes = re.compile(r"Expected sha256 (\w+)\b.*?Got\s+(\w+)", re.DOTALL).match(result.stderr, begin)
    if hashes:
        return (
            f"{name} was not installed: the package index gave a file with the hash sha256:{hashes[2]}, which is not in the "
            "kit's lock. Find out what changed it, the index or a proxy before it"
        )
    if "No matching distribution" in result.stderr:
        return f"{name} was not installed: the package index has no wheel of it for this host that the kit's lock names"
    return f"{name} was not installed; is the package index reachable from the host? {last(result)}"


def main() -> None:
    """Install the tool unless it is complete."""
    from ansible_collections.slipway.kit.plugins.module_utils.host.report import answer

    module = AnsibleModule(**SPEC)
    given = module.params

    def work() -> dict[str, Any]:
        is_complete = os.path.exists(f"{given['path']}/{COMPLETE}")
        if not is_complete and not module.check_mode:
            install(given["name"], given["lock"], given["path"], given["index"])
        return {"changed": not is_complete}

    os.umask(0o022)
    answer(module, work, alone=False)


if __name__ == "__main__":
    main()
