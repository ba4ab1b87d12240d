"""Pythons that the kit installs for apps on a host that lacks them, and removes when no app needs them.

uv fetches and unpacks them and checks their hash, as root without any right beyond its folder, in a sandbox. Each has its own
folder, which only root can enter until it is whole. The link `python` in it, made last, says that it is.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import stat
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...contract import names
from ...contract.errors import HostError
from ..base import trees
from ..process import confine

if TYPE_CHECKING:  # each call that retires loads this module, and few install an interpreter
    from ...contract.job import Interpreter

WHOLE = "python"
"""The link to what uv has unpacked."""
ARCHITECTURES = {"armv7l": "armv7"}
"""uv's names of machines, where they are not the kernel's."""
OWN = "releases.astral.sh and github.com"
"""Where uv looks by itself."""
ASK = "import platform; print(platform.python_version())"
START = 60
"""Seconds within which a new Python says its version."""

_ALONE = threading.Lock()
"""Several apps that are built at once may want the same one."""


def ensure(wanted: Interpreter, uv: str, ca: str, deadline: float, watch: Callable[[str], Callable[[], str]]) -> None:
    """Install an interpreter unless it is there.

    Args:
        wanted: the interpreter.
        uv: the program.
        ca: the file with the certificate authorities that count; it may be missing.
        deadline: seconds.
        watch: what gives for a folder the look at its disk, whose answer ends the work.

    Raises:
        HostError: it could not be installed; nothing is left of it.
    """
    folder = wanted.folder
    with _ALONE:
        if os.path.exists(wanted.path):
            return
        trees.remove(folder)  # of a run that was killed
        os.makedirs(os.path.dirname(folder), 0o755, exist_ok=True)
        os.mkdir(folder, 0o700)
        try:
            _install(wanted, uv, ca, deadline, watch(folder))
        except BaseException:
            trees.remove(folder)
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(folder))
            raise


def _install(wanted: Interpreter, uv: str, ca: str, deadline: float, watch: Callable[[], str]) -> None:
    folder, version = wanted.folder, wanted.version
    # Addresses may hold passwords: root's file is private, a list of processes is not.
    settings = {"python-install-mirror": wanted.mirror} if wanted.mirror else {}
    if wanted.url:
        _write(f"{folder}/archive.json", json.dumps(_described(version, wanted.url, wanted.sha256)))
        settings = {"python-downloads-json-url": f"file://{folder}/archive.json"}
    _write(f"{folder}/uv.toml", "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items()))
    environment = ["UV_NO_PROGRESS=1", "UV_HTTP_TIMEOUT=60", "HOME=/nonexistent", "LANG=C.UTF-8"]
    if os.path.exists(ca):
        environment.append(f"SSL_CERT_FILE={ca}")
    options = ["--config-file", f"{folder}/uv.toml", "--no-cache", "--no-bin", "--install-dir", folder]
    command = [
        "/usr/bin/env",
        *environment,
        uv,
        "python",
        "install",
        *options,
        "--compile-bytecode",
        f"cpython-{version}",
    ]
    cell = confine.installer(folder)
    result = confine.run(command, cell, deadline, watch=watch)
    origin = wanted.url or wanted.mirror or OWN
    if result.stopped or result.timed_out or result.status:
        if result.stopped:
            why = result.stopped
        elif result.timed_out:
            why = f"it was not there after {deadline:.0f} s; raise timeouts.build, or name a nearer place in python_mirror"
        else:
            why = _reason(result.stderr, origin, wanted)
        raise HostError(f"Python {version} could not be installed on this host: {why}")
    unpacked = glob.glob(f"{glob.escape(folder)}/cpython-{version}-*")
    python = f"bin/{os.path.basename(wanted.path)}"
    if not unpacked or not os.path.exists(f"{unpacked[0]}/{python}"):
        raise HostError(f"Python {version} could not be installed on this host: {origin} holds no python/{python}")
    asked = confine.run([f"{unpacked[0]}/{python}", "-I", "-S", "-c", ASK], cell, START)
    if asked.status or asked.timed_out:
        why = f"it does not start here: {confine.last(asked.stderr, 1) or f'status {asked.status}'}"
        raise HostError(f"Python {version} from {origin} is of no use on this host: {why}")
    if asked.stdout.strip() != version:
        raise HostError(f"{origin} holds Python {asked.stdout.strip()[:20]}, not {version}; correct python_archives")
    for name in os.listdir(folder):  # what is uv's own
        if f"{folder}/{name}" != unpacked[0]:
            trees.remove(f"{folder}/{name}")
    _open_to_all(unpacked[0])
    os.chmod(folder, 0o755)  # noqa: S103  # nosec B103 # apps run from it
    os.symlink(os.path.basename(unpacked[0]), f"{folder}/{WHOLE}")


def _described(version: str, url: str, sha256: str) -> dict[str, Any]:
    """An archive in the words of uv's list of downloads."""
    major, minor, patch = (int(part) for part in version.split("."))
    machine = os.uname().machine
    return {
        f"cpython-{version}-linux": {
            "name": "cpython",
            "arch": {"family": ARCHITECTURES.get(machine, machine), "variant": None},
            "os": "linux",
            "libc": "gnueabihf" if machine == "armv7l" else "gnu",
            "major": major,
            "minor": minor,
            "patch": patch,
            "prerelease": "",
            "url": url,
            "sha256": sha256,
            "variant": None,
            "build": None,
        }
    }


