"""Locks that are waited for with a deadline, and that name who has them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.base import locks
from ansible_collections.slipway.kit.plugins.module_utils.host.system import lock
from ansible_collections.slipway.kit.plugins.module_utils.sources.cache import Cache
from ansible_collections.slipway.kit.plugins.module_utils.sources.errors import SourceError

from tests.patience import patience

ME = pwd.getpwuid(os.getuid()).pw_name


@contextlib.contextmanager
def holder(path: Path, user: str | None = None, name: str = "a-backup") -> Iterator[int]:
    """Another process that has the lock, as any process that can read the file may."""
    code = (
        "import fcntl, sys, time\n"
        f"handle = open({str(path)!r})\n"
        "fcntl.flock(handle, fcntl.LOCK_SH)\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    with path.open() as handle:
        child = subprocess.Popen(
            ["/usr/bin/python3", "-c", code.replace(repr(str(path)), "0"), name],
            stdin=handle, stdout=subprocess.PIPE, text=True, user=user,
        )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    try:
        yield child.pid
    finally:
        child.kill()
        child.wait()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "lock"
    path.touch(0o644)
    return path


def test_a_lock_is_its_owner_s_alone(path: Path) -> None:
    with locks.hold(str(path)) as descriptor:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert os.path.samestat(os.fstat(descriptor), path.stat())
        assert locks.is_held(str(path))
    assert not locks.is_held(str(path))
    link = path.with_name("link")
    link.symlink_to(path)
    with pytest.raises(OSError, match="symbolic"), locks.hold(str(link)):
        pass


def test_a_holder_that_never_ends_is_named_after_a_while(path: Path) -> None:
    with holder(path) as pid:
        begun = time.monotonic()
        with pytest.raises(locks.Held) as caught, locks.hold(str(path), patience=0.5):
            pass
        assert 0.5 <= time.monotonic() - begun < patience(3)
        text = str(caught.value)
        assert text.startswith(f"{path} is locked by process {pid} of {ME} (/usr/bin/python3 -c import fcntl")
        assert "\n" not in text
        assert "end that, or wait for it, and try again" in text
    with locks.hold(str(path), patience=0.5):
        pass


def test_who_inherited_the_lock_is_named(path: Path) -> None:
    with path.open() as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        child = subprocess.Popen(["sleep", "60"], pass_fds=[handle.fileno()])
    try:
        with pytest.raises(locks.Held, match=rf"process {child.pid} of \S+ \(sleep 60\)"), locks.hold(str(path), 0.1):
            pass
    finally:
        child.kill()
        child.wait()


def test_a_step_at_work_is_given_longer(path: Path) -> None:
    with holder(path, name="/var/lib/slipway/modules/0123/run.py"):
        begun = time.monotonic()
        with pytest.raises(locks.Held), locks.hold(str(path), patience=0.2, step=1.5):
            pass
        assert time.monotonic() - begun >= 1.5


def test_a_new_holder_is_news(path: Path) -> None:
    def one_after_the_other() -> None:
        for _ in range(3):
            with holder(path):
                began.set()
                time.sleep(1)

    began = threading.Event()
    thread = threading.Thread(target=one_after_the_other)
    thread.start()
    began.wait(10)
    begun = time.monotonic()
    with contextlib.suppress(locks.Held), locks.hold(str(path), patience=1.6):
        assert time.monotonic() - begun < patience(5)
    thread.join()


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
def test_a_process_of_another_user_keeps_nobody_out(path: Path) -> None:
    """It opened the file when that was open to all."""
    with holder(path, "news") as pid:
        assert not locks.is_held(str(path))
        begun = time.monotonic()
        with locks.hold(str(path)), path.open() as handle:
            assert time.monotonic() - begun < patience(5)
            assert locks.holders(handle.fileno()) == [], "our own is left out"
            assert locks.is_held(str(path))
        os.kill(pid, 0)


def test_the_folder_of_the_state_is_closed_where_it_was_open(tmp_path: Path) -> None:
    state = tmp_path / "slipway"
    state.mkdir(0o755)
    state.chmod(0o755)
    with lock.alone(str(state / "work")):
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        assert stat.S_IMODE((state / "work").stat().st_mode) == 0o600


def test_a_run_on_the_controller_names_the_other_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "STEP", 0.3)
    cache = Cache(tmp_path, None)
    with cache.lock("git-x"):
        pass
    path = tmp_path / "locks/git-x.lock"
    with (
        holder(path) as pid,
        pytest.raises(SourceError, match=f"Another run fetches the same source: {path} is locked by process {pid} "),
        cache.lock("git-x"),
    ):
        pass
