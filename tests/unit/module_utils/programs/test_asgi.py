"""What an ASGI app's answer becomes, where nginx keeps the connection."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.programs.serving.asgi import asgi
from ansible_collections.slipway.kit.plugins.module_utils.programs.serving.connections import Rules
from ansible_collections.slipway.kit.plugins.module_utils.programs.serving.leaving import Leaving

RULES = Rules(30, 3600, "", 65536, release="v1-00000001", current="/nowhere/current")
START = {"type": "http.response.start", "status": 200, "headers": []}
BODY = "http.response.body"


def sent(*messages: dict[str, Any], method: str = "GET") -> list[dict[str, Any]]:
    """What the server gets of an app's messages."""
    passed: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    async def send(message: dict[str, Any]) -> None:
        passed.append(message)

    async def nothing(*_: Any) -> None:
        """Nothing comes from the client."""

    wrapped = asgi(app, logging.getLogger("test"), RULES, nothing, leaving=Leaving(RULES, lambda: None))
    headers = [(b"x-request-id", b"id-1"), (b"x-forwarded-for", b"203.0.113.7")]
    asyncio.run(wrapped({"type": "http", "method": method, "path": "/", "headers": headers}, nothing, send))
    return passed


@pytest.mark.parametrize("nothing", [{}, {"body": None}, {"body": b""}])
def test_a_body_may_be_missing(nothing: dict[str, Any]) -> None:
    piece = {"type": BODY, "body": b"piece", "more_body": True}
    end = {"type": BODY, **nothing}
    assert sent(START, piece, end)[1:] == [piece, end]
    assert [message["type"] for message in sent(START, end, method="HEAD")] == [START["type"], BODY]


def test_an_answer_ends_with_its_last_byte() -> None:
    start = {**START, "headers": [(b"Content-Length", b"5")]}
    messages = sent(start, {"type": BODY, "body": b"piece", "more_body": True}, {"type": BODY})
    assert messages[1:] == [{"type": BODY, "body": b"piece", "more_body": False}]
    assert (b"x-slipway-release", b"v1-00000001") in messages[0]["headers"]


def test_the_apps_own_headers_stay_as_they_are() -> None:
    headers = [(b"content-type", b"text/plain")]
    sent({**START, "headers": headers}, {"type": BODY, "body": b"x"})
    assert headers == [(b"content-type", b"text/plain")]
