"""Tests of the load generator's HTTP/1.1."""

from __future__ import annotations

import asyncio

from tests.load.connections import Answer, Http1, Request

PAGE = (
    b"HTTP/1.1 504 Gateway Time-out\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"6\r\n<html>\r\n7\r\n</html>\r\n0\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
)


def test_an_error_page_without_a_length_is_read_to_its_end() -> None:
    async def ask() -> list[Answer]:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(PAGE)

        async with await asyncio.start_server(answer, "127.0.0.1") as server:
            connection = await Http1.open("127.0.0.1", server.sockets[0].getsockname()[1])
            answers = [await connection.ask(Request("GET", "a.test", "/")) for _ in range(2)]
            connection.close()
        return answers

    assert asyncio.run(ask()) == [Answer(504, b"<html></html>"), Answer(200, b"ok")]
