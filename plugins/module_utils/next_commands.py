"""Commands that a message suggests: they read the inventories of the run, and work in the current folder."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ansible import constants as C
from ansible import context

from .whole_runs import KIT

PROGRAM = "ansible-playbook"
COMMAND = re.compile(r"\bansible-playbook (?P<playbook>(?:playbooks/)?\w+\.yml)")
"""A command of the kit, as the code writes it: in the folder of the kit, with the configured inventory."""


def inventories() -> list[str]:
    """The inventories that the run was given by `-i`, below the current folder where they are; empty for the configured ones."""
    given = [str(one) for one in context.CLIARGS.get("inventory") or ()]
    if given == list(C.DEFAULT_HOST_LIST):
        return []
    return [one if "," in one else short(one) for one in given]


def program(running: str) -> str:
    """How ansible-playbook is typed here: by its path where the shell would find none, or another one than the `running` one."""
    on_path = shutil.which(PROGRAM)
    if os.path.basename(running) != PROGRAM or (on_path and os.path.realpath(on_path) == os.path.realpath(running)):
        return PROGRAM
    return shlex.quote(short(os.path.abspath(running)))


def here(text: str, inventories: Sequence[str], kit: Path = KIT) -> str:
    """Return a text with its commands as they are to be typed.

    Args:
        text: Commands and words.
        inventories: The values of `-i`.
        kit: The folder of the playbooks.
    """
    options = "".join(f"-i {shlex.quote(one)} " for one in inventories)

    def typed(match: re.Match[str]) -> str:
        path = kit / match["playbook"]
        if not path.exists():  # an installed collection has its site.yml among the playbooks
            path = kit / "playbooks" / path.name
        return f"{program(sys.argv[0])} {options}{shlex.quote(short(str(path)))}"

    return COMMAND.sub(typed, text)


def by_ssh(host: str, user: str | None = None, port: int | str | None = None) -> str:
    """Return how a command on a host begins: ssh, with only what the inventory or the run sets."""
    return " ".join(["ssh", *(["-p", str(port)] if port else []), shlex.quote(f"{user}@{host}" if user else host)])


def reached(text: str, host: str, by: str | None) -> str:
    """Return a text whose commands by ssh name a host as the inventory does, with what reaches it.

    Args:
        text: Commands and words.
        host: The host's name in the inventory.
        by: How a command on the host begins: as `by_ssh` tells, or empty where the host is this machine. None changes nothing.
    """
    if by is None:
        return text
    return re.sub(rf"\bssh {re.escape(host)}(?![\w.-]) ?", lambda _match: f"{by} " if by else "", text).rstrip()


def short(path: str | Path) -> str:
    """Return a path relative to the current folder where it is below that, and as it is elsewhere."""
    relative = os.path.relpath(path)
    return str(path) if relative.split(os.sep)[0] == os.pardir else relative
