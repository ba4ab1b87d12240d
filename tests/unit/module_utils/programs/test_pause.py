"""The pauses before a process that crashes again and again starts."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.slipway.kit.plugins.module_utils.programs import pause


def test_pauses_grow_to_a_minute_and_shrink_after_a_good_run(tmp_path: Path) -> None:
    path, now, pauses = str(tmp_path / "starts"), 1000.0, []
    for _ in range(9):
        waited = pause.due(path, now)
        pauses.append(waited)
        now += waited + 1
    assert pauses == [0, 2, 4, 8, 16, 32, 60, 60, 60]
    assert pause.due(path, now + pause.QUICK) == 0


def test_a_clock_of_another_boot_and_a_damaged_file_are_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "starts"
    assert pause.due(str(path), 1000.0) == 0
    assert pause.due(str(path), 5.0) == 0
    path.write_text("what?")
    assert pause.due(str(path), 6.0) == 0
    assert pause.due(str(tmp_path / "nowhere/starts"), 7.0) == 0
