"""How the host's modules answer Ansible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .instances import TROUBLE, Failed

#: The option that all of them share.
APPS = {
    "type": "list",
    "elements": "dict",
    "required": True,
    "options": {"root": {"type": "path", "required": True}, "release": {"type": "str", "required": True}},
}


def answer(module: Any, work: Callable[[], dict[str, Any]]) -> None:
    """Do the work and end the module with its result, or with one clear message per app that failed."""
    try:
        result = work()
    except Failed as failed:
        module.fail_json(msg=str(failed), failures=[failure.as_result() for failure in failed.failures])
    except TROUBLE as error:
        module.fail_json(msg=str(error) or type(error).__name__, failures=[])
    else:
        module.exit_json(**result)
