"""Ends a run whose hosts or variables cannot be read with one sentence, before Ansible's own plugins fail one after the other."""

from __future__ import annotations

DOCUMENTATION = r"""
name: readable
short_description: Report in one sentence why hosts or variables of a run cannot be read
version_added: 0.2.0
author: Slipway
description:
  - Reads no hosts. It is the first of the enabled plugins, and leaves every source that can be read to the others.
options: {}
"""

import sys

from ansible import context
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.utils.display import Display
from ansible_collections.slipway.kit.plugins.module_utils import hosts_files


class InventoryModule(BaseInventoryPlugin):  # type: ignore[misc, unused-ignore]
    """Judges each source, and takes none."""

    NAME = "slipway.kit.readable"

    def verify_file(self, path: str) -> bool:
        """Return False, or end the run where Ansible would print several warnings for one fault."""
        messages = [
            *hosts_files.missing_variables(map(str, context.CLIARGS.get("extra_vars") or ())),
            *hosts_files.faults(path),
        ]
        if messages:
            for message in messages:
                end = "" if message.endswith(("?", ".")) else "."
                Display().error(f"{message}{end} No host was touched.", wrap_text=False)
            sys.exit(1)
        return False
