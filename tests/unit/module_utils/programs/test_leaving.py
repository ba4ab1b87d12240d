"""When an instance ends the connections that nginx keeps."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.programs.serving import leaving
from ansible_collections.slipway.kit.plugins.module_utils.programs.serving.connections import Rules


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rules:
    monkeypatch.setattr(leaving, "LOOKS_EVERY", 0.0)
    return Rules(30, 3600, "", 65536, release="v1-00000001", current=str(tmp_path / "current"))


def test_a_release_leaves_while_another_one_is_current(rules: Rules) -> None:
    link, it = Path(rules.current), leaving.Leaving(rules, lambda: None)
    assert not it.begun(), "no link says anything"
    for release, left in (("v1-00000001", False), ("v2-00000002", True), ("v1-00000001", False)):
        link.unlink(missing_ok=True)
        link.symlink_to(f"releases/{release}")
        assert it.begun() is left


def test_a_worker_that_stops_leaves(rules: Rules) -> None:
    Path(rules.current).symlink_to(f"releases/{rules.release}")
    it = leaving.Leaving(rules, lambda: None)
    it.stops = True
    assert it.begun()


def test_the_link_is_looked_at_seldom(rules: Rules, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "LOOKS_EVERY", 3600.0)
    it = leaving.Leaving(rules, lambda: None)
    assert not it.begun()
    Path(rules.current).symlink_to("releases/v2-00000002")
    assert not it.begun()


def test_no_connection_is_left_when_a_server_stops(rules: Rules) -> None:
    """Not even one that the server learns of just before: uvicorn would end it, and with it a request."""
    connections: set[str] = set()
    server: Any = SimpleNamespace(servers=[], server_state=SimpleNamespace(connections=connections), force_exit=False)

    async def stop(second: float) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(second, connections.add, "late")
        loop.call_later(second + 0.1, connections.clear)
        await leaving._connections(server, time.monotonic() + 30, leaving.Leaving(rules, lambda: None), lambda: None)
        assert not connections

    for turn in range(14):
        connections.clear()
        asyncio.run(stop(turn * leaving.PAUSE / 4))
