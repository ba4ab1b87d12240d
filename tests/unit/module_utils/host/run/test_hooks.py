"""Hooks: which app's hook runs, in which release, and what happens to its command."""

from __future__ import annotations

import getpass
import grp
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.filter.hooks import commands, due
from ansible_collections.slipway.kit.plugins.module_utils.contract.errors import HostError
from ansible_collections.slipway.kit.plugins.module_utils.contract.manifest import written
from ansible_collections.slipway.kit.plugins.module_utils.host.build import proving
from ansible_collections.slipway.kit.plugins.module_utils.host.process import confine
from ansible_collections.slipway.kit.plugins.module_utils.host.run.hooks import Hook, run

from tests import releases
from tests.patience import patience

KIT = Path(__file__).parents[5]
OLD, NEW = "v1-00000001", "v2-00000002"


def hook(app: str = "shop", when: str = "migrate", **more: Any) -> dict[str, Any]:
    return {
        "name": app,
        "root": f"/srv/{app}",
        "when": when,
        "commands": (("true",),),
        "tasks": None,
        "timeout": 9,
        **more,
    }


def facts(current: str | None = OLD, target: str | None = NEW, app: str = "shop") -> dict[str, Any]:
    host_facts: dict[str, Any] = {"slipway": {"apps": {app: {"current": current}}}}
    return {**host_facts, "slipway_releases": [{"root": f"/srv/{app}", "release": target}]} if target else host_facts


@pytest.mark.parametrize(
    ("output", "hinted"),
    [
        ("OSError: [Errno 30] Read-only file system: '{root}/releases/v2-00000002/code/staticfiles'", True),
        ("PermissionError: [Errno 13] Permission denied: '{root}/releases/v2-00000002/code/staticfiles'", True),
        ("OSError: [Errno 30] Read-only file system: '/etc/shop'", False),
    ],
)
def test_a_hook_that_writes_into_the_code_is_reported_with_build(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, output: str, hinted: bool
) -> None:
    output = output.replace("{root}", str(tmp_path / "shop"))
    (tmp_path / "shop/releases" / NEW).mkdir(parents=True)
    path = tmp_path / "shop/releases" / NEW
    manifest = releases.manifest(release_id=NEW, root=str(tmp_path / "shop"), path=str(path))
    (path / "manifest.json").write_text(written(manifest))
    monkeypatch.setattr(proving, "as_app", lambda *_: confine.Outcome(1, "", output))
    with pytest.raises(HostError) as caught:
        run("migrate", Hook(str(tmp_path / "shop"), NEW, ("collect",), 9))
    assert ("`build`" in str(caught.value)) == hinted
    assert output in str(caught.value)


@pytest.mark.parametrize("point", ["migrate", "before_activate", "after_activate"])
def test_hooks_of_the_new_release_run_in_it(point: str) -> None:
    assert [one["release"] for one in due([hook(when=point)], point, facts())] == [NEW]


@pytest.mark.parametrize("point", ["before_prepare", "on_failure"])
def test_hooks_before_and_without_the_new_release_run_in_the_current_one(point: str) -> None:
    assert [one["release"] for one in due([hook(when=point)], point, facts())] == [OLD]


@pytest.mark.parametrize("point", ["before_prepare", "migrate", "before_activate", "after_activate", "on_failure"])
@pytest.mark.parametrize("state", [facts(OLD, OLD), facts(OLD, None), facts(app="blog")])
def test_an_app_that_the_run_does_not_change_has_no_hooks(point: str, state: dict[str, Any]) -> None:
    assert due([hook(when=point)], point, state) == []


def test_the_first_deploy_prepares_nothing_and_may_tell_of_its_failure() -> None:
    assert due([hook(when="before_prepare")], "before_prepare", facts(None)) == []
    assert [one["release"] for one in due([hook(when="on_failure")], "on_failure", facts(None))] == [None]
    assert commands(due([hook(when="on_failure")], "on_failure", facts(None))) == []


