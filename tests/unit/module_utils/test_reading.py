"""Files of an inventory are read without waiting, and only regular ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import placed, reading
from ansible_collections.slipway.kit.plugins.module_utils.model.types import Placed


def test_a_pipe_a_device_and_a_folder_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for path in (tmp_path / "pipe", tmp_path / "link", tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match=r"it is no regular file|Is a directory"):
            reading.data(path, 10)


def test_a_link_is_followed_and_a_large_file_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x" * 1024)
    (tmp_path / "link").symlink_to("file")
    assert reading.text(tmp_path / "link", 1024) == "x" * 1024
    assert reading.data(tmp_path / "link", 10) == b"x" * 11
    with pytest.raises(OSError, match="it has more than 0 KiB"):
        reading.text(tmp_path / "link", 1000)


def test_a_template_that_is_a_pipe_holds_no_run(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.conf.j2")
    one = Placed("x.conf", "x.conf", "x.conf.j2")
    assert placed.needs_no_host({"inventory_dir": str(tmp_path)}, one)
