"""The entries that the files action refuses, and those that it sends to a host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.slipway.kit.plugins.action import files as module
from ansible_collections.slipway.kit.plugins.action.files import ActionModule
from ansible_collections.slipway.kit.plugins.module_utils import rendering


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "slipway" / "kit"
    (root / "templates").mkdir(parents=True)
    monkeypatch.setattr(rendering, "KIT", str(root))
    return root


def items(*entries: dict[str, Any], task_vars: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    task_vars = task_vars or {}
    loader = DataLoader()
    action = ActionModule(
        task=None,
        connection=None,
        play_context=None,
        loader=loader,
        templar=Templar(loader=loader, variables=task_vars),
        shared_loader_obj=None,
    )
    return action._items({"files": list(entries), "owner": "root", "group": "root", "mode": None}, task_vars)


def test_an_entry_is_rendered_and_completed(kit: Path) -> None:
    (kit / "templates/a.j2").write_text("{{ app }} {{ port }} {{ template_destpath }}")
    out = items({"src": "a.j2", "dest": "/etc/a", "vars": {"port": 80}, "group": "shop"}, task_vars={"app": "shop"})
    assert out == [
        {
            "number": 0, "dest": "/etc/a", "state": "file", "owner": "root", "group": "shop", "mode": "0644",
            "diff": True, "recursive": False, "random": False, "src": "a.j2", "text": "shop 80 /etc/a\n",
        }
    ]  # fmt: skip


def test_folders_have_a_mode_of_their_own_and_content_stays_as_it_is() -> None:
    folder, text = items({"dest": "/etc/d", "state": "directory"}, {"dest": "/etc/d/f", "content": "{{ as is }}"})
    assert (folder["mode"], text["mode"], text["text"]) == ("0755", "0644", "{{ as is }}")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"content": "x"}, "dest must be an absolute path"),
        ({"dest": "etc/a", "content": "x"}, "dest must be an absolute path"),
        ({"dest": "/etc/../a", "content": "x"}, "without '..'"),
        ({"dest": "/etc/a/", "content": "x"}, "trailing slash"),
        ({"dest": "/etc/a"}, "give src or content"),
        ({"dest": "/etc/a", "src": "a", "content": "x"}, "give src or content"),
        ({"dest": "/etc/a", "state": "directory", "content": "x"}, "give src or content"),
        ({"dest": "/etc/a", "state": "link"}, "target belongs to state: link"),
        ({"dest": "/etc/a", "content": "x", "target": "y"}, "target belongs to state: link"),
        ({"dest": "/etc/a", "content": "x", "state": "touch"}, "state must be one of"),
        ({"dest": "/etc/a", "content": "x", "mode": 420}, "quoted octal number"),
        ({"dest": "/etc/a", "content": "x", "mode": "u=rw"}, "quoted octal number"),
        ({"dest": "/etc/a", "content": "x", "diff": "no"}, "diff must be true or false"),
        ({"dest": "/etc/a", "content": "x", "backup": True}, "unknown key backup"),
        ({"dest": "/etc/a", "src": "gone.j2"}, "template gone.j2 is nowhere"),
    ],
)
def test_a_bad_entry_is_named(kit: Path, entry: dict[str, Any], message: str) -> None:
    with pytest.raises(AnsibleError) as caught:
        items({"dest": "/etc/good", "content": "x"}, entry)
    assert str(caught.value).startswith("files[1] (")
    assert message in str(caught.value)


def test_all_faults_are_said_at_once(kit: Path) -> None:
    (kit / "templates/a.j2").write_text("{{ missing }}")
    with pytest.raises(AnsibleError) as caught:
        items({"dest": "/a", "src": "a.j2"}, {"dest": "b", "content": ""}, {"dest": "/c", "mode": "9"})
    lines = str(caught.value).splitlines()
    assert [line[:8] for line in lines] == ["files[0]", "files[1]", "files[2]"]
    assert "'missing' is undefined" in lines[0]


def test_a_path_is_named_once() -> None:
    with pytest.raises(AnsibleError, match=r"files\[1\]: /a is files\[0\] already"):
        items({"dest": "/a", "content": "x"}, {"dest": "/a", "state": "absent"})


class Host:
    """A connection whose host answers, or does not, in a given order."""

    def __init__(self, *answers: bool | None) -> None:
        self.answers = list(answers)
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1


def prove(monkeypatch: pytest.MonkeyPatch, host: Host, seconds: float = 0) -> None:
    """Have a host check a set of files."""
    monkeypatch.setattr(module, "PAUSE", 0)
    monkeypatch.setattr(module, "GRACE", 0)
    action = ActionModule(
        task=None, connection=host, play_context=None, loader=None, templar=None, shared_loader_obj=None
    )

    def execute(module_name: str, module_args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        assert (module_name, module_args) == ("slipway.kit.files", {"forget": "ssh"})
        answer = host.answers.pop(0)
        if answer is None:
            raise AnsibleConnectionFailure("Connection refused")
        return {"forgotten": answer}

    monkeypatch.setattr(action, "_execute_module", execute)
    action._prove("ssh", seconds, {})


def test_a_new_connection_makes_the_set_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(None, True)
    prove(monkeypatch, host)
    assert (host.answers, host.resets) == ([], 2)


def test_without_a_new_connection_the_host_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(None, None, None, False)
    with pytest.raises(AnsibleError, match=r"\(Connection refused\); the host has gone back to what it had"):
        prove(monkeypatch, host)
    assert host.answers == []


def test_a_connection_after_the_host_went_back_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AnsibleError, match="it came too late"):
        prove(monkeypatch, Host(None, False, False))


def test_a_host_that_does_not_come_back_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AnsibleError, match="is not reachable now either"):
        prove(monkeypatch, Host(None, None, None, None))
