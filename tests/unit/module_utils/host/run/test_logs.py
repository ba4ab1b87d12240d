"""What a deploy repeats of an instance's log."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ansible_collections.slipway.kit.plugins.module_utils.host.run import logs


def test_a_secret_at_the_end_of_a_long_remark_is_masked(tmp_path: Path) -> None:
    """An app may write such a line itself, and so chooses where it is cut."""
    secret = "hunter2-hunter2-hunter2"
    begin = "x" * (logs.REMARK_LENGTH - 10)
    (tmp_path / "log").write_text(f"[WARNING] slipway: {begin}{secret}\n")
    program: Any = SimpleNamespace(log=str(tmp_path / "log"))
    assert logs.remarks(program, 0, lambda text: text.replace(secret, "$KEY")) == [f"{begin}$KEY"]
