"""The values of variables that are given with `-e`."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.model import run_variables

SHELL = """use -e '{"command": ["sh", "-c", "…"]}'; to pass it unchanged"""


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("echo $HOME && id", SHELL),
        ('[sh, -c, "echo $HOME"]', """is a list in a text: write -e '{"command": ["…", "…"]}'"""),
        ('["flask", "db"]', "is a list in a text: "),
        ("A=1 flask db", """use -e '{"command": ["env", "A=1", "…"]}'"""),
    ],
)
def test_a_command_s_fault_says_how_to_give_a_list(command: str, words: str) -> None:
    [(name, message)] = run_variables.faults({"command": command})
    assert name == "command" and words in message and "[sh, -c" not in message, message


@pytest.mark.parametrize("command", ["flask db current", "[ -f x ]", ["sh", "-c", "echo $HOME && id"]])
def test_a_command_can_be_given(command: str | list[str]) -> None:
    assert not list(run_variables.faults({"command": command}))
