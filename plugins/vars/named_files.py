"""Reads group_vars and host_vars as ansible-core does, and names the file that is not valid YAML."""

from __future__ import annotations

DOCUMENTATION = r"""
name: named_files
short_description: Read group_vars and host_vars, and name the file and line that cannot be read
version_added: 0.1.0
author: Slipway
description:
  - Replaces C(ansible.builtin.host_group_vars), which reports the error in a file's YAML, but not the file.
options: {}
extends_documentation_fragment:
  - vars_plugin_staging
"""

from typing import Any

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.parsing.vault import AnsibleVaultError
from ansible.plugins.vars import BaseVarsPlugin, host_group_vars
from ansible_collections.slipway.kit.plugins.module_utils import places

OPTIONS = "--ask-vault-pass, --vault-password-file or ANSIBLE_VAULT_PASSWORD_FILE"
"""How a run gets the password of ansible-vault."""


def _locked(exc: AnsibleError) -> str:
    """What to do about a file that cannot be decrypted; empty for any other fault."""
    if "no vault secrets found" in exc.message:
        return f"it is encrypted, and this run has no password for it. Give one by {OPTIONS}"
    if isinstance(exc, AnsibleVaultError):
        return f"it cannot be decrypted with the password of this run. Give the right one by {OPTIONS}"
    return ""


class _Reader(host_group_vars.VarsModule):
    """ansible-core's own plugin, whose errors name the file."""

    def load_found_files(self, loader: Any, data: Any, found_files: list[str]) -> Any:
        """Read the files into `data`.

        Raises:
            AnsibleParserError: A file cannot be read; the message names it.
        """
        for path in found_files:
            try:
                data = super().load_found_files(loader, data, [path])
            except AnsibleError as exc:
                if path in exc.message:
                    raise
                place, locked = places.of(exc.obj) or path, _locked(exc)
                if locked:
                    raise AnsibleParserError(f"{place}: {locked}") from None  # ansible-core would append the cause
                raise AnsibleParserError(f"{place}: {exc.message}") from exc
        return data


class VarsModule(BaseVarsPlugin):
    """Delegates to ansible-core's plugin. It does not inherit: a collection's plugin may not have all its attributes."""

    is_stateless = True

    def __init__(self) -> None:
        super().__init__()
        self.reader = _Reader()

    def get_vars(self, loader: Any, path: str, entities: Any, cache: bool = True) -> dict[str, Any]:
        """Return the variables of hosts or groups next to the inventory or playbook at `path`."""
        variables: dict[str, Any] = self.reader.get_vars(loader, path, entities, cache)
        return variables
