"""What the files action refuses, and what it sends to a host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.slipway.kit.plugins.action.files import ActionModule
from ansible_collections.slipway.kit.plugins.module_utils import rendering


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "slipway" / "kit"
    (root / "templates").mkdir(parents=True)
    monkeypatch.setattr(rendering, "KIT", str(root))
    return root


def items(*entries: dict[str, Any], names: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    names = names or {}
    loader = DataLoader()
    action = ActionModule(
        task=None,
        connection=None,
        play_context=None,
        loader=loader,
        templar=Templar(loader=loader, variables=names),
        shared_loader_obj=None,
    )
    return action._items({"files": list(entries), "owner": "root", "group": "root", "mode": None}, names)


def test_an_entry_is_rendered_and_completed(kit: Path) -> None:
    (kit / "templates/a.j2").write_text("{{ app }} {{ port }} {{ template_destpath }}")
    out = items({"src": "a.j2", "dest": "/etc/a", "vars": {"port": 80}, "group": "shop"}, names={"app": "shop"})
    assert out == [
        {
            "number": 0, "dest": "/etc/a", "state": "file", "owner": "root", "group": "shop", "mode": "0644",
            "diff": True, "recursive": False, "src": "a.j2", "text": "shop 80 /etc/a\n",
        }
    ]  # fmt: skip


def test_folders_have_a_mode_of_their_own_and_content_stays_as_it_is() -> None:
    folder, text = items({"dest": "/etc/d", "state": "directory"}, {"dest": "/etc/d/f", "content": "{{ as is }}"})
    assert (folder["mode"], text["mode"], text["text"]) == ("0755", "0644", "{{ as is }}")


@pytest.mark.parametrize(
    ("entry", "said"),
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
def test_a_bad_entry_is_named(kit: Path, entry: dict[str, Any], said: str) -> None:
    with pytest.raises(AnsibleError) as caught:
        items({"dest": "/etc/good", "content": "x"}, entry)
    assert str(caught.value).startswith("files[1] (")
    assert said in str(caught.value)


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
