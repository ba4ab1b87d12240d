"""Writes the locks of the tools that hosts install: `python requirements/tools/lock.py` with `uv` in the path.

A lock of a DNS plugin holds only what the plugin adds to certbot's. All plugins are resolved together first, so that a host may
have several of them.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "collections"))

from ansible_collections.slipway.kit.plugins.module_utils.host.build import wheels
from ansible_collections.slipway.kit.plugins.module_utils.model import tools

OPTIONS = ("--universal", "--generate-hashes", "--no-annotate", "--no-header", "--quiet")
PACKAGE = re.compile(r"^\S+==.*\n(?: .*\n)*", re.MULTILINE)
"""A package of a lock, with its marker and hashes."""
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def compile_lock(wanted: str, python: str, *options: str) -> str:
    """The lock of what is wanted, for that Python and later ones."""
    command = ["uv", "pip", "compile", "-", *OPTIONS, "--python-version", python, *options]
    return subprocess.run(command, input=wanted, capture_output=True, text=True, check=True).stdout


def main() -> None:
    """Write all of them."""
    for tool in ("uv", "supervisor"):
        text = (HERE / f"{tool}.in").read_text(encoding="utf-8")
        (HERE / f"{tool}.txt").write_text(compile_lock(text, "3.9"), encoding="utf-8")
    write_wheels()
    base = (HERE / "certbot.in").read_text(encoding="utf-8")
    plugins = {name: f"certbot-dns-{name}=={tools.CERTBOT}\n" for name in tools.CERTBOT_DNS}
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write(compile_lock(base + "".join(plugins.values()), "3.10", "--no-strip-markers"))
        constraints.flush()
        fixed = f"--constraint={constraints.name}"
        lock = compile_lock(base, "3.10", fixed)
        (HERE / "certbot.txt").write_text(lock, encoding="utf-8")
        for name, wanted in plugins.items():
            text = added(compile_lock(base + wanted, "3.10", fixed), lock)
            (HERE / f"certbot-dns-{name}.txt").write_text(text, encoding="utf-8")


def added(lock: str, base: str) -> str:
    """What a lock has that another one lacks: also a package that the other one has for some versions of Python alone."""
    known = PACKAGE.findall(base)
    return "".join(package for package in PACKAGE.findall(lock) if package not in known)


def write_wheels() -> None:
    """Write the hashes of the wheels that hosts install where there are some."""
    path = Path(wheels.__file__)
    lines = ["HASHES = {"]
    for wanted in tools.ASGI_WHEELS:
        hashes = HASH.findall(compile_lock(wanted, "3.9", "--no-deps"))
        lines += [f'    "{wanted}": (', *(f'        "{one}",' for one in sorted(hashes)), "    ),"]
    text = path.read_text(encoding="utf-8").partition("HASHES = {")[0]
    path.write_text("\n".join([text.rstrip("\n"), "", "", *lines, "}", ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
