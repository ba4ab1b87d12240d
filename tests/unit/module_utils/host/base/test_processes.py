"""Ending all processes of a user, also those that resist."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.errors import HostError
from ansible_collections.slipway.kit.plugins.module_utils.host.base import processes

from tests.patience import patience

USER = "games"
"""A user of every Debian that has no processes."""

pytestmark = [pytest.mark.real, pytest.mark.skipif(os.getuid() != 0, reason="starts processes of another user")]


@pytest.fixture(autouse=True, scope="module")
def alone() -> Iterator[None]:
    """Other test runs on this machine use the same user: only one at a time."""
    with open("/run/lock/slipway-tests", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
        processes.end_everything(USER)


@contextlib.contextmanager
def running(code: str) -> Iterator[subprocess.Popen[str]]:
    """Some Python that runs as USER and prints `ready` in one write, since its child may print it at the same time."""
    child = subprocess.Popen(["/usr/bin/python3", "-c", code], user=USER, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield child
    finally:
        child.kill()
        child.wait(10)


def eventually(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + patience(5)
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def left() -> list[int]:
    return processes._of(pwd.getpwnam(USER).pw_uid)[0]


def test_daemons_and_what_ignores_signals_end() -> None:
    code = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork(): os._exit(0)\n"
        "os.write(1, b'ready\\n')\n"
        "time.sleep(60)\n"
    )
    with running(code):
        assert len(left()) >= 1
        processes.end_everything(USER)
        assert left() == []


def test_what_forks_for_ever_ends() -> None:
    code = (
        "import os, time\n"
        "os.write(1, b'ready\\n')\n"
        "end = time.monotonic() + 20\n"  # if the test fails
        "while time.monotonic() < end:\n"
        "    if os.fork(): os._exit(0)\n"
        "    os.setsid()\n"
    )
    with running(code):
        processes.end_everything(USER)
        time.sleep(0.2)
        assert left() == []


def test_what_does_not_end_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_kill_as", lambda uid: None)
    message = f"1 process of {USER} did not end within 0 s: "
    with (
        running("import os, time\nos.write(1, b'ready\\n')\ntime.sleep(60)\n") as child,
        pytest.raises(HostError, match=f"{message}{child.pid} .*python"),
    ):
        processes.end_everything(USER, deadline=0.1)


def test_nobody_and_root() -> None:
    processes.end_everything("no-such-user")
    with pytest.raises(HostError, match="not an app's"):
        processes.end_everything("root")


def test_a_terminal_sees_no_control_character() -> None:
    with subprocess.Popen(["/bin/sh", "-c", "sleep 60; exit", "x\033[2Jy\n"]) as child:
        try:
            time.sleep(0.1)
            assert processes.command(child.pid).endswith("x?[2Jy")
            assert processes.owner(child.pid) == "root"
        finally:
            os.kill(child.pid, signal.SIGKILL)


PROGRAM = (
    "import os, time\n"
    "os.setsid()\n"
    "if os.fork() == 0: time.sleep(60)\n"  # a worker
    "os.write(1, b'ready\\n')\n"
    "time.sleep(60)\n"
)
DAEMON = (
    "import os, signal, time\n"
    "if os.fork(): os._exit(0)\n"
    "os.setsid()\n"
    "if os.fork(): os._exit(0)\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "os.write(1, b'ready\\n')\n"
    "time.sleep(60)\n"
)


def test_a_daemon_of_an_earlier_instance_ends_and_the_current_one_goes_on() -> None:
    with running(PROGRAM) as program, running(DAEMON):
        eventually(lambda: len(left()) == 3)  # the daemon's parents are ending
        asked = iter([[], [program.pid]])  # it was just being restarted
        processes.end_orphans(USER, lambda: next(asked, [program.pid]))
        assert program.pid in left() and len(left()) == 2
        processes.end_everything(USER)


def test_what_forks_for_ever_ends_beside_the_current_instance() -> None:
    forks = (
        "import os, time\n"
        "os.setsid()\n"
        "os.write(1, b'ready\\n')\n"
        "end = time.monotonic() + 20\n"
        "while time.monotonic() < end:\n"
        "    if os.fork(): os._exit(0)\n"
        "    time.sleep(0.01)\n"
    )
    with running(PROGRAM) as program, running(forks):
        processes.end_orphans(USER, lambda: [program.pid])
        time.sleep(0.3)
        assert program.pid in left() and len(left()) == 2
        processes.end_everything(USER)


def test_while_the_program_is_away_nothing_of_it_is_taken_for_a_stranger() -> None:
    with running(PROGRAM):
        processes.end_orphans(USER, lambda: [], 0.3)
        assert len(left()) == 2
        processes.end_everything(USER)
