"""A command in `-e`: Ansible splits it at its spaces, and the kit reads it whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible import context
from ansible.module_utils.common.collections import ImmutableDict
from ansible.parsing.dataloader import DataLoader
from ansible_collections.slipway.kit.plugins.module_utils import given
from ansible_collections.slipway.kit.plugins.module_utils.model import run_variables

Give = Callable[..., dict[str, Any]]


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch) -> Give:
    def with_options(*options: str) -> dict[str, Any]:
        monkeypatch.setattr(context, "CLIARGS", ImmutableDict(extra_vars=options))
        from ansible.utils import vars as ansible_vars

        monkeypatch.delattr(ansible_vars.load_extra_vars, "extra_vars", raising=False)
        return given.variables(DataLoader())

    return with_options


@pytest.mark.parametrize(
    ("options", "command"),
    [
        (("command=flask db current",), "flask db current"),
        (("command=python manage.py x --level=3 'a b'",), "python manage.py x --level=3 'a b'"),
        (("command='flask db current'",), "flask db current"),
        (("app=shop command='flask db'",), "flask db"),
        (('{"command": ["flask", "db"]}',), ["flask", "db"]),
    ],
)
def test_the_command_is_whole(give: Give, options: tuple[str, ...], command: Any) -> None:
    values = give(*options)
    assert values["command"] == command and "--level" not in values and "_raw_params" not in values


def test_a_variable_in_a_command_is_noticed(give: Give) -> None:
    give("app=shop", "command=python x.py app=other")
    assert [*given.swallowed(run_variables.BY_NAME)] == [("command", "app=other")]
    give("app=shop", "command=python x.py colour=red")
    assert not [*given.swallowed(run_variables.BY_NAME)]
    assert give("grep=two words")["grep"] == "two words"


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86400)])
def test_durations(text: str, seconds: int) -> None:
    assert run_variables.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-1s", "1.5h", "10 m", "1w", "9" * 30])
def test_what_is_no_duration(text: str) -> None:
    assert run_variables.seconds(text) is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "app is missing: -e app=shop"),
        ({"app": "shop", "time_limit": "0s"}, "time_limit must be a duration up to 1d"),
        ({"app": "shop", "time_limit": "2d"}, "time_limit must be a duration up to 1d"),
        ({"app": "shop", "command": ["a b", "c d"]}, "command must be one command"),
        ({"app": "shop", "command": 7}, "command must be a command and its arguments"),
        ({"app": "shop", "grep": "("}, "grep is no regular expression"),
    ],
)
def test_wrong_values(values: dict[str, Any], words: str) -> None:
    assert any(words in f"{name} {message}" for name, message in run_variables.faults(values, ["app"]))
