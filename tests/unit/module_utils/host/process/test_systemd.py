"""The three units of an instance under systemd, and the single one of old releases."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.manifest import (
    Manifest,
    SupervisorPlace,
    read_manifest,
    written,
)
from ansible_collections.slipway.kit.plugins.module_utils.host.process import supervisor, systemd
from ansible_collections.slipway.kit.plugins.module_utils.host.process.systemd import Systemd, companions
from ansible_collections.slipway.kit.plugins.module_utils.host.run.logs import last_words
from ansible_collections.slipway.kit.plugins.module_utils.model import managers

from tests import releases

ID = "v1-00000001"
UNIT = f"slipway-shop-{ID}"
SERVICE, SOCKET, LOG = UNITS = (f"{UNIT}.service", f"{UNIT}.socket", f"{UNIT}-log.service")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, ...]]:
    """The calls of systemctl; the test's own folder holds the units."""
    asked: list[tuple[str, ...]] = []

    def record(*words: str, accept: Sequence[int] = (0,), timeout: float = 0) -> str:
        asked.append(words)
        return ""

    (tmp_path / "units").mkdir()
    monkeypatch.setattr(systemd, "_systemctl", record)
    monkeypatch.setattr(Systemd, "units", str(tmp_path / "units"))
    return asked


def release(folder: Path, names: Sequence[str] = UNITS, **change: Any) -> Manifest:
    """A release on the disk, with those of its units."""
    root = folder / "srv" / "shop"
    path = root / "releases" / ID
    path.mkdir(parents=True, exist_ok=True)
    manifest = releases.manifest(release_id=ID, root=str(root), path=str(path), **change)
    (path / "manifest.json").write_text(written(manifest))
    for name in names:
        (path / name).write_text(f"# {name}\n")
    return read_manifest(str(root), ID)


def installed() -> list[str]:
    return sorted(path.name for path in Path(Systemd.units).iterdir())


def test_the_model_names_the_units_that_the_host_expects() -> None:
    manager, web = managers.SYSTEMD, releases.manifest(release_id=ID).web
    rendered = manager.templates(web)
    assert {SERVICE, *companions(UNIT)} == set(rendered)
    assert companions(UNIT) == (SOCKET, LOG)


def test_all_units_are_installed_once(tmp_path: Path, calls: list[tuple[str, ...]]) -> None:
    manifest = release(tmp_path)
    assert Systemd().install([manifest]) == [UNIT]
    assert installed() == sorted(UNITS)
    assert {(Path(Systemd.units) / name).stat().st_mode & 0o777 for name in UNITS} == {0o644}, (
        "systemd complains otherwise"
    )
    assert Systemd().install([manifest]) == []
    assert calls == [], "systemd finds new units by itself"
    (Path(manifest.path) / SOCKET).write_text("# another\n")
    assert Systemd().install([manifest]) == [UNIT]
    assert calls == [("daemon-reload",)]


def test_they_stop_together_and_nothing_stays(tmp_path: Path, calls: list[tuple[str, ...]]) -> None:
    Systemd().install([release(tmp_path)])
    Systemd().stop(UNIT, 9)
    Systemd().uninstall([UNIT])
    assert calls[0] == ("stop", *UNITS), "systemd's own order is the service first"
    assert ("reset-failed", SOCKET, LOG, SERVICE) in calls
    assert installed() == []


def test_a_release_from_before_has_one(tmp_path: Path, calls: list[tuple[str, ...]]) -> None:
    """The target of a rollback."""
    manifest = release(tmp_path, [SERVICE], log_pipe="")
    Systemd().install([manifest])
    assert installed() == [SERVICE]
    Systemd().stop(UNIT, 9)
    Systemd().uninstall([UNIT])
    assert calls[0] == ("stop", SERVICE)
    assert installed() == []


def test_a_run_that_was_killed_leaves_no_unit(tmp_path: Path, calls: list[tuple[str, ...]]) -> None:
    """It may die between any two files. While any of them exists, the service's does: the instance is found by it."""
    manifest = release(tmp_path)
    Systemd().install([manifest])
    seen: list[list[str]] = []
    remove, write = systemd.atomic.remove_file, systemd.atomic.write

    def removed(path: str) -> bool:
        seen.append(installed())
        return remove(path)

    def written(path: str, content: bytes, *more: Any) -> Any:
        record = write(path, content, *more)
        seen.append(installed())
        return record

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(systemd.atomic, "remove_file", removed)
        patch.setattr(systemd.atomic, "write", written)
        Systemd().uninstall([UNIT])
        Systemd().install([manifest])
    assert len(seen) == 6
    assert all(SERVICE in names for names in seen)


def test_last_words_are_awaited_on_their_way_into_the_log(tmp_path: Path) -> None:
    log, pipe = tmp_path / "shop.log", tmp_path / "pipe"
    log.write_text("before\n")
    os.mkfifo(pipe)
    both = os.open(pipe, os.O_RDWR)
    os.write(both, b"no DATABASE_URL\n")

    def copy() -> None:
        with log.open("ab") as file:
            file.write(os.read(both, 99))

    reader = threading.Timer(0.3, copy)
    reader.start()
    assert last_words(release(tmp_path, log=str(log), log_pipe=str(pipe)).web, 7) == ["no DATABASE_URL"]
    reader.join()
    os.close(both)


def test_services_that_no_longer_start_at_boot_are_named(
    calls: list[tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = {"nginx.service": "masked", "slipway-firewall.service": "enabled", "cron.service": "disabled"}
    monkeypatch.setattr(systemd, "ask", lambda command, _deadline: SimpleNamespace(stdout=f"{states[command[-1]]}\n"))
    monkeypatch.setattr(Systemd, "runs", staticmethod(lambda: True))
    (tmp_path / "units/slipway-firewall.service").touch()
    assert Systemd.broken_services() == [("nginx.service", "masked")]
    (tmp_path / "units/cron.service").touch()
    assert Systemd.broken_services() == [("nginx.service", "masked"), ("cron.service", "disabled")]
    monkeypatch.setattr(Systemd, "runs", staticmethod(lambda: False))
    assert Systemd.broken_services() == []


@pytest.mark.parametrize(
    ("shown", "state", "count"), [("masked\n", "masked", None), ("", "disabled", None), ("3\n", "3", 3)]
)
def test_what_systemd_says_about_a_unit(
    monkeypatch: pytest.MonkeyPatch, shown: str, state: str, count: int | None
) -> None:
    monkeypatch.setattr(systemd, "ask", lambda _command, _deadline: SimpleNamespace(stdout=shown))
    assert (Systemd().boot_state(UNIT), Systemd().restarts(UNIT)) == (state, count)


def test_what_supervisor_says_about_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = SupervisorPlace(socket=str(tmp_path / "sock"), programs=str(tmp_path))
    monkeypatch.setattr(supervisor.names, "SUPERVISOR_LOG", str(tmp_path / "supervisord.log"))
    manager = supervisor.Supervisor(place)
    assert (manager.boot_state(UNIT), manager.restarts(UNIT)) == ("disabled", None)
    (tmp_path / f"{UNIT}.conf").touch()
    (tmp_path / "supervisord.log").write_text(
        f"x INFO exited: {UNIT} (exit status 1)\nx INFO exited: {UNIT}-2 (x)\n" * 2
    )
    assert (manager.boot_state(UNIT), manager.restarts(UNIT)) == ("enabled", 2)
