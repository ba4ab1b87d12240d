"""What a one-off command's end is called."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.action import command

END = {"milliseconds": 2040, "error": "", "timed_out": False, "status": 0}


@pytest.mark.parametrize(
    ("end", "limit", "words"),
    [
        ({}, "1h", "the command ended after 2.0 s with exit status 0"),
        ({"status": 137}, "1h", "the command ended after 2.0 s with exit status 137: signal 9"),
        ({"error": "no such file"}, "1h", "the command could not be run: no such file"),
        ({"timed_out": True}, "2", "killed after 2.0 s, since its time limit of 2 s was over"),
        ({"timed_out": True}, "10m", "since its time limit of 10m was over; give it more with -e time_limit=…"),
    ],
)
def test_how_a_command_ended(end: dict[str, object], limit: str, words: str) -> None:
    assert words in command.outcome({**END, **end}, limit)


class HostVars(dict[str, Any]):
    """As Ansible's: an item is rendered, and `raw_get` returns what was written."""

    def raw_get(self, host: str) -> dict[str, Any]:
        return {"apps": "{{ all_apps }}"} if host in self else {}


def test_an_app_in_a_template_is_found_on_its_hosts() -> None:
    hostvars = HostVars(one={"apps": {"shop": {}}}, two={"apps": {"blog": {}}}, three={})
    variables = {"hostvars": hostvars, "ansible_play_hosts_all": ["one", "two", "three"]}
    assert command.having("shop", variables) == ["one"]
    assert command.having("all_apps", variables) == []