def test_the_first_host_concerned_migrates_for_all() -> None:
    hooks = [hook(), hook("blog")]
    assert [one["name"] for one in due(hooks, "migrate", facts(), [])] == ["shop"]
    assert due(hooks, "migrate", facts(), [facts()]) == []
    # Hosts without the app, and hosts that already have its release, do not migrate for others.
    assert [one["name"] for one in due(hooks, "migrate", facts(), [facts(app="blog"), facts(NEW, NEW), {}])] == ["shop"]
    assert len(due([hook(when="before_activate")], "before_activate", facts(), [facts()])) == 1


def test_commands_are_what_the_module_takes() -> None:
    tasks = hook(commands=(), tasks="x.yml", release=NEW)
    assert commands([{**hook(), "release": NEW}]) == [
        {"root": "/srv/shop", "release": NEW, "command": ("true",), "timeout": 9}
    ]
    assert [one["command"] for one in commands([{**hook(commands=(("a",), ("b", "c"))), "release": NEW}])] == [
        ("a",),
        ("b", "c"),
    ]
    assert commands([tasks])[0]["command"] == (), "of a migration by tasks the module takes note"
    assert commands([{**tasks, "when": "before_activate"}]) == []


@pytest.fixture
def ready(tmp_path: Path) -> Callable[..., Hook]:
    """A release with the kit's launcher, whose commands run as the user of the tests."""
    root = tmp_path / "srv/shop"
    path = root / "releases" / NEW
    (path / "code").mkdir(parents=True)
    (path / "venv/bin").mkdir(parents=True)
    shutil.copy(KIT / "plugins/module_utils/programs/launcher.py", path / "exec")
    (path / "exec").chmod(0o755)
    group = grp.getgrgid(os.getgid()).gr_name
    manifest = releases.manifest(
        release_id=NEW, root=str(root), path=str(path), user=getpass.getuser(), group=group, unit_file="shop.service"
    )
    (path / "manifest.json").write_text(written(manifest))
    (path / "shop.service").write_text("[Service]\n")
    (path / "environment.json").write_text(json.dumps({"GREETING": "grüß $dich"}))

    def make(script: str, timeout: float = 20, words: tuple[str, ...] = ()) -> Hook:
        return Hook(str(root), NEW, words or (("sh", "-c", script) if script else ()), timeout)

    return make


def migrated(one: Hook) -> bool:
    return os.path.exists(f"{one.root}/releases/{NEW}/migrated.json")


def test_a_command_runs_in_the_code_with_the_environment(ready: Callable[..., Hook]) -> None:
    assert run("before_activate", ready('echo "$GREETING"; pwd')).split("\n")[1:] == [
        "grüß $dich",
        str(Path(ready("").root) / "releases" / NEW / "code"),
    ]


def test_a_failure_shows_what_was_printed_last(ready: Callable[..., Hook]) -> None:
    with pytest.raises(HostError) as error:
        run("before_activate", ready("for n in $(seq 50); do echo line $n; done; echo no such table >&2; exit 3"))
    text = str(error.value)
    assert "hook before_activate (sh -c " in text
    assert "failed with status 3" in text
    assert "line 50" in text and "no such table" in text
    assert "line 9\n" not in text


def test_a_command_that_is_not_there(ready: Callable[..., Hook]) -> None:
    with pytest.raises(HostError, match="failed with status 127"):
        run("migrate", Hook(ready("").root, NEW, ("no-such-command",), 5))


