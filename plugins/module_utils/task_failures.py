"""Why a task of the inventory's own failed, in a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HIDDEN = "its output is hidden by no_log"


def words(task: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """Name the failed task and its reason, to be put after the word "failed".

    Args:
        task: Ansible's variable `ansible_failed_task`.
        result: Ansible's variable `ansible_failed_result`.
    """
    name = str(task.get("name") or task.get("action") or "a task without a name")
    return f' at the task "{name}": {HIDDEN if _is_hidden(task, result) else _reason(result)}'


def _is_hidden(task: Mapping[str, Any], result: Mapping[str, Any]) -> bool:
    """Whether the output may be secret. A template that decides it is not rendered any more, and counts as yes."""
    items = [item for item in result.get("results") or () if isinstance(item, Mapping)]
    return bool(task.get("no_log")) or any(one.get("_ansible_no_log") for one in (result, *items))


def _reason(result: Mapping[str, Any]) -> str:
    """Return the first line of the message; of a loop, that of the first item that failed."""
    failed = (item for item in result.get("results") or () if isinstance(item, Mapping) and item.get("failed"))
    cause = next(failed, result)
    message = _line(cause.get("msg"), 0) or "it gave no reason"
    if cause.get("rc") is None:
        return message
    lasts = ((stream, _line(cause.get(stream), -1)) for stream in ("stderr", "stdout"))
    last = next((f"; the last line of its {stream}: {line}" for stream, line in lasts if line), "")
    return f"{message} (status {cause['rc']}){last}"


def _line(text: Any, number: int) -> str:
    """Return a line of a text by its number, empty if it has none."""
    lines = str(text or "").strip().splitlines()
    return lines[number].strip() if lines else ""
