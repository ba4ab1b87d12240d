"""The scenario's hosts, as a client sees them."""

from __future__ import annotations

import base64
import http.client
import json
import os
import time
from contextlib import closing
from functools import cache
from typing import Any

from tests.hosts.scenario import Scenario
from tests.patience import patience

SCENARIO = Scenario("reports")
SYSTEMD, SUPERVISOR = HOSTS = ("bookworm", "trixie")
CLIENT = "203.0.113.7"
within, address = SCENARIO.within, cache(SCENARIO.address)


def request(host: str, app: str, path: str, timeout: float = 20, **heads: str) -> Any:
    """Ask, and return the connection with the head of its answer; names of headers with _ for -."""
    connection = http.client.HTTPConnection(address(host), timeout=timeout)
    connection.request(
        "GET", path, headers={"Host": f"{app}.test", **{k.replace("_", "-"): v for k, v in heads.items()}}
    )
    return connection, connection.getresponse()


def ask(host: str, app: str, path: str, timeout: float = 20, **heads: str) -> tuple[int, bytes]:
    """Status and body of one answer."""
    connection, answer = request(host, app, path, timeout, **heads)
    with closing(connection):
        return answer.status, answer.read()


def report_of(host: str, app: str, path: str = "/", **heads: str) -> dict[str, Any]:
    """What the app tells of a request."""
    status, body = ask(host, app, path, **heads)
    assert status == 200, body
    report: dict[str, Any] = json.loads(body)
    return report


def log(host: str, app: str) -> str:
    """The log of the app's instance."""
    return within(host, "cat", f"/srv/{app}/current/log")


def until_logged(host: str, app: str, word: str, seconds: float = 3) -> str:
    """The log, once the word is in it."""
    end = time.monotonic() + patience(seconds)
    while word not in (text := log(host, app)):
        assert time.monotonic() < end, f"{word!r} is not in the log of {app} on {host}:\n{text[-2000:]}"
        time.sleep(0.2)
    return text


def deploy(*options: str, playbook: str = "deploy", **variables: Any) -> str:
    """Run a playbook; returns what it printed, with its status at the end."""
    completed = SCENARIO.play(playbook, *options, **variables)
    return f"{completed.stdout}\nstatus {completed.returncode}"


class WebSocket:
    """A client that sends and receives short texts."""

    def __init__(self, host: str, app: str, path: str = "/talk") -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        heads = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec_WebSocket_Key": key,
            "Sec_WebSocket_Version": "13",
        }
        self._host, self._app = host, app
        self._connection, answer = request(
            host, app, path, X_Forwarded_For=CLIENT, X_Forwarded_Proto="https", Origin=f"http://{app}.test", **heads
        )
        assert answer.status == 101, answer.status
        self._file = answer.fp

    def say(self, text: str) -> str:
        """Send a text, and return the next one that comes. Raises OSError when the connection has ended."""
        self._connection.sock.sendall(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text.encode())
        while True:
            head = self._file.read(2)
            if len(head) < 2 or head[0] == 0x88:
                logs = f"tail -n 3 /var/log/nginx/*error.log; tail -n 20 /srv/{self._app}/current/log; true"
                raise ConnectionError(f"the websocket has ended: {within(self._host, 'sh', '-c', logs)}")
            size = head[1] if head[1] < 126 else int.from_bytes(self._file.read(2), "big")
            data = self._file.read(size)
            if head[0] == 0x81:
                return str(data.decode())

    def close(self) -> None:
        """Go."""
        self._connection.close()
