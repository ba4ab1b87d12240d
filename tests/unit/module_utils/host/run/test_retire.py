"""Retiring: what a host assumes of an instance whose release is gone, and what stays of bad releases."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.base import trees
from ansible_collections.slipway.kit.plugins.module_utils.host.run import retire
from ansible_collections.slipway.kit.plugins.module_utils.host.system import releases
from ansible_collections.slipway.kit.plugins.module_utils.model import timeouts


def test_a_lost_instance_gets_the_defaults_of_the_model() -> None:
    """The host's side cannot import the model, so the numbers are written there a second time."""
    defaults = timeouts.derive({})
    assert {name: getattr(defaults, name) for name in vars(retire.LOST)} == vars(retire.LOST)
    assert defaults.stop == retire.LOST_STOP


CURRENT = "v9-00000009"


@pytest.fixture
def app(tmp_path: Path) -> Any:
    """An app with six bad releases beside the current one, the last of which was marked last. Each has two logs."""
    root, logs = tmp_path / "srv/shop", tmp_path / "logs/shop"
    logs.mkdir(parents=True)
    for number in (*range(1, 7), 9):
        name = f"v{number}-0000000{number}"
        folder = root / "releases" / name
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
        os.utime(folder / "manifest.json", (number, number))
        for end in (".log", ".log-20260101-1767225600.gz", ".worker.1.log"):
            (logs / f"{name}{end}").touch()
        if name != CURRENT:
            (folder / "bad.json").write_text(json.dumps({"reason": "it hung", "when": f"2026-01-0{number}T00:00:00Z"}))
    return SimpleNamespace(
        root=str(root), release_id=CURRENT, keep_releases=2, run=f"/run/shop/{CURRENT}", log=f"{logs}/{CURRENT}.log"
    )


def prune(app: Any) -> None:
    """Remove what the app does not need, as a run does."""
    for path in retire._with_marks_kept(app.root, retire.unneeded(app)):
        trees.remove(path)


def logged(app: Any) -> list[str]:
    """The releases that have logs."""
    return sorted({name.split(".")[0] for name in os.listdir(os.path.dirname(app.log))})


def test_the_marks_of_bad_releases_outlive_them(app: Any) -> None:
    bad = list(releases.bad(app.root))
    prune(app)
    assert sorted(os.listdir(f"{app.root}/releases")) == ["v6-00000006", CURRENT]
    assert list(releases.bad(app.root)) == bad


def test_the_logs_of_the_newest_removed_bad_releases_stay(app: Any) -> None:
    prune(app)
    assert logged(app) == ["v3-00000003", "v4-00000004", "v5-00000005", "v6-00000006", CURRENT]
    assert len(os.listdir(os.path.dirname(app.log))) == 5 * 3
    folder = Path(app.root, "releases/v7-00000007")
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    (folder / "bad.json").write_text(json.dumps({"reason": "it hung", "when": "2026-01-07T00:00:00Z"}))
    prune(app)
    assert logged(app) == ["v4-00000004", "v5-00000005", "v6-00000006", CURRENT]
    assert retire.unneeded(app) == []


def test_a_kill_after_the_record_loses_nothing(app: Any) -> None:
    bad, paths = list(releases.bad(app.root)), retire.unneeded(app)
    assert retire._with_marks_kept(app.root, paths) == paths
    assert list(releases.bad(app.root)) == bad
    assert retire.unneeded(app) == paths, "the next run removes them"


def test_a_bad_release_stays_where_a_full_disk_takes_no_record(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: str, *_: Any, **_named: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", path)

    paths = [*retire.unneeded(app), f"{app.root}/venvs/old"]
    monkeypatch.setattr(releases.atomic, "write_json", full)
    kept = retire._with_marks_kept(app.root, paths)
    assert f"{app.root}/venvs/old" in kept
    assert not [path for path in kept if "/releases/" in path]
