"""The reason of a task's failure, in a line without secrets."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import task_failures

TASK = {"name": "Warm the cache", "action": "ansible.builtin.command", "no_log": False}
SECRET = "hunter2"


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"msg": "no such file\nmore"}, "no such file"),
        ({"msg": "non-zero return code", "rc": 3, "stderr": "a\nit is cold\n"}, "non-zero return code (status 3); the last line of its stderr: it is cold"),
        ({"msg": "non-zero return code", "rc": 1, "stdout": "full"}, "non-zero return code (status 1); the last line of its stdout: full"),
        ({"msg": "non-zero return code", "rc": 1}, "non-zero return code (status 1)"),
        ({"msg": "items failed", "results": [{"msg": "good"}, {"msg": "bad", "failed": True}]}, "bad"),
        ({}, "it gave no reason"),
    ],
)  # fmt: skip
def test_a_reason_is_one_line(result: dict[str, Any], reason: str) -> None:
    assert task_failures.words(TASK, result) == f' at the task "Warm the cache": {reason}'


@pytest.mark.parametrize(
    ("task", "result"),
    [
        ({"no_log": True}, {}),
        ({"no_log": "{{ quiet }}"}, {}),
        ({}, {"_ansible_no_log": True}),
        ({}, {"results": [{"_ansible_no_log": True, "failed": True, "msg": SECRET}]}),
    ],
)
def test_a_secret_is_not_named(task: dict[str, Any], result: dict[str, Any]) -> None:
    words = task_failures.words({**TASK, **task}, {"msg": SECRET, "rc": 1, "stderr": SECRET, **result})
    assert SECRET not in words
    assert task_failures.HIDDEN in words


def test_a_task_without_a_name_is_named_by_its_module() -> None:
    assert task_failures.words({**TASK, "name": ""}, {"msg": "a"}) == ' at the task "ansible.builtin.command": a'
