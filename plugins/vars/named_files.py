"""group_vars and host_vars as ansible-core reads them, with the file named when one of them is no YAML."""

from __future__ import annotations

DOCUMENTATION = r"""
name: named_files
short_description: Read group_vars and host_vars, and name the file and line that cannot be read
version_added: 0.1.0
author: Slipway
description:
  - The same as C(ansible.builtin.host_group_vars), in whose place it is enabled. That one says what is wrong with a
    file's YAML, but not in which file.
options: {}
extends_documentation_fragment:
  - vars_plugin_staging
"""

from typing import Any

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.plugins.vars import BaseVarsPlugin, host_group_vars
from ansible_collections.slipway.kit.plugins.module_utils import places


class _Reader(host_group_vars.VarsModule):
    """ansible-core's own."""

    def load_found_files(self, loader: Any, data: Any, found_files: list[str]) -> Any:
        """Read one file after the other into `data`; an error names the file."""
        for found in found_files:
            try:
                data = super().load_found_files(loader, data, [found])
            except AnsibleError as exc:
                if found in exc.message:
                    raise
                raise AnsibleParserError(f"{places.of(exc.obj) or found}: {exc.message}") from exc
        return data


class VarsModule(BaseVarsPlugin):
    """Has ansible-core's plugin read; not by inheritance, since a collection's plugin may not have all its attributes."""

    is_stateless = True

    def __init__(self) -> None:
        super().__init__()
        self.reader = _Reader()

    def get_vars(self, loader: Any, path: str, entities: Any, cache: bool = True) -> dict[str, Any]:
        """The variables of hosts or groups beside the inventory or playbook at `path`."""
        found: dict[str, Any] = self.reader.get_vars(loader, path, entities, cache)
        return found
