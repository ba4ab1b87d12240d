"""The app under the server that serves it: gunicorn, several workers with threads, a unix socket, a mount."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("gunicorn", reason="gunicorn is not installed: pip install gunicorn")


class OverSocket(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("shop.example.com", timeout=10)
        self.path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(path: Path, target: str, method: str = "GET", **headers: str) -> tuple[int, http.client.HTTPMessage, str]:
    connection = OverSocket(path)
    try:
        connection.request(method, target, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("s")
    path = folder / "app.sock"
    log = folder / "log"
    with open(log, "w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--bind", f"unix:{path}", "--workers", "3", "--threads", "4",
             "--worker-class", "gthread", "--no-control-socket", "myapp:app"],
            cwd=Path(__file__).parents[1], stdout=output, stderr=output,
            env={**os.environ, "SLIPWAY_SHARED": str(folder / "shared"), "SCRIPT_NAME": "/shop", "SHOP_API_KEYS": "k"},
        )  # fmt: skip
    for _ in range(150):
        if log.read_text().count("Booting worker") == 3:
            break
        time.sleep(0.1)
    yield path
    process.terminate()
    assert process.wait(20) == 0
    assert "Traceback" not in log.read_text(), log.read_text()


def test_workers_that_meet_an_empty_folder_agree(server: Path) -> None:
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: ask(server, "/shop/about"), range(24)))
    assert {status for status, _, _ in answers} == {200}
    assert ask(server, "/shop/healthz")[0] == 200


def test_a_basket_is_known_to_every_worker(server: Path) -> None:
    _, headers, _ = ask(server, "/shop/basket/mug", "POST")
    cookie = headers["Set-Cookie"].split(";")[0]

    def worker() -> int:
        status, _, page = ask(server, "/shop/basket", Cookie=cookie)
        assert status == 200 and "Enamel mug" in page
        return int(page.split("process <b>")[1].split("<")[0])

    # A lone visitor may always meet the same worker: each that has answered is held, so that another one has to.
    held: list[int] = []
    try:
        for _ in range(3):
            held.append(worker())
            os.kill(held[-1], signal.SIGSTOP)
    finally:
        for pid in held:
            os.kill(pid, signal.SIGCONT)
    assert len(set(held)) == 3


def test_the_app_sees_the_visitor_through_the_socket(server: Path) -> None:
    facts = json.loads(
        ask(server, "/shop/about.json", X_Forwarded_For="6.6.6.6, 203.0.113.7", X_Forwarded_Proto="https")[2]
    )
    assert (facts["client"], facts["mount"]) == ("203.0.113.7", "/shop")
    assert facts["home"] == "https://shop.example.com/shop/"
    assert facts["server"].startswith("gunicorn/")


def test_the_mount_itself_and_the_api_answer(server: Path) -> None:
    status, headers, _ = ask(server, "/shop", X_Forwarded_Proto="https")
    assert (status, headers["Location"]) == (308, "https://shop.example.com/shop/")
    assert ask(server, "/shop/")[0] == 200
    assert ask(server, "/shop/api/products")[0] == 403
    assert ask(server, "/shop/api/products", Authorization="Bearer k")[0] == 200
