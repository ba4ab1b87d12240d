"""The kit's code is imported as Ansible does it, so that its templates find its filters in tests too."""

from __future__ import annotations

from pathlib import Path

from ansible.plugins.loader import init_plugin_loader
from hypothesis import HealthCheck, settings

init_plugin_loader([str(Path(__file__).parents[1] / "collections")])

# How fast an example runs says something about the machine, which is shared and slow, and nothing about the code.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")
