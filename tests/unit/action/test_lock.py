"""What a run reports about the dead run whose lock it takes over."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.action import lock

ENTRIES: dict[str, dict[str, Any]] = {"shop": {"hooks": {"after_activate": "python -m shop.announce"}}}


@pytest.mark.parametrize(
    ("before", "wanted", "now", "entries", "is_named"),
    [
        ("v1", "v2", "v2", ENTRIES, True),
        (None, "v2", "v2", ENTRIES, True),
        ("v1", "v2", "v1", ENTRIES, False),
        ("v2", "v2", "v2", ENTRIES, False),
        ("v1", None, "v1", ENTRIES, False),
        ("v1", "v2", "v2", {"shop": {}}, False),
        ("v1", "v2", "v2", {}, False),
    ],
    ids=["switched", "first release", "before the switch", "unchanged", "unnamed", "no hook", "no app"],
)
def test_a_hook_that_a_dead_run_may_not_have_finished_is_named(
    before: str | None, wanted: str | None, now: str, entries: dict[str, dict[str, Any]], is_named: bool
) -> None:
    died = {"apps": {"shop": {"root": "/srv/shop", "from": before, "to": wanted}}}
    warnings = lock.unfinished(died, {"shop": {"current": now}}, entries)
    start = "shop: that run had activated v2, and its hook after_activate may not have run to its end."
    assert [warning.startswith(start) for warning in warnings] == [True] * is_named
