"""A worker that answers requests to itself before it serves."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.programs.serving import starting
from ansible_collections.slipway.kit.plugins.module_utils.programs.serving.connections import Rules

from tests.patience import patience


class Log:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, line: str, *values: Any) -> None:
        """Take a line."""
        self.lines.append(line % values)

    error = warning


@pytest.mark.parametrize("stubborn", [True, False])
def test_an_app_that_hangs_delays_the_worker_for_its_limit_only(
    stubborn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that ignores its cancellation, as a loop with a bare `except` around a database's connection does."""
    monkeypatch.setattr(starting, "ENDS_WITHIN", 0.1)
    over = False

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while not over:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if not stubborn:
                    raise

    async def warm_up() -> float:
        nonlocal over
        begun = time.monotonic()
        rules = Rules(0.2, 3600, "", 65536, warm_up=("/", "/second"))
        await starting.warm_up_asgi(SimpleNamespace(rules=rules, notify=lambda: None, log=log), app, None)
        over = True  # or the event loop would wait for it
        return time.monotonic() - begun

    log = Log()
    assert asyncio.run(warm_up()) < patience(5)
    assert log.lines == ["slipway: warm-up: no answer after 0.2 s; the worker serves without it"]
