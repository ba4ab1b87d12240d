"""Commands of `source.build`: what they make is the source, once; nothing of Ansible's or the vault's reaches them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.sources import SourceError, Tree, building, fetch

from tests.patience import patience


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., Tree]:
    """Fetches an app that git ignores a part of."""
    root = tmp_path / "app"
    (root / "front").mkdir(parents=True)
    (root / "app.py").write_text("app = 1\n")
    (root / "front/main.ts").write_text("let a = 1")
    (root / ".gitignore").write_text("dist/\n")
    for argv in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", "-C", str(root), *argv], check=True)

    def fetched(*commands: Any, **more: Any) -> Tree:
        source = {"path": "app", "build": list(commands), **more}
        return fetch(source, requirements=[], base=tmp_path, cache=tmp_path / "cache", log=lambda text: None)

    return fetched


def test_what_is_made_belongs_to_the_source_also_what_git_ignores(tmp_path: Path, source: Callable[..., Tree]) -> None:
    note = tmp_path / "note"
    command = (
        f"mkdir -p dist node_modules; cp front/main.ts dist/main.js; touch node_modules/x .env; echo ran >> {note}"
    )
    for _ in range(2):
        tree = source(["sh", "-c", command], ["sh", "-c", "rm front/main.ts"])
        assert tree.files == [".gitignore", "app.py", "dist/main.js"]
    assert note.read_text() == "ran\n", "what did not change is not made again"
    assert (tmp_path / "app/front/main.ts").exists() and not (tmp_path / "app/dist").exists()
    (tmp_path / "app/front/main.ts").write_text("let a = 2")
    assert source(["sh", "-c", command]).read("dist/main.js") == b"let a = 2"


def test_what_was_taken_in_by_name_stays(tmp_path: Path, source: Callable[..., Tree]) -> None:
    (tmp_path / "app/node_modules").mkdir()
    (tmp_path / "app/node_modules/a.js").write_text("")
    assert "node_modules/a.js" in source("touch made", include=["node_modules"]).files


def test_they_run_in_the_apps_folder(source: Callable[..., Tree]) -> None:
    assert "front/main.js" in source("cp main.ts main.js", folder="front").files


def test_they_find_the_operators_environment_without_ansibles(
    monkeypatch: pytest.MonkeyPatch, source: Callable[..., Tree]
) -> None:
    for name in ("ANSIBLE_VAULT_PASSWORD_FILE", "MY_VAULT_TOKEN", "NPM_CONFIG_REGISTRY"):
        monkeypatch.setenv(name, "there")
    content = source(["sh", "-c", "env > seen; cat > stdin"]).read("seen")
    assert content is not None
    names = {line.partition(b"=")[0] for line in content.splitlines()}
    assert {b"PATH", b"HOME", b"LANG", b"NPM_CONFIG_REGISTRY"} <= names
    assert not [name for name in names if b"VAULT" in name or name.startswith(b"ANSIBLE")]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("echo begin; echo why >&2; exit 3", r"`source\.build` \(sh -c .* failed with status 3\.\n    begin\n    why"),
        ("echo https://me:hunter2@x.example; printf '\\033[2J'; exit 1", r"https://\*\*\*@x\.example\n    \\x1b\[2J"),
        ("ln -s /etc/passwd a", "a is a link to /etc/passwd, which is outside of the source"),
    ],
)
def test_a_command_that_fails(source: Callable[..., Tree], command: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        source(["sh", "-c", command])


def test_a_program_that_is_not_there(source: Callable[..., Tree]) -> None:
    with pytest.raises(
        SourceError, match=r"`source\.build` \(nowhere ci\) cannot be run on this controller: No such file"
    ):
        source("nowhere ci")


@pytest.mark.parametrize("command", ["sleep 60", "exec >&- 2>&-; sleep 60", "sleep 60 & sleep 60", "yes"])
def test_all_of_it_ends_at_the_deadline(
    monkeypatch: pytest.MonkeyPatch, source: Callable[..., Tree], command: str
) -> None:
    monkeypatch.setattr(building, "DEADLINE", 1.0)
    began = time.monotonic()
    with pytest.raises(SourceError, match="was not done within 1 s"):
        source(["sh", "-c", command])
    assert time.monotonic() - began < patience(10)


def test_what_is_left_behind_is_ended(source: Callable[..., Tree]) -> None:
    began = time.monotonic()
    assert "made" in source(["sh", "-c", "sleep 60 & touch made"]).files
    assert time.monotonic() - began < patience(10)


def test_what_has_left_its_group_is_ended_too(source: Callable[..., Tree], tmp_path: Path) -> None:
    escaped = tmp_path / "escaped"
    source(
        [
            "sh",
            "-c",
            f"setsid sh -c 'echo $$ > {escaped}; exec sleep 60' >/dev/null 2>&1 & while [ ! -s {escaped} ]; do sleep 0.05; done",
        ]
    )
    assert not Path("/proc", escaped.read_text().strip()).exists()


def test_a_signal_is_named(source: Callable[..., Tree]) -> None:
    with pytest.raises(SourceError, match=r"failed with status 143 \(SIGTERM\)"):
        source(["sh", "-c", "kill -TERM $$"])
