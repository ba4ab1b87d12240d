"""A task file that fails is reported as a command that fails, and the reason of the run stays what it was."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.action import ActionBase
from ansible.template import Templar
from ansible_collections.slipway.kit.plugins.action import agree, task_files

from tests.unit.module_utils.test_inventory import HostVars

HOOK = {"name": "shop", "tasks": "hooks/warm.yml", "release": "v2"}
FAILED = {
    "ansible_failed_task": {"name": "Warm the cache", "action": "command", "no_log": False},
    "ansible_failed_result": {"msg": "it is cold"},
}


@pytest.fixture(autouse=True)
def arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ansible's part of an action."""
    monkeypatch.setattr(ActionBase, "run", lambda *_: {})
    monkeypatch.setattr(
        ActionBase, "validate_argument_spec", lambda self, **_: (None, {"reason": "", "hook": None, **self._task.args})
    )


def run(facts: dict[str, Any], variables: dict[str, Any] | None = None, **arguments: Any) -> dict[str, Any]:
    """The result of the action; `facts` are updated as Ansible would."""
    action = cast(Any, object.__new__(task_files.ActionModule))
    action._task = SimpleNamespace(args={"name": "after_activate", **arguments})
    given = {"ansible_play_hosts_all": ["web1"], "ansible_play_hosts": ["web1"], **(variables or {})}
    result: dict[str, Any] = action.run(None, {**given, "ansible_facts": facts})
    facts.update(result["ansible_facts"])
    return result


def test_tasks_that_succeed_are_no_failure() -> None:
    facts: dict[str, Any] = {}
    run(facts, state="begun", reason="it failed on another host")
    assert facts["slipway_task_files"]
    result = run(facts, state="ended")
    assert not result.get("failed")
    assert not facts["slipway_task_files"]


def test_every_task_file_that_fails_is_reported_at_the_end() -> None:
    facts: dict[str, Any] = {}
    run(facts, state="begun", reason="nginx is down")
    result = run(facts, FAILED, state="failed", reason="it is cold", hook=HOOK)
    assert not result.get("failed")
    assert result["msg"] == "nginx is down"  # by the name of Ansible's variable it is again why the run fails
    run(facts, FAILED, state="failed", reason="it is cold", hook={**HOOK, "name": "blog"})
    result = run(facts, state="ended")
    assert result["failed"]
    assert result["msg"].split("\n\n") == [
        'shop v2: hook after_activate (hooks/warm.yml) failed at the task "Warm the cache": it is cold',
        'blog v2: hook after_activate (hooks/warm.yml) failed at the task "Warm the cache": it is cold',
        "Only the hook failed: clients get the new release, and it stays.",
    ]


def test_an_earlier_failure_of_the_run_is_not_the_hook_s() -> None:
    """Ansible sets its variables only on the host whose task failed. Here they are about the run."""
    facts: dict[str, Any] = {}
    run(facts, FAILED, state="begun", reason="it is cold")
    run(facts, FAILED, state="failed", reason="it is cold", hook=HOOK)
    message = run(facts, {"hostvars": {"web1": {}}}, state="ended")["msg"]
    assert "(hooks/warm.yml) includes a file or role that Ansible cannot read, for the reason above" in message
    assert "Warm" not in message


REASON = 'hook after_activate (hooks/warm.yml) failed at the task "Warm the cache": it is cold'


@pytest.mark.parametrize(
    "first",
    [
        {"slipway_task_files": {"reason": "", "failures": [{"app": "shop", "reason": REASON, "is_own": True}]}},
        {"slipway_task_files": {}, "slipway_held": {"shop": {"reason": REASON, "on": "web1"}}},
    ],
    ids=["that ends the hook at the same time", "that has ended the hook"],
)
def test_a_task_with_run_once_fails_on_the_first_host(first: dict[str, Any]) -> None:
    """Ansible fails it on all hosts, and gives the reason to the first one alone."""
    facts: dict[str, Any] = {}
    run(facts, state="begun")
    run(facts, state="failed", hook=HOOK)
    hosts = {"web1": {"ansible_facts": first}, "web2": {"ansible_facts": dict(facts)}}
    message = run(facts, {"hostvars": hosts, "ansible_play_hosts_all": ["web1", "web2"]}, state="ended")["msg"]
    assert f"shop v2: on web1: {REASON}\n" in message


def agreed(*facts: dict[str, Any]) -> dict[str, Any]:
    """The result of the action `agree` on hosts with these facts."""
    hosts = HostVars({f"web{number}": {"ansible_facts": one} for number, one in enumerate(facts, 1)})
    action = cast(Any, object.__new__(agree.ActionModule))
    action._templar = Templar(loader=DataLoader(), variables={})
    result: dict[str, Any] = action.run(None, {"hostvars": hosts, "ansible_play_hosts_all": list(hosts)})
    return result


def test_a_host_that_is_lost_in_a_hook_ends_the_run() -> None:
    begun = {"slipway_task_files": {"reason": "", "failures": []}}
    assert agreed({}, {"slipway_task_files": {}})["ansible_facts"] == {"slipway_held": {}}
    with pytest.raises(AnsibleActionFail, match=r"^web2 left the run in the tasks of a hook"):
        agreed({}, begun)


def test_a_host_on_which_the_end_of_a_hook_failed_ends_the_run() -> None:
    """Its record stays, since Ansible takes no facts from a task that fails."""
    failed = {"slipway_task_files": {"reason": "", "failures": [{"app": "shop", "reason": "it is cold"}]}}
    with pytest.raises(AnsibleActionFail, match=r"^web2 left the run in the tasks of a hook"):
        agreed({}, failed)


@pytest.mark.parametrize(
    ("name", "fails"), [("after_activate", True), ("before_activate", True), ("on_failure", False)]
)
def test_the_other_hosts_end_with_a_hook_that_has_lost_one(name: str, fails: bool) -> None:
    facts: dict[str, Any] = {}
    run(facts, name=name, state="begun")
    hosts = {host: {"ansible_facts": dict(facts)} for host in ("web1", "web2")}
    variables = {"hostvars": hosts, "ansible_play_hosts_all": list(hosts), "ansible_play_hosts": ["web1"]}
    result = run(facts, variables, name=name, state="ended")
    assert bool(result.get("failed")) == fails
    assert not fails or result["msg"].startswith("web2 left the run")
