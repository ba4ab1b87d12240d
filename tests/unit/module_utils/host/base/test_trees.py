"""Removing and measuring folders that another user wrote, or is writing."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.base import trees

from tests.patience import patience

root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


def deep(path: Path, levels: int) -> None:
    """Nested folders, with a file in the last one."""
    path.mkdir()
    here = os.open(path, trees.FOLDER)
    for _ in range(levels):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", trees.FOLDER, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


@pytest.mark.parametrize("levels", [5_000, 20_000])
def test_no_folder_is_too_deep(tmp_path: Path, levels: int) -> None:
    top = tmp_path / "top"
    deep(top, levels)
    assert trees.size(str(top)) == 0
    assert trees.remove(str(top)) == trees.Removal(True)
    assert not top.exists()


def test_links_are_removed_and_never_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("x" * 100)
    top = tmp_path / "top"
    (top / "a/b").mkdir(parents=True)
    (top / "a/out").symlink_to(kept)
    (top / "a/b/up").symlink_to("..")
    (top / "dangling").symlink_to("nowhere")
    os.mkfifo(top / "pipe")
    assert trees.size(str(top)) < 100
    assert trees.remove(str(top)) == trees.Removal(True)
    assert (kept / "file").exists()
    top.symlink_to(kept)
    assert trees.remove(str(top)) == trees.Removal(True)
    assert (kept / "file").exists()
    assert trees.remove(str(top)) == trees.Removal(False)
    assert trees.remove(str(tmp_path / "no/where")) == trees.Removal(False)
    assert trees.size(str(top)) == 0


def test_names_that_are_no_text(tmp_path: Path) -> None:
    top = os.fsencode(tmp_path / "top")
    os.makedirs(top + b"/\xff\xfe/\n")
    Path(os.fsdecode(top + b"/\xff\xfe/\x1b[2J")).write_text("four")
    assert trees.size(os.fsdecode(top)) == 4
    assert trees.remove(os.fsdecode(top)) == trees.Removal(True)


@pytest.fixture
def swapping(tmp_path: Path) -> Iterator[Path]:
    """A tree in which another program keeps replacing folders by links and links by folders."""
    top, victim, ended = tmp_path / "top", tmp_path / "victim", threading.Event()
    (victim / "deep").mkdir(parents=True)
    for number in range(50):
        (victim / f"deep/{number}").write_text("")
    top.mkdir()
    for number in range(200):
        (top / f"d{number}/deep").mkdir(parents=True)

    def swap() -> None:
        while not ended.is_set():
            for number in range(200):
                path = top / f"d{number}"
                try:
                    path.rename(top / "aside")
                    path.symlink_to(victim)
                    path.unlink()
                    (top / "aside").rename(path)
                except OSError:
                    pass

    thread = threading.Thread(target=swap)
    thread.start()
    yield top
    ended.set()
    thread.join()


def test_a_folder_swapped_for_a_link_leads_nowhere(swapping: Path) -> None:
    for _ in range(20):
        trees.remove(str(swapping))
        trees.size(str(swapping))
    assert len(list((swapping.parent / "victim/deep").iterdir())) == 50


def test_who_moves_a_folder_out_loses_only_what_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top, elsewhere = tmp_path / "top", tmp_path / "elsewhere"
    (top / "a/b").mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("")
    enter = trees._Walk.enter

    def moved(walk: trees._Walk, name: str) -> None:
        enter(walk, name)
        if name == "b" and (top / "a").exists():
            (top / "a/b").rename(elsewhere / "b")

    monkeypatch.setattr(trees._Walk, "enter", moved)
    assert trees.remove(str(top)) == trees.Removal(True)
    assert not top.exists()
    assert (elsewhere / "precious").exists()


@root
def test_what_stays_is_named_and_the_rest_goes(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "a/b").mkdir(parents=True)
    (top / "c").mkdir()
    for name in ("a/b/kept", "a/gone", "c/gone"):
        (top / name).write_text("")
    if subprocess.run(["chattr", "+i", top / "a/b/kept"], capture_output=True, check=False).returncode:
        pytest.skip("this file system knows no immutable files")
    try:
        removal = trees.remove(str(top))
        assert removal.remains == [
            f"{top}/a/b/kept could not be removed: Operation not permitted; is it immutable (lsattr)?"
        ]
        assert [path.name for path in sorted(top.rglob("*"))] == ["a", "b", "kept"]
    finally:
        subprocess.run(["chattr", "-i", top / "a/b/kept"], check=True)
    assert trees.remove(str(top)) == trees.Removal(True)


@root
def test_a_mounted_file_system_stays(tmp_path: Path) -> None:
    """Also one that is a folder of the same file system, whose number is the same."""
    top, data = tmp_path / "top", tmp_path / "data"
    (top / "media").mkdir(parents=True)
    (top / "gone").write_text("")
    data.mkdir()
    (data / "file").write_text("x" * 50)
    if subprocess.run(["mount", "--bind", data, top / "media"], capture_output=True, check=False).returncode:
        pytest.skip("may not mount")
    try:
        assert trees.size(str(top)) == 0
        (line,) = trees.remove(str(top)).remains
        assert line == f"{top}/media could not be removed: a file system is mounted there; unmount it first"
        assert (data / "file").exists()
        assert not (top / "gone").exists()
    finally:
        subprocess.run(["umount", top / "media"], check=True)


def test_of_many_the_first_are_named(tmp_path: Path) -> None:
    messages = trees._messages({f"/x/{number}": "why" for number in range(5)})
    assert len(messages) == trees.NAMED + 1
    assert messages[-1] == "2 more could not be removed either"
    assert len(trees.shown("/a" * 5000)) <= trees.SHOWN + 1


def test_a_wide_folder_takes_no_time(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    for number in range(5000):
        (top / str(number)).touch()
    begun = time.monotonic()
    assert trees.remove(str(top)) == trees.Removal(True)
    assert time.monotonic() - begun < patience(5)


@root
def test_what_a_user_owns_is_removed_and_nothing_else(tmp_path: Path) -> None:
    top = tmp_path / "top"
    for folder in ("theirs/deep", "open/inner", "closed", "own/of-others"):
        (top / folder).mkdir(parents=True)
    for name in ("file", "theirs/deep/file", "open/inner/file", "open/kept", "closed/file", "own/of-others/file"):
        (top / name).write_text("")
    (top / "link").symlink_to(tmp_path)
    for name in ("file", "link", "theirs", "theirs/deep", "open/inner/file", "closed/file", "own"):
        os.chown(top / name, 5, 5, follow_symlinks=False)
    (top / "file").chmod(0o4755)
    (top / "closed").chmod(0o700)
    os.mkfifo(top / "pipe")
    assert trees.remove_of(5, str(top), 1000) == trees.Removal(True)
    left = sorted(str(path.relative_to(top)) for path in top.rglob("*"))
    assert left == ["closed", "closed/file", "open", "open/inner", "open/kept", "pipe"]
    assert trees.remove_of(5, str(tmp_path / "no/where"), 1000) == trees.Removal(False)


@root
def test_what_a_user_owns_is_looked_for_within_bounds_and_on_top_first(tmp_path: Path) -> None:
    top = tmp_path / "top"
    deep(top, 20_000)
    for number in range(200):
        (top / f"own-{number}").mkdir()
        os.chown(top / f"own-{number}", 5, 5)
    trees.remove_of(5, str(top), 201)
    assert os.listdir(top) == ["d"]
    trees.remove_of(5, str(top), 100_000)
    trees.remove(str(top))


@root
def test_a_folder_that_becomes_a_link_leads_the_search_nowhere(tmp_path: Path) -> None:
    """Another process moves a folder in and out, and puts a link to a folder of root in its place."""
    top, away, precious = tmp_path / "top", tmp_path / "away", tmp_path / "precious"
    (top / "d/e").mkdir(parents=True)
    (precious / "e").mkdir(parents=True)
    for number in range(50):
        (precious / f"e/{number}").write_text("")
        os.chown(precious / f"e/{number}", 5, 5)
    (top / "link").symlink_to(precious)
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            (top / "d").rename(away)
            (top / "link").rename(top / "d")
            (top / "d").rename(top / "link")
            away.rename(top / "d")

    accomplice = threading.Thread(target=swap)
    accomplice.start()
    try:
        end = time.monotonic() + 2
        while time.monotonic() < end:
            trees.remove_of(5, str(top), 1000)
    finally:
        over.set()
        accomplice.join()
    assert len(os.listdir(precious / "e")) == 50


@root
def test_where_not_all_was_looked_at_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = tmp_path / "top"
    top.mkdir()
    for number in range(5):
        (top / f"{number}").write_text("")
    assert trees.remove_of(5, str(top), 5).unseen == []
    assert trees.remove_of(5, str(top), 4).unseen == [f"{top} has more than 4 entries"]

    def moved(walk: trees._Walk) -> str:
        raise trees.Moved

    (top / "theirs").mkdir()
    os.chown(top / "theirs", 6, 6)
    monkeypatch.setattr(trees._Walk, "leave", moved)
    assert trees.remove_of(5, str(top), 100).unseen == [f"{top}: folders in it are moved all the time"]
    assert trees.remove_of(5, str(tmp_path / "no/where"), 5).unseen == []
