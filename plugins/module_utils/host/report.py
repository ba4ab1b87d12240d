"""How the host's modules answer Ansible."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .base.outcome import TROUBLE, Failed
from .base.space import explained
from .system import lock


def answer(module: Any, work: Callable[[], dict[str, Any]], alone: bool = True) -> None:
    """Do the work and end the module with its result, or with one clear message per app that failed.

    `alone`: no other step that changes the host is running at the same time, not even one of a run that is dead.
    """
    os.umask(
        0o022
    )  # whatever root's own is on this host: others read and pass what the modules make, as far as its mode says
    try:
        with lock.alone() if alone and not module.check_mode else contextlib.nullcontext():
            result = work()
    except Failed as failed:
        report = Failed(
            [replace(failure, reason=explained(failure.reason, failure.log)) for failure in failed.failures]
        )
        module.fail_json(msg=str(report), failures=[failure.as_result() for failure in report.failures])
    except TROUBLE as error:
        module.fail_json(msg=explained(str(error) or type(error).__name__), failures=[])
    else:
        module.exit_json(**result)
