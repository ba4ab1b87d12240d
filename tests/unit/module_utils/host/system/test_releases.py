"""The marks of bad releases: in their folders, and in the app's record when the folders are gone."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.system import releases

ONE, TWO, THREE = "v1-00000001", "v2-00000002", "v3-00000003"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (ONE, TWO, THREE):
        (tmp_path / "releases" / name).mkdir(parents=True)
    return tmp_path


def mark(root: Path, name: str, reason: str, when: str) -> None:
    (root / "releases" / name / "bad.json").write_text(json.dumps({"reason": reason, "when": when}))


def remove(root: Path, *names: str) -> None:
    releases.keep_marks(str(root), names)
    for name in names:
        shutil.rmtree(root / "releases" / name)


def test_a_mark_outlives_the_folder_of_its_release(root: Path) -> None:
    releases.mark_bad(str(root), ONE, "rolled back")
    mark_before = releases.mark_of(str(root), ONE)
    remove(root, ONE, TWO)
    assert releases.mark_of(str(root), ONE) == mark_before
    assert releases.why_bad(str(root), ONE) == "rolled back"
    assert stat.S_IMODE((root / releases.RECORD).stat().st_mode) == 0o600
    assert list(releases.bad(str(root))) == [ONE], "the other one was good"


def test_a_mark_that_is_taken_back_is_in_no_place_any_more(root: Path) -> None:
    releases.mark_bad(str(root), ONE, "rolled back")
    remove(root, ONE)
    (root / "releases" / ONE).mkdir()
    releases.mark_bad(str(root), ONE, "it hung")
    assert releases.why_bad(str(root), ONE) == "it hung", "the newer mark counts"
    assert releases.mark_good(str(root), ONE)
    assert not releases.is_bad(str(root), ONE)
    assert not (root / releases.RECORD).exists()
    assert not releases.mark_good(str(root), ONE)


def test_a_newer_mark_replaces_that_of_the_record(root: Path) -> None:
    for reason in ("rolled back", "it hung"):
        (root / "releases" / ONE).mkdir(exist_ok=True)
        releases.mark_bad(str(root), ONE, reason)
        remove(root, ONE)
        assert releases.why_bad(str(root), ONE) == reason


def test_a_release_that_is_built_again_stays_bad_until_it_is_proved(root: Path) -> None:
    mark(root, ONE, "rolled back", "2026-01-01T00:00:00Z")
    remove(root, ONE)
    (root / "releases" / ONE).mkdir()
    assert releases.is_bad(str(root), ONE)
    earlier = releases.Marks.read(str(root), ONE)
    releases.mark_good(str(root), ONE)
    earlier.put_back(str(root), ONE)
    assert releases.mark_of(str(root), ONE) == releases.Mark("rolled back", "2026-01-01T00:00:00Z")


def test_the_record_holds_the_newest_marks(root: Path) -> None:
    names = [f"v{number}-{number:08x}" for number in range(10, 10 + releases.RECORDED + 5)]
    for number, name in enumerate(names):
        (root / "releases" / name).mkdir()
        mark(root, name, "it hung", f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z")
    remove(root, *names)
    assert list(releases.bad(str(root))) == names[:4:-1]


@pytest.mark.parametrize("text", ["{ half", "[]", '{"../x": {"reason": "r"}, "v1-00000001": "rolled back"}'])
def test_a_damaged_record_holds_no_mark(root: Path, text: str) -> None:
    (root / releases.RECORD).write_text(text)
    assert releases.bad(str(root)) == {}


def test_a_damaged_mark_in_a_folder_counts(root: Path) -> None:
    (root / "releases" / ONE / "bad.json").write_text("{ half")
    assert releases.is_bad(str(root), ONE)
    remove(root, ONE)
    assert releases.is_bad(str(root), ONE)
