"""The output of a one-off command, as its watcher keeps it for the controller."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.names import RELEASE
from ansible_collections.slipway.kit.plugins.module_utils.host.base.processes import COMMAND
from ansible_collections.slipway.kit.plugins.module_utils.host.process.running import CUT
from ansible_collections.slipway.kit.plugins.module_utils.host.run import commands


def test_only_whole_lines_are_given_until_the_end() -> None:
    output = commands.Output()
    output.add(b"one\r\ntw")
    assert output.take(0, ended=False) == (0, b"one\n")
    assert output.take(0, ended=False) == (0, b"one\n")  # an answer that was lost is given again
    assert output.take(4, ended=False) == (4, b"")
    output.add(b"o")
    output.close()
    assert output.take(4, ended=True) == (4, b"two\n") and output.left() == 4


def test_a_line_without_end_is_cut() -> None:
    output = commands.Output()
    for _ in range(40):
        output.add(b"x" * 10_000)
    output.add(b"\nnext\n")
    _, data = output.take(0, ended=False)
    assert data == b"x" * commands.LONGEST + b"\n[334464 bytes are left out here]\nnext\n"


def test_a_command_waits_for_its_reader_and_not_for_one_that_is_gone() -> None:
    output = commands.Output()
    line = b"x" * 999 + b"\n"
    while not output.full():
        output.add(line * 100)
    assert output.left() >= commands.LIMIT
    output.asked -= commands.GONE + 1
    assert not output.full()
    output.add(line * 100)
    begin, data = output.take(0, ended=False)
    assert output.left() <= commands.LIMIT and begin > 0 and data.startswith(line)


def test_the_unit_of_a_command_is_no_release_and_is_known_by_its_control_group() -> None:
    token = "0123456789ab"
    assert commands.TOKEN.fullmatch(token) and not RELEASE.fullmatch(f"run-{token}")
    assert COMMAND.search(f"0::/system.slice/slipway-shop-run-{token}.service\n".encode())
    assert not COMMAND.search(b"0::/system.slice/slipway-shop-v1-0123abcd.service\n")


@pytest.mark.parametrize("inside", range(1, len(CUT.format(1))))
def test_a_piece_does_not_end_where_a_line_was_cut(inside: int) -> None:
    output = commands.Output()
    output.add(b"y" * 79 + b"\n")
    before = commands.CHUNK - commands.LONGEST - inside
    output.add((b"\n" * (before - 80)) + b"x" * commands.LONGEST + b"z\nnext\n")
    _, data = output.take(0, ended=False)
    assert data == b"y" * 79 + b"\n" * (before - 79)
    _, data = output.take(len(data), ended=False)
    assert data == b"x" * commands.LONGEST + CUT.format(1).encode() + b"next\n"
