"""What `slipway-run` refuses in one sentence."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.errors import HostError
from ansible_collections.slipway.kit.plugins.module_utils.host.run import terminal


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "slipway-run"),
        (["shop"], "slipway-run"),
        (["", "ls"], "'' is no app's name"),
        (["shop", ""], "the command is empty"),
        (["shop", " ", "x"], "the command is empty"),
    ],
)
def test_an_empty_word_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(HostError, match=message):
        terminal.run(arguments, "dumb", "root")
