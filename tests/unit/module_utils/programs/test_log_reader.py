"""What an instance writes into its pipe is in its log, whichever process ends in between."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.patience import patience

READER = Path(__file__).parents[4] / "plugins/module_utils/programs/log_reader.py"


LIMITS = re.compile(r"^SIZE, KEPT = (\d+) \* 1024 \* 1024, (\d+)$", re.MULTILINE)


def limited(values: str) -> str:
    """The reader with other limits."""
    text, count = LIMITS.subn(f"SIZE, KEPT = {values}", READER.read_text())
    assert count == 1
    return text


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + patience(10)
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@contextmanager
def reader(folder: Path, log: Path, program: Path = READER) -> Iterator[subprocess.Popen[str]]:
    """A reader that has reported that it is ready."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as notified:
        (folder / "notify").unlink(missing_ok=True)
        notified.bind(str(folder / "notify"))
        notified.settimeout(10)
        process = subprocess.Popen(
            ["/usr/bin/python3", "-I", "-S", program, folder / "pipe", log],
            env={"NOTIFY_SOCKET": str(folder / "notify")},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert notified.recv(99) == b"READY=1"
            yield process
        finally:
            process.kill()
            process.wait()
            assert process.stdout
            process.stdout.close()


@contextmanager
def writer(folder: Path) -> Iterator[int]:
    """The instance's end, as the launcher opens it."""
    descriptor = os.open(folder / "pipe", os.O_RDWR | os.O_APPEND)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    assert process.wait(timeout=patience(10)) == 0


def test_all_is_there_when_it_has_ended(tmp_path: Path) -> None:
    log = tmp_path / "shop.log"
    log.write_text("before\n")
    lines = [f"line {number} {'x' * 200}\n" for number in range(20_000)]
    with reader(tmp_path, log) as process, writer(tmp_path) as pipe:
        for line in lines:
            os.write(pipe, line.encode())
        end(process)
    assert log.read_text() == "before\n" + "".join(lines)
    assert stat.S_IMODE((tmp_path / "pipe").stat().st_mode) == 0o660


def test_a_killed_reader_loses_nothing_that_it_has_not_read(tmp_path: Path) -> None:
    log = tmp_path / "shop.log"
    with reader(tmp_path, log) as first, writer(tmp_path) as pipe:
        os.write(pipe, b"one\n")
        until(lambda: log.read_bytes() == b"one\n")
        first.kill()
        first.wait()
        os.write(pipe, b"two\n")  # neither an error nor a signal
        with reader(tmp_path, log) as second:
            os.write(pipe, b"three\n")
            end(second)
    assert log.read_bytes() == b"one\ntwo\nthree\n"


def test_a_moved_log_is_left_with_all_that_went_into_it(tmp_path: Path) -> None:
    log, moved = tmp_path / "shop.log", tmp_path / "shop.log.1"
    lines = [f"line {number}\n".encode() for number in range(5000)]
    with reader(tmp_path, log) as process, writer(tmp_path) as pipe:
        for number, line in enumerate(lines):
            os.write(pipe, line)
            if number == 2500:
                log.rename(moved)
                process.send_signal(signal.SIGHUP)
        until(log.exists)
        os.write(pipe, b"the last one\n")
        end(process)
    assert moved.read_bytes() + log.read_bytes() == b"".join(lines) + b"the last one\n"
    assert log.read_bytes().endswith(b"the last one\n")


def test_a_log_takes_no_more_than_500_mb_under_both_managers() -> None:
    """With all that logrotate keeps, even when nothing of it can be compressed."""
    templates = READER.parents[3] / "templates"
    limits = LIMITS.search(READER.read_text())
    assert limits
    program = (templates / "supervisor/program.conf.j2").read_text()
    assert f"stdout_logfile_maxbytes={limits[1]}MB\nstdout_logfile_backups={limits[2]}\n" in program
    days = re.search(r"^ +rotate (\d+)$", (templates / "logrotate/slipway.j2").read_text(), re.MULTILINE)
    assert days
    assert int(limits[1]) * (1 + int(limits[2]) + int(days[1])) <= 500


def test_a_log_that_grows_fast_fills_no_disk(tmp_path: Path) -> None:
    log, small = tmp_path / "shop.log", tmp_path / "log.py"
    small.write_text(limited("200_000, 3"))
    lines = [f"line {number:90}\n".encode() for number in range(20_000)]
    with reader(tmp_path, log, small) as process, writer(tmp_path) as pipe:
        for line in lines:
            os.write(pipe, line)
        end(process)
        assert process.stdout
        output = process.stdout.read()
    parts = [tmp_path / f"shop.log.{number}" for number in (3, 2, 1)]
    assert sorted(path.name for path in tmp_path.glob("shop.log*")) == [
        "shop.log",
        *sorted(path.name for path in parts),
    ]
    kept = b"".join(path.read_bytes() for path in (*parts, log))
    assert all(path.stat().st_size < 200_000 + 65536 for path in (*parts, log))
    assert len(kept) > 600_000 and b"".join(lines).endswith(kept), "the newest, without a gap"
    assert output.count("grows fast") == 1 and " bytes of its oldest lines are dropped" in output


def test_a_log_that_logrotate_has_just_moved_is_not_moved_again(tmp_path: Path) -> None:
    log, small = tmp_path / "shop.log", tmp_path / "log.py"
    small.write_text(limited("10, 3"))
    with reader(tmp_path, log, small) as process, writer(tmp_path) as pipe:
        os.write(pipe, b"a long first line\n")
        until(lambda: log.stat().st_size > 10)
        log.rename(tmp_path / "shop.log.1")
        log.touch()
        os.write(pipe, b"second\n")
        end(process)
    assert (tmp_path / "shop.log.1").read_bytes() == b"a long first line\n"
    assert log.read_bytes() == b"second\n" and not (tmp_path / "shop.log.2").exists()


def test_a_full_disk_costs_lines_and_holds_nobody_up(tmp_path: Path) -> None:
    with reader(tmp_path, Path("/dev/full")) as process, writer(tmp_path) as pipe:
        for _ in range(1000):
            os.write(pipe, b"x" * 1000)
        end(process)
        assert process.stdout
        output = process.stdout.read().splitlines()
    assert output == ["cannot write /dev/full: No space left on device; lines are lost until it can be written"]


def test_a_log_that_comes_back_is_written_again(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "shop.log"
    with reader(tmp_path, log) as process, writer(tmp_path) as pipe:
        os.write(pipe, b"12345")
        time.sleep(0.2)
        log.parent.mkdir()
        os.write(pipe, b"there\n")
        end(process)
        assert process.stdout
        output = process.stdout.read()
    assert log.read_bytes() == b"there\n"
    assert "can be written again; 5 bytes are lost" in output


@pytest.mark.parametrize("kind", ["link", "file"])
def test_it_follows_no_link_and_takes_only_a_pipe(tmp_path: Path, kind: str) -> None:
    log, target = tmp_path / "shop.log", tmp_path / "target"
    target.write_text("precious")
    if kind == "link":
        log.symlink_to(target)
    (tmp_path / "pipe").symlink_to(target) if kind == "link" else (tmp_path / "pipe").write_text("no pipe")
    with reader(tmp_path, log) as process, writer(tmp_path) as pipe:
        os.write(pipe, b"words\n")
        end(process)
    assert target.read_text() == "precious"
    assert stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode)


def test_what_has_the_pipe_cannot_cut_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with reader(tmp_path, log):
        pipe = os.open(tmp_path / "pipe", os.O_WRONLY)
        os.write(pipe, b"one\n")
        with pytest.raises(OSError, match="Invalid argument"):
            os.ftruncate(pipe, 0)
        with pytest.raises(OSError, match="Illegal seek"):
            os.lseek(pipe, 0, os.SEEK_SET)
        os.write(pipe, b"two\n")
        os.close(pipe)
        until(lambda: log.read_bytes() == b"one\ntwo\n")
