"""The kit's code is imported as Ansible does it, so that its templates find its filters in tests too."""

from __future__ import annotations

from pathlib import Path

from ansible.plugins.loader import init_plugin_loader

init_plugin_loader([str(Path(__file__).parents[1] / "collections")])
