"""Slow clients: `python -m benchmarks.serving.crowd KIND CLIENTS ADDRESS PORT HOST`, until standard input closes.

`lines`: half of them send an upload of 64 kB and half read an export of 2 MB, each as over a very slow line.
`sleepers`: each asks for the request that takes two seconds, again and again.
Prints "ready" when every client has sent its first bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import sys

BODY = 64 * 1024
PIECE = 512
"""Bytes that a slow client sends at a time; it reads ten times as much."""
PAUSE = 0.1
"""Seconds between two pieces: with PIECE, 40 kbit/s up and 400 kbit/s down."""


async def _connect(address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    handle = socket.socket()
    handle.setblocking(False)
    # Small, so that the server's answer stays on the server's side as it does behind a slow line.
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    await asyncio.get_running_loop().sock_connect(handle, (address, port))
    return await asyncio.open_connection(sock=handle, limit=8192)


async def _upload(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, begun: asyncio.Event) -> None:
    head = f"POST /upload HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {BODY}\r\n\r\n"
    writer.write(head.encode())
    for _ in range(BODY // PIECE):
        writer.write(b"x" * PIECE)
        await writer.drain()
        begun.set()
        await asyncio.sleep(PAUSE)
    await reader.read()


async def _export(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, begun: asyncio.Event) -> None:
    writer.write(f"GET /export HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    await writer.drain()
    begun.set()
    while await reader.read(10 * PIECE):
        await asyncio.sleep(PAUSE)


async def _sleeper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, begun: asyncio.Event) -> None:
    writer.write(f"GET /slow HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    await writer.drain()
    begun.set()
    await reader.read()


async def _client(number: int, kind: str, address: str, port: int, host: str, begun: asyncio.Event) -> None:
    act = _sleeper if kind == "sleepers" else _upload if number % 2 else _export
    while True:
        # A server that is full closes connections: such a client tries again, as people do.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await _connect(address, port)
            try:
                await act(reader, writer, host, begun)
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
            continue
        await asyncio.sleep(PAUSE)


async def _main(kind: str, clients: int, address: str, port: int, host: str) -> None:
    begun = [asyncio.Event() for _ in range(clients)]
    tasks = [
        asyncio.create_task(_client(number, kind, address, port, host, begun[number])) for number in range(clients)
    ]
    await asyncio.gather(*(event.wait() for event in begun))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.crowd", description=__doc__)
    parser.add_argument("kind", choices=("lines", "sleepers"))
    parser.add_argument("clients", type=int)
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("host")
    asyncio.run(_main(**vars(parser.parse_args())))
