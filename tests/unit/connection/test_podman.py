"""The connection checks that the process it remembers is still the container's first one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tracemalloc
from pathlib import Path

import pytest
from ansible.errors import AnsibleError
from ansible_collections.slipway.kit.plugins.connection.podman import MOST, Init
from ansible_collections.slipway.kit.plugins.connection.podman import _limited as limited


def test_a_process_is_recognised_as_long_as_it_lives() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        init = Init.of(process.pid)
        assert init is not None
        assert init.alive()
        process.kill()
    assert not init.alive()
    assert Init.of(process.pid) is None


def test_a_process_that_has_ended_is_not_entered_before_its_parent_has_seen_it() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie until the block ends
        assert Path(f"/proc/{process.pid}").exists()
        assert Init.of(process.pid) is None


def test_another_process_of_the_same_number_is_not_taken_for_it() -> None:
    here = Init.of(os.getpid())
    assert here is not None
    assert not Init(os.getpid(), str(int(here.started) - 1)).alive()


def test_a_name_with_parentheses_does_not_confuse_it(tmp_path: Path) -> None:
    odd = tmp_path / "a) R (b"
    shutil.copy("/bin/sleep", odd)
    with subprocess.Popen(["sleep", "60"]) as plain, subprocess.Popen([odd, "60"]) as process:
        try:
            one, other = Init.of(plain.pid), Init.of(process.pid)
            assert one is not None
            assert other is not None
            assert 0 <= int(other.started) - int(one.started) < 1000  # clock ticks: ten seconds
        finally:
            plain.kill()
            process.kill()


def test_control_groups_are_files_to_join() -> None:
    init = Init.of(os.getpid())
    assert init is not None
    assert all(path.endswith("/cgroup.procs") and os.path.isfile(path) for path in init.control_groups())


def test_a_process_is_fed_and_read_at_the_same_time() -> None:
    data = os.urandom(3 << 20)
    result = limited(["sh", "-c", "cat; echo end >&2; exit 3"], None, data, None, subprocess.PIPE)
    assert (result.returncode, result.stdout, result.stderr) == (3, data, b"end\n")
    assert limited(["true"], None, data, None, subprocess.PIPE).returncode == 0  # it reads nothing


@pytest.mark.parametrize("stream", ["", ">&2"])
def test_a_container_that_says_too_much_is_not_listened_to(stream: str) -> None:
    tracemalloc.start()
    with pytest.raises(AnsibleError, match="wrote more than 64 MiB"):
        limited(["sh", "-c", f"exec head -c 1G /dev/zero {stream}"], None, b"", None, subprocess.PIPE)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 3 * MOST
