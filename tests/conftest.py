"""Imports the kit's code as Ansible does, so that its templates find its filters in tests too."""

from __future__ import annotations

from pathlib import Path

from ansible.plugins.loader import init_plugin_loader
from hypothesis import HealthCheck, settings

init_plugin_loader([str(Path(__file__).parents[1] / "collections")])

# The speed of an example depends on the machine, which is shared and slow, and not on the code.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")
