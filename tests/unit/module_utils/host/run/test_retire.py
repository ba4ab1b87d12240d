"""Retiring: what a host assumes of an instance whose release is gone."""

from __future__ import annotations

from ansible_collections.slipway.kit.plugins.module_utils.host.run import retire
from ansible_collections.slipway.kit.plugins.module_utils.model import timeouts


def test_a_lost_instance_gets_the_defaults_of_the_model() -> None:
    """The host's side cannot import the model, so the numbers are written there a second time."""
    defaults = timeouts.derive({})
    assert {name: getattr(defaults, name) for name in vars(retire.LOST)} == vars(retire.LOST)
    assert defaults.stop == retire.LOST_STOP
