"""How a process ended, in words."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.base.ending import ending


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (1, "status 1"),
        (-15, "signal SIGTERM"),
        (137, "status 137 (SIGKILL)"),
        (128, "status 128"),
        (255, "status 255"),
        (-99, "status -99"),
    ],
)
def test_a_signal_has_its_name(status: int, words: str) -> None:
    assert ending(status) == words
