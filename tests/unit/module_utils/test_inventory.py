"""The host that `render` assumes without any facts, and the entries of all hosts."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.slipway.kit.plugins.module_utils import inventory
from ansible_collections.slipway.kit.plugins.module_utils.model import managers, settings


@pytest.mark.parametrize("name", managers.PROCESS_MANAGERS)
def test_the_assumed_host_can_have_every_process_manager(name: str) -> None:
    variables = {"process_manager": name}
    assert settings.settings(variables, inventory.assumed(variables)).process_manager == name


def test_without_a_process_manager_systemd_is_assumed() -> None:
    for variables in ({}, {"process_manager": managers.AUTO}, {"process_manager": "systemdd"}):
        assert inventory.assumed(variables).init == managers.SYSTEMD_INIT


def test_the_assumed_host_of_supervisor_has_no_systemd() -> None:
    assert inventory.assumed({"process_manager": "supervisor"}).init == managers.SYSVINIT


class HostVars(dict[str, Any]):
    """As Ansible's: `raw_get` returns what was written."""

    def raw_get(self, host: str) -> dict[str, Any]:
        variables: dict[str, Any] = self[host]
        return variables


def keys(variables: dict[str, Any], *wanted: str) -> dict[str, dict[str, Any]]:
    templar = Templar(loader=DataLoader(), variables={"here": "another host's"})
    return inventory.keys(templar, HostVars(web1=variables), "web1", wanted)


def test_what_all_hosts_must_know_of_each_other_s_apps() -> None:
    apps = {"shop": {"together": trust_as_template("{{ here }}"), "workers": 3}, "blog": {}}
    assert keys({"here": "all", "apps": apps}, "together", "state") == {"shop": {"together": "all"}, "blog": {}}
    assert keys({}) == {}


def test_one_template_may_have_all_apps_or_one() -> None:
    written = {"all_apps": {"shop": {"state": "absent"}}, "apps": trust_as_template("{{ all_apps }}")}
    assert keys(written, "state") == {"shop": {"state": "absent"}}
    written = {"one": {"state": "absent"}, "apps": {"shop": trust_as_template("{{ one }}")}}
    assert keys(written, "state") == {"shop": {"state": "absent"}}


def test_an_entry_that_the_run_leaves_out_is_not_looked_at() -> None:
    facts = {inventory.LEFT_OUT: ["blog"]}
    apps = {"shop": {}, "blog": trust_as_template("{{ nowhere }}")}
    assert keys({"apps": apps, "ansible_facts": facts}, "state") == {"shop": {}}