def _reason(output: str, origin: str, wanted: Interpreter) -> str:
    """Why uv failed, and what to do."""
    hashes = re.search(
        r"Expected:\s{1,99}(\w{1,999})\s{1,99}Computed:\s{1,99}(\w{1,999})", output[output.find("Hash mismatch") :]
    )
    if hashes:
        whose = "python_archives names" if wanted.url else "uv knows"
        return (
            f"what came from {origin} has the SHA-256 {hashes[2]}, and not {hashes[1]}, which {whose}; "
            "find out who changed it"
        )
    # The innermost cause comes last; uv wraps long lines.
    cause = " ".join(re.split(r"(?m)^[ \t]*(?:cause|error): ", output)[-1].split())
    minor = wanted.version.rpartition(".")[0]
    return (
        f"uv asked {origin} ({cause[: confine.LETTERS]}). Name a place that the host reaches in python_mirror or "
        f"python_archives, install python{minor} on the host, or leave out `python`: the host has Python {sys.version.partition(' ')[0]}"
    )


def _write(path: str, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(text)


def _open_to_all(top: str) -> None:
    """Let every user read, and only root write, whatever modes the archive has."""
    for place, _folders, files in os.walk(top):
        for path in (place, *(os.path.join(place, name) for name in files)):
            mode = os.lstat(path).st_mode
            if not stat.S_ISLNK(mode):
                os.chmod(path, 0o755 if mode & stat.S_IXUSR else 0o644)


def prune(check: bool = False, root: str = "/") -> list[str]:
    """Remove every interpreter that no virtualenv of any app uses; returns their folders.

    Only where no other run makes virtualenvs meanwhile: the caller holds the host's lock.
    """
    here = os.path.join(root, names.PYTHONS.lstrip("/"))
    try:
        folders = sorted(os.listdir(here))
    except FileNotFoundError:
        return []
    used = {os.path.realpath(python) for python in glob.glob(os.path.join(root, "srv/*/venvs/*/bin/python"))}
    gone = []
    for name in folders:
        if any(link.startswith(f"{names.PYTHONS}/{name}/") for link in used):
            continue
        path = f"{here}/{name}"
        if not check and trees.remove(path).remains:
            continue
        gone.append(f"{names.PYTHONS}/{name}")
    if not check:
        with contextlib.suppress(OSError):
            os.rmdir(here)
    return gone
