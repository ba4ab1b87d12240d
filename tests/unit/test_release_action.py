"""When the release action need not describe a release once more; the rest of it runs in the scenarios."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.action.release import _whole

GOOD = {"complete": True, "bad": None}
NAMED = ("v1-00000001", "v2-00000002")


@pytest.mark.parametrize(
    ("there", "whole"),
    [
        ([GOOD, GOOD], True),
        ([GOOD, {}], False),
        ([GOOD, {"complete": False, "bad": None}], False),
        ([GOOD, {"complete": True, "bad": "it answered 500"}], False),
    ],
)
def test_every_named_release_is_there_and_good(there: list[dict[str, Any]], whole: bool) -> None:
    apps = {name: {"releases": {NAMED[n]: there[n]}} for n, name in enumerate(("blog", "shop"))}
    named = [{"root": f"/srv/{name}", "release": NAMED[n]} for n, name in enumerate(("blog", "shop"))]
    found: Any = SimpleNamespace(facts={"apps": apps})
    assert _whole(found, {"ansible_facts": {"slipway_releases": named}}) == whole
    assert not _whole(found, {}), "nothing was named yet"
