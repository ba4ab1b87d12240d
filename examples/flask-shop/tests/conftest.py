"""What the tests share. Nothing is imitated: databases, services and servers are real ones, on this machine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from myapp import create_app


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Flask]:
    """Build an app with its data in an empty folder; more environment variables as keyword arguments."""

    def build(**environment: str) -> Flask:
        return create_app({"SLIPWAY_SHARED": str(tmp_path), **environment})

    return build


@pytest.fixture
def client(make: Callable[..., Flask]) -> FlaskClient:
    return make().test_client()


class Service:
    """An exchange rate service that answers with `script`, an entry per request; the last entry goes on for ever."""

    def __init__(self) -> None:
        self.script: list[tuple[int, bytes]] = [(200, b'{"rates": {"USD": 1.1, "GBP": 0.85, "CHF": 0.95}}')]
        self.asked = 0
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = service.script[min(service.asked, len(service.script) - 1)]
                service.asked += 1
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/latest?key=s3cret"


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    thread = threading.Thread(target=service.server.serve_forever, args=(0.02,))
    thread.start()
    yield service
    service.server.shutdown()
    thread.join()
    service.server.server_close()
