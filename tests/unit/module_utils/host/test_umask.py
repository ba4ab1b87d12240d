"""Root's umask on a host has no effect."""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.slipway.kit.plugins.module_utils.host import report


class Module:
    check_mode = True

    def exit_json(self, **result: Any) -> None:
        self.result = result


def test_what_a_module_makes_is_as_readable_as_its_mode_says() -> None:
    module, before = Module(), os.umask(0o077)
    try:
        report.answer(module, lambda: {"umask": os.umask(0o022)})
    finally:
        os.umask(before)
    assert module.result == {"umask": 0o022}
