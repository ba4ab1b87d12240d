"""Runs commands in a scenario's containers as the kit's own connection does: `podman exec` takes 200 ms and more for each."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible_collections.slipway.kit.plugins.connection.podman import ENVIRONMENT, Init

GOES_DOWN = "systemd-shutdow"
"""The name of the first process (proc(5), comm) while a host goes down. It waits until no other process is left, so none may enter."""
_INITS: dict[str, Init] = {}
"""The first process of each container that was entered."""


def attempt(
    container: str, argv: Sequence[str], environment: Mapping[str, str], stdin: str = "", timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command as root in a container, whatever happens to the container's network.

    Args:
        container: its name.
        argv: the command and its arguments.
        environment: of podman. The command starts with a container's own.
        stdin: what the command may read.
        timeout: seconds.

    Raises:
        subprocess.TimeoutExpired: It takes longer.
    """
    nsenter, init = shutil.which("nsenter"), _init(container, environment)
    if nsenter and init and not _goes_down(init):
        words, variables = [*init.entered_by(nsenter), *argv], ENVIRONMENT
    else:
        words, variables = ["podman", "exec", "--interactive", container, *argv], dict(environment)
    return subprocess.run(
        words, cwd="/", env=variables, input=stdin, capture_output=True, text=True, timeout=timeout, check=False
    )


def _goes_down(init: Init) -> bool:
    try:
        return Path(f"/proc/{init.pid}/comm").read_text().strip() == GOES_DOWN
    except OSError:
        return True


def _init(container: str, environment: Mapping[str, str]) -> Init | None:
    """The container's first process; None where this user may not enter it, or where it does not run."""
    if os.geteuid() != 0:
        return None
    if (known := _INITS.get(container)) and known.alive():
        return known
    argv = ["podman", "inspect", "--type=container", "--format={{.State.Pid}}", container]
    answer = subprocess.run(argv, env=dict(environment), capture_output=True, text=True, check=False)
    pid = int(answer.stdout) if answer.returncode == 0 else 0
    init = Init.of(pid) if pid else None
    if init:
        _INITS[container] = init
    return init
