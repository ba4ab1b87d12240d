"""Messages about file systems that are full or cannot be written."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host import report
from ansible_collections.slipway.kit.plugins.module_utils.host.base import space
from ansible_collections.slipway.kit.plugins.module_utils.host.base.outcome import Failed, Failure

FULL = os.strerror(errno.ENOSPC)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4M,nr_inodes=1000", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("may not mount")
    yield place
    subprocess.run(["umount", place], check=True)


def failing(work: Any) -> str:
    with pytest.raises(OSError) as caught:
        work()
    return space.explained(str(caught.value))


def test_a_full_disk_is_named(disk: Path) -> None:
    (disk / "big").write_bytes(b"x" * 1024)
    with (disk / "big").open("wb") as handle:
        with pytest.raises(OSError):
            handle.write(b"x" * 5 * 1024**2)
        text = space.explained(f"[Errno 28] {FULL}: '{disk}/a/b'")
        assert text == (
            f"{FULL}: {disk}/a/b cannot be written: {disk} is full (4 MiB); free some space there, and try again"
        )
        handle.truncate(0)
    text = space.explained(f"shop v1: [Errno 28] {FULL}: '{disk}/a' -> '{disk}/b'")
    assert text.startswith(f"shop v1: {FULL}: {disk}/a cannot be written: {disk} was full (4 MiB, of which ")


def test_a_disk_without_inodes_is_named(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,nr_inodes=10", disk], check=True)

    def many() -> None:
        for number in range(20):
            (disk / str(number)).touch()

    assert f"{disk} has 0 of its 10 inodes left; remove files there" in failing(many)


def test_a_disk_that_is_read_only_is_named(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    text = failing((disk / "x").touch)
    assert text.startswith(
        f"Read-only file system: {disk}/x cannot be written: {disk} is mounted read-only; find out why"
    )
    assert "\n" not in text


def test_what_programs_say_is_completed(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "PLACES", (str(disk),))
    (disk / "big").write_bytes(b"x" * (4 * 1024**2 - 4096))
    text = space.explained(f"uv failed: {FULL} (os error 28).")
    assert text == f"uv failed: {FULL} (os error 28): {disk} is full (4 MiB); free some space there, and try again"
    assert disk.name in space.explained("it did not start", ["one", f"mkdir: {FULL}"])


@pytest.mark.parametrize("text", ["", "it hung", "the disk of the visitors is full"])
def test_other_messages_stay(text: str) -> None:
    assert space.explained(text, ["a line"]) == text


def test_too_many_open_files() -> None:
    assert "raise the limit of open files" in space.explained("[Errno 24] Too many open files: '/srv/x'")
    assert "raise the limit of open files" in space.explained("nginx: accept() failed (24: Too many open files)")


class Module:
    check_mode = True

    def fail_json(self, **result: Any) -> NoReturn:
        raise SystemExit(result["msg"])


def test_every_module_answers_so() -> None:
    def full() -> NoReturn:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "/proc/x")

    def failed() -> NoReturn:
        raise Failed([Failure("shop", "v1", f"[Errno 30] {os.strerror(errno.EROFS)}: '/proc/x'", log=["line"])])

    for work in (full, failed):
        with pytest.raises(SystemExit, match="/proc/x cannot be written: /proc is mounted read-only"):
            report.answer(Module(), work)


def test_an_error_that_names_no_path_is_of_the_place_where_one_worked(disk: Path) -> None:
    text = space.explained(f"shop was not built: [Errno 28] {FULL}", near=str(disk / "releases"))
    assert f"{disk} was full (4 MiB, of which 4 MiB are free again)" in text


def test_a_full_host_is_no_release_s_fault() -> None:
    assert space.at_fault("it did not start", ["one", f"bind: {FULL}"])
    assert not space.at_fault("it did not start", ["ModuleNotFoundError: No module named 'x'"])
