"""Which release each app has after a failed run, as the host says."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.action import ActionBase
from ansible.template import Templar
from ansible_collections.slipway.kit.plugins.action import outcome
from ansible_collections.slipway.kit.plugins.module_utils.contract.facts import SCHEMA, AppFacts

from ..lookup.test_resolved import APPS, HOST

NOW = [{"app": "shop", "id": "v1-00000001", "current": False}, {"app": "shop", "id": "v2-00000002", "current": True}]
UNKNOWN = "Which releases are current is unknown: ansible-playbook playbooks/releases.yml lists them."


def shown(monkeypatch: pytest.MonkeyPatch, answer: Mapping[str, Any] | Exception, **variables: Any) -> dict[str, Any]:
    """The result of the action where the module has this answer."""
    monkeypatch.setattr(ActionBase, "run", lambda *_: {})
    action = cast(Any, object.__new__(outcome.ActionModule))
    action._task = SimpleNamespace(args={})
    action._templar = Templar(loader=DataLoader(), variables={})

    def execute(module_name: str, module_args: Mapping[str, Any], task_vars: Mapping[str, Any]) -> Mapping[str, Any]:
        assert (module_name, module_args) == ("slipway.kit.releases", {"apps": [{"root": "/srv/shop"}]})
        if isinstance(answer, Exception):
            raise answer
        return answer

    action._execute_module = execute
    known = replace(HOST, apps={"shop": AppFacts("v1-00000001")})
    facts = {"slipway": {"schema": SCHEMA, **dataclasses.asdict(known)}}
    task_vars = {"apps": {"shop": APPS["shop"]}, "ansible_facts": facts, **variables}
    result: dict[str, Any] = action.run(None, task_vars)
    return result


def test_the_host_says_which_release_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    result = shown(monkeypatch, {"releases": NOW})
    assert result["msg"] == "shop: v2-00000002 is the current release now, before it v1-00000001"
    assert not result.get("failed")


@pytest.mark.parametrize("answer", [{"failed": True}, {"unreachable": True}, AnsibleActionFail("no answer")])
def test_a_host_that_does_not_answer_is_no_second_failure(
    monkeypatch: pytest.MonkeyPatch, answer: Mapping[str, Any] | Exception
) -> None:
    result = shown(monkeypatch, answer)
    assert result["msg"] == UNKNOWN and not result.get("failed")


def test_an_inventory_that_cannot_be_resolved_is_the_reason_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, {"releases": NOW}, ansible_facts={})["msg"] == ""
