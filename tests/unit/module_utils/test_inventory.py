"""The host that is assumed before any host was asked."""

from __future__ import annotations

import pytest
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