def test_one_that_takes_too_long_is_killed_with_all_its_children_and_shows_what_it_said(
    ready: Callable[..., Hook], tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    script = f"echo waiting for the lock; sleep 61 & echo $! $$ > {pids}; wait"
    begun = time.monotonic()
    with pytest.raises(HostError) as error:
        run("migrate", ready(script, 3))
    assert time.monotonic() - begun < patience(10)
    assert "was not done after 3 s and was killed; raise its timeout" in str(error.value)
    assert "waiting for the lock" in str(error.value)
    for pid in pids.read_text().split():
        end = time.monotonic() + patience(5)
        while state(int(pid)) not in ("", "Z", "X"):
            assert time.monotonic() < end, f"{pid} goes on"
            time.sleep(0.05)


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def test_what_has_left_the_group_ends_too(ready: Callable[..., Hook], tmp_path: Path) -> None:
    """However the hook itself ends."""
    left = f"setsid sh -c 'trap \"\" TERM; (sleep 61; :) & echo $! $$ >> {tmp_path}/pids; wait' &"
    begun = time.monotonic()
    with pytest.raises(HostError, match=r"was killed.*\nbefore"):
        run("after_activate", ready(f"echo before; {left} sleep 30", 3))
    run("after_activate", ready(f"{left} sleep 0.5"))
    assert time.monotonic() - begun < patience(10)
    pids = (tmp_path / "pids").read_text().split()
    assert len(pids) == 4
    assert [pid for pid in pids if state(int(pid)) not in ("", "Z", "X")] == []


def test_a_migration_is_written_down_also_when_it_fails_or_is_a_task_file(ready: Callable[..., Hook]) -> None:
    one = ready("")
    run("before_activate", ready("true"))
    assert not migrated(one)
    with pytest.raises(HostError):
        run("migrate", ready("exit 1"))
    assert migrated(one)
    os.unlink(f"{one.root}/releases/{NEW}/migrated.json")
    assert run("migrate", one) == ""
    assert migrated(one)


@pytest.mark.parametrize(
    ("output", "counts"),
    [
        ("Operations to perform:\n  Apply all migrations: shop\nRunning migrations:\n  No migrations to apply.", False),
        ("Running migrations:\n  Applying shop.0002_basket... OK", True),
        ("  No migrations to apply.\nRunning migrations:\n  Applying shop.0002_basket... OK", True),
        ("INFO  [alembic.runtime.migration] Context impl PostgresqlImpl.", False),
        (
            "INFO  [alembic.runtime.migration] Context impl\nINFO  [alembic.runtime.migration] Running upgrade a -> b",
            True,
        ),
        ("done", True),
        ("", True),
    ],
)
def test_a_command_that_had_nothing_to_migrate_is_no_migration(
    ready: Callable[..., Hook], tmp_path: Path, output: str, counts: bool
) -> None:
    (tmp_path / "output").write_text(output)
    (tmp_path / "manage").write_text(f"cat {tmp_path}/output")
    one = ready("", words=("sh", f"{tmp_path}/manage", "migrate"))
    run("migrate", one)
    assert migrated(one) is counts
    record = Path(f"{one.root}/releases/{NEW}/migrated.json")
    record.write_text('{"when": "2026-01-01T00:00:00Z"}')
    run("migrate", one)
    assert ("2026-01-01" in record.read_text()) is not counts


def test_what_else_a_shell_s_text_does_counts_as_a_migration(ready: Callable[..., Hook], tmp_path: Path) -> None:
    (tmp_path / "output").write_text("  No migrations to apply.\nInstalled 250 object(s) from 1 fixture(s)")
    one = ready(f"sh -c 'cat {tmp_path}/output && : manage.py migrate && : manage.py loaddata'")
    run("migrate", one)
    assert migrated(one)


def test_the_migration_of_a_release_that_never_served_is_not_forgotten(
    ready: Callable[..., Hook], tmp_path: Path
) -> None:
    """Only the newest bad release stays on a host. The next good one has nothing to migrate any more."""
    (tmp_path / "manage").write_text("echo '  No migrations to apply.'")
    one = ready("", words=("sh", f"{tmp_path}/manage", "migrate"))
    record = Path(f"{one.root}/releases/{NEW}/migrated.json")
    bad, old = (Path(f"{one.root}/releases/v{number}-0000000{number}") for number in (8, 7))
    for folder, when in ((bad, "2026-02-02T00:00:00Z"), (old, "2026-01-01T00:00:00Z")):
        folder.mkdir()
        (folder / "migrated.json").write_text(json.dumps({"when": when}))
    (old / "activated.json").write_text(json.dumps({"when": "2026-01-01T00:00:01Z", "verified": True}))
    Path(f"{one.root}/current").symlink_to(f"releases/{old.name}")
    run("migrate", one)
    assert json.loads(record.read_text())["when"] == "2026-02-02T00:00:00Z"
    record.unlink()
    # What came before the current release is no news.
    (old / "activated.json").write_text(json.dumps({"when": "2026-03-03T00:00:00Z", "verified": True}))
    run("migrate", one)
    assert not record.exists()
