"""Runs what validates a set of files, and what has a daemon read it."""

from __future__ import annotations

import os
import subprocess

from ..base.ending import ending
from .paths import Refused
from .planning import Step

VALIDATE_SECONDS = 60
"""Deadline of the validating command; nginx -t takes well under a second, also with hundreds of sites."""


def run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    """Run ``command``; raises ``Refused`` when it cannot be run."""
    # nginx lives in /usr/sbin, which a user's PATH may lack
    environ = {**os.environ, "PATH": os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"}
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environ,
            timeout=VALIDATE_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise Refused(f"{' '.join(command)} could not be run: {exc}") from exc


def validated(command: list[str], steps: list[Step]) -> None:
    """Run ``command``; raises ``Refused`` with its last lines and the templates of the files they name."""
    result = run(command)
    if result.returncode:
        lines = result.stdout.decode("utf-8", "replace").strip().splitlines()[-20:]
        text = "\n".join(lines)
        rendered = [step.item for step in steps if step.item.get("src")]
        named = [item for item in rendered if item["dest"] in text]
        if rendered and not named:
            lines.append("It names no file of this set; these change:")
        lines += [
            f"{item['dest']} is made from {item.get('about') or 'template ' + item['src']}"
            for item in named or rendered
        ]
        raise Refused("\n".join([f"{' '.join(command)} failed ({ending(result.returncode)}):", *lines]))
