"""A vulnerability service that speaks as OSV does, for tests: a real HTTP server that knows one advisory."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any


@contextlib.contextmanager
def service(
    advisory: Mapping[str, Any], concerns: Callable[[str, str], bool]
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Its address, and what it was asked. `concerns` decides by a package's name and version whether the advisory is about it."""
    asked: list[tuple[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
            packages = [(one["package"]["name"], one["version"]) for one in queries]
            asked.extend(packages)
            known = {"vulns": [{"id": advisory["id"], "modified": advisory["modified"]}]}
            self.answer({"results": [known if concerns(*package) else {} for package in packages]})

        def do_GET(self) -> None:
            self.answer(advisory)

        def answer(self, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked
    finally:
        server.shutdown()
        server.server_close()
