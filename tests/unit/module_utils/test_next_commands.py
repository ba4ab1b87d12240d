"""The commands that a message suggests can be typed in the current folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import next_commands


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """A folder with playbooks."""
    for name in ("kit/site.yml", "kit/playbooks/drift.yml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "kit"


def test_a_playbook_is_named_from_the_current_folder(kit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "put it back, or: ansible-playbook playbooks/drift.yml --limit one"
    for folder, path in (
        (kit, "playbooks/drift.yml"),
        (kit.parent, "kit/playbooks/drift.yml"),
        (kit / "playbooks", "drift.yml"),
        (Path("/"), str(kit / "playbooks/drift.yml").lstrip("/")),
    ):
        monkeypatch.chdir(folder)
        wanted = f"put it back, or: ansible-playbook -i 'a b' -i one, {path} --limit one"
        assert next_commands.here(text, ["a b", "one,"], kit) == wanted
    (kit.parent / "elsewhere").mkdir()
    monkeypatch.chdir(kit.parent / "elsewhere")
    assert (
        next_commands.here(text, [], kit) == f"put it back, or: ansible-playbook {kit}/playbooks/drift.yml --limit one"
    )


@pytest.mark.parametrize(
    ("host", "user", "port", "words"),
    [
        ("192.0.2.7", None, None, "192.0.2.7"),
        ("192.0.2.7", "deploy", None, "deploy@192.0.2.7"),
        ("web1.example.com", "deploy", 2222, "-p 2222 deploy@web1.example.com"),
        ("2001:db8::7", None, "2222", "-p 2222 2001:db8::7"),
        ("web1", "a;b", None, "'a;b@web1'"),
    ],
)
def test_ssh_gets_only_what_is_set(host: str, user: str | None, port: int | str | None, words: str) -> None:
    assert next_commands.by_ssh(host, user, port) == f"ssh {words}"


def test_commands_by_ssh_reach_the_host() -> None:
    by = "ssh -p 2222 deploy@192.0.2.7"
    assert next_commands.reached("ssh web reboot", "web", by) == f"{by} reboot"
    assert next_commands.reached("ssh web", "web", by) == by
    assert (
        next_commands.reached("ssh web systemctl unmask x, then site.yml", "web", "")
        == "systemctl unmask x, then site.yml"
    )
    for text in ("ssh web-2 reboot", "ssh web.example.com", "site.yml --limit web"):
        assert next_commands.reached(text, "web", by) == text
    assert next_commands.reached("ssh web reboot", "web", None) == "ssh web reboot"


def test_the_program_is_named_by_its_path_where_the_shell_would_not_find_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("own/.venv/bin", "other"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "ansible-playbook").write_text("#!/bin/sh\n")
        (tmp_path / folder / "ansible-playbook").chmod(0o755)
    (tmp_path / "link").symlink_to(tmp_path / "own/.venv/bin")
    monkeypatch.chdir(tmp_path / "own")
    running = ".venv/bin/ansible-playbook"
    for path in ("/nowhere", str(tmp_path / "other")):
        monkeypatch.setenv("PATH", path)
        assert next_commands.program(running) == running
        assert next_commands.program(str(tmp_path / "own" / running)) == running
    monkeypatch.chdir(tmp_path / "other")
    assert next_commands.program(str(tmp_path / "own" / running)) == str(tmp_path / "own" / running)
    monkeypatch.setenv("PATH", str(tmp_path / "link"))
    assert next_commands.program(str(tmp_path / "own" / running)) == "ansible-playbook"
    assert next_commands.program("/usr/bin/pytest") == "ansible-playbook"


def test_an_installed_collection_has_its_site_yml_among_the_playbooks(
    kit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(kit)
    assert next_commands.here("ansible-playbook site.yml", [], kit) == "ansible-playbook site.yml"
    (kit / "site.yml").rename(kit / "playbooks/site.yml")
    assert next_commands.here("ansible-playbook site.yml", [], kit) == "ansible-playbook playbooks/site.yml"
    assert next_commands.here("ssh one reboot", ["x"], kit) == "ssh one reboot"
