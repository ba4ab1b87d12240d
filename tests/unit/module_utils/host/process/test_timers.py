"""What the host knows about timers: their last runs, and when their schedulers start them next."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.manifest import Manifest, Moments
from ansible_collections.slipway.kit.plugins.module_utils.host.base.boot import boot_id
from ansible_collections.slipway.kit.plugins.module_utils.host.process import timers
from ansible_collections.slipway.kit.plugins.module_utils.programs import timer

EACH = Moments(tuple(range(60)), tuple(range(24)), tuple(range(1, 32)), tuple(range(1, 13)), tuple(range(7)), False)


def made(moments: Moments | None = EACH) -> Manifest:
    """As much of a release as its timers need."""
    one = SimpleNamespace(name="clean", unit="slipway-shop.timer.clean", schedule="* * * * *", moments=moments)
    return cast(Manifest, SimpleNamespace(app="shop", timers=(one,)))


@pytest.mark.parametrize(
    ("properties", "next_run", "fault"),
    [
        ({}, 1795750200, ""),
        ({"NextElapseUSecRealtime": ""}, None, ""),  # during a run
        ({"NextElapseUSecRealtime": "n/a"}, None, ""),
        ({"LoadState": "not-found"}, None, "is not known to systemd"),
        ({"LoadState": "masked"}, None, "is masked"),
        ({"UnitFileState": "masked-runtime"}, None, "is masked"),
        ({"ActiveState": "inactive"}, None, "is stopped"),
        ({"UnitFileState": "disabled"}, 1795750200, "is disabled, so it does not start at boot"),
    ],
)
def test_what_systemd_says(properties: dict[str, str], next_run: int | None, fault: str) -> None:
    usual = {
        "LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled",
        "NextElapseUSecRealtime": "Fri 2026-11-27 03:30:00 UTC",
    }  # fmt: skip
    assert timers._of_unit({**usual, **properties}) == timers.Timing(next_run, fault)


def test_when_cron_starts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timers, "CRON", str(tmp_path))
    monkeypatch.setattr(timers, "CROND", str(tmp_path / "crond.pid"))

    def timing() -> timers.Timing:
        return timers.CronTimers().timings(made())["clean"]

    assert timing() == timers.Timing(None, "is not in the host's cron")
    (tmp_path / "slipway-shop").write_text("")
    assert timing() == timers.Timing(None, "waits for cron, which does not run")
    (tmp_path / "crond.pid").write_text(f"{os.getpid()}\n")
    started = timing()
    assert started.fault == "" and started.next is not None and 0 < started.next - time.time() <= 60


@pytest.mark.parametrize(
    ("known", "last", "is_running"),
    [
        (None, None, False),
        ("garbage", None, False),
        ({"last": [], "running": 3}, None, False),
        ({"last": {"began": "soon", "seconds": 1}}, None, False),
        (
            {"last": {"began": "2026-11-26T03:30:00Z", "seconds": 4.6, "result": "failed", "status": "3", "release": "../x"}},
            {"began": 1795663800, "seconds": 5, "result": "failed", "status": "3", "release": None},
            False,
        ),
        ({"running": {"began": "2026-11-26T03:30:00Z", "boot": "another"}}, None, False),
        ({"running": {"began": "2026-11-26T03:30:00Z", "boot": boot_id()}}, None, True),
    ],
)  # fmt: skip
def test_what_is_known_about_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: Any, last: dict[str, Any] | None, is_running: bool
) -> None:
    monkeypatch.setattr(timers.names, "TIMERS", str(tmp_path))
    (tmp_path / "shop").mkdir()
    if known is not None:
        (tmp_path / "shop/clean.json").write_text(known if isinstance(known, str) else json.dumps(known))
    [run] = timers.runs(made())
    assert run["last"] == last and (run["running"] is not None) == is_running


def test_a_run_whose_runner_was_killed_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number may be another process's by now."""
    monkeypatch.setattr(timers.names, "TIMERS", str(tmp_path))
    path = str(tmp_path / "shop/clean.json")
    timer.begun(path, "v1-00000001", os.getpid())
    assert timers.runs(made())[0]["running"] and list(timers.running("shop"))
    with subprocess.Popen(["true"]) as process:
        pass
    known = json.loads(Path(path).read_text())
    for changes in ({"pid": process.pid}, {"pid": process.pid, "start": None}, {"start": 1}):
        Path(path).write_text(json.dumps({"running": {**known["running"], **changes}}))
        [run] = timers.runs(made())
        assert run["running"] is None and (run["last"]["result"], run["last"]["status"]) == ("failed", "")
        assert run["last"]["release"] == "v1-00000001"
        assert list(timers.running("shop")) == []
    del known["running"]["start"]  # as an older kit wrote it
    Path(path).write_text(json.dumps(known))
    assert timers.runs(made())[0]["running"] and list(timers.running("shop"))
