# /// script
# dependencies = ["mcp==2.3.0"]
# ///
"""Calls a tool by MCP's own client; what it reports of its progress comes before its answer."""

import time

import anyio
import route  # noqa: F401 the names of the hosts
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client


async def main() -> None:
    """Find the tool and call it."""
    seen: list[tuple[float, float]] = []

    async def progress(completed: float, total: float | None, message: str | None) -> None:
        seen.append((completed, time.monotonic()))

    async with streamable_http_client("http://mcp.test/mcp") as streams, ClientSession(*streams[:2]) as session:
        await session.initialize()
        assert [tool.name for tool in (await session.list_tools()).tools] == ["echo"]
        result = await session.call_tool("echo", {"text": "ahoy"}, progress_callback=progress)
        answered = time.monotonic()
    assert result.content[0].text == "ahoy", result
    assert [completed for completed, _ in seen] == [1, 2], seen
    assert answered - seen[0][1] > 0.8, "the progress came with the answer, not before it"


anyio.run(main)
