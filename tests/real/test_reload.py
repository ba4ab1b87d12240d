"""A reload that nginx could not carry out puts the files back."""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.files import fileset, paths, reloading

from tests.patience import patience

from .conftest import NGINX, _free_port, until

pytestmark = pytest.mark.real

CONF = """
user root root;
daemon off;
pid {top}/nginx.pid;
error_log {top}/error.log;
worker_processes 2;
events {{}}
http {{
    access_log off;
    client_body_temp_path {top}/b; proxy_temp_path {top}/p; fastcgi_temp_path {top}/f; uwsgi_temp_path {top}/u;
    scgi_temp_path {top}/s;
    include {top}/site.conf;
}}
"""
SITE = "server {{ listen 127.0.0.1:{port}; location / {{ return 200 {word}; }} }}\n"


class Front:
    """A running nginx with one file that changes."""

    def __init__(self, top: Path) -> None:
        self.top, self.port = top, _free_port()
        self.site = top / "site.conf"
        self.site.write_text(SITE.format(port=self.port, word="old"))
        (top / "nginx.conf").write_text(CONF.format(top=top))
        self.command = [str(NGINX), "-p", str(top), "-c", str(top / "nginx.conf"), "-e", str(top / "error.log")]

    def place(self, text: str, keep: str | None = None) -> fileset.Result:
        item = {"number": 0, "dest": str(self.site), "state": "file", "owner": "root", "group": "root", "mode": "0644", "diff": True, "recursive": False, "text": text}  # fmt: skip
        wanted = fileset.Wanted([item], [*self.command, "-t", "-q"], [[*self.command, "-s", "reload"]])
        return fileset.place(wanted, keep, False, str(self.top / "undo"))

    def get(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("GET", "/")
        return connection.getresponse().read().decode()


@pytest.fixture
def front(monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as name:
        server = Front(Path(name))
        monkeypatch.setattr(reloading, "PID_FILE", f"{name}/nginx.pid")
        monkeypatch.setattr(reloading, "ERROR_LOG", f"{name}/error.log")
        monkeypatch.setattr(reloading, "SITE_LOGS", f"{name}/logs/slipway-*.log")
        nginx = subprocess.Popen(server.command)
        try:
            until(lambda: (server.top / "nginx.pid").exists() and (server.top / "nginx.pid").read_text())
            until(lambda: reloading.workers_of(nginx.pid))
            yield server
        finally:
            nginx.terminate()
            nginx.wait(timeout=30)


def test_one_that_nginx_carries_out_is_seen_at_once(front: Front) -> None:
    begun = time.monotonic()
    assert front.place(SITE.format(port=front.port, word="new")).changed
    assert time.monotonic() - begun < patience(1)
    until(lambda: front.get() == "new")


def test_no_worker_uses_what_was_taken_back(front: Front) -> None:
    """What the files led to may end right afterwards."""
    for _ in range(5):
        front.place(SITE.format(port=front.port, word="new"), "sites")
        until(lambda: front.get() == "new")
        assert fileset.restore("sites", False, str(front.top / "undo")).paths == [str(front.site)]
        assert [front.get() for _ in range(50)] == ["old"] * 50


def test_files_that_nginx_does_not_read_when_they_are_back(front: Front) -> None:
    front.place(SITE.format(port=front.port, word="new"), "sites")
    with socket.create_server(("127.0.0.1", 0)) as holder:
        kept = front.top / "undo/kept-sites.json"
        before = base64.b64encode(SITE.format(port=front.port, word="old").encode()).decode()
        text = SITE.format(port=holder.getsockname()[1], word="held")
        kept.write_text(kept.read_text().replace(before, base64.b64encode(text.encode()).decode()))
        with pytest.raises(paths.Refused, match="still runs the old one"):
            fileset.restore("sites", False, str(front.top / "undo"))
    assert (front.site.read_text(), kept.exists()) == (text, False)


def test_only_root_and_the_folder_s_group_read_a_site_s_logs(front: Front) -> None:
    folder = front.top / "logs"
    folder.mkdir()
    os.chown(folder, -1, 4)
    (folder / "other.log").touch(0o644)
    (folder / "slipway-linked.log").symlink_to("other.log")
    logs = [folder / f"slipway-shop.test.{kind}.log" for kind in ("access", "error")]
    logged = "".join(f"{path.stem.rpartition('.')[2]}_log {path};" for path in logs)
    assert front.place(SITE.format(port=front.port, word="new").replace("location", f"{logged} location")).changed
    assert [(path.stat().st_mode & 0o777, path.stat().st_gid) for path in logs] == [(0o640, 4)] * 2
    assert (folder / "other.log").stat().st_mode & 0o777 == 0o644
    until(lambda: front.get() == "new")


def test_an_address_that_another_program_holds(front: Front) -> None:
    before = front.site.read_text()
    with socket.create_server(("127.0.0.1", 0)) as holder:
        held = holder.getsockname()[1]
        with pytest.raises(paths.RolledBack) as caught:
            front.place(before + SITE.format(port=held, word="second"))
    assert f"bind() to 127.0.0.1:{held} failed (98: Address already in use)" in str(caught.value)
    assert "still runs the old one" in str(caught.value)
    assert front.site.read_text() == before
    assert front.get() == "old"


def test_an_address_that_becomes_free_in_time(front: Front) -> None:
    holder = socket.create_server(("127.0.0.1", 0))
    held = holder.getsockname()[1]

    def release() -> None:
        """Release the address when nginx has found it held once. It tries four times more, for 2 s in all."""
        until(lambda: f"bind() to 127.0.0.1:{held} failed" in (front.top / "error.log").read_text())
        holder.close()

    thread = threading.Thread(target=release)
    thread.start()
    assert front.place(front.site.read_text() + SITE.format(port=held, word="second")).changed
    thread.join()


def test_a_master_that_does_nothing(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloading, "SECONDS", 0.3)
    with pytest.raises(paths.RolledBack, match=r"within 0\.3 s"):
        item_set = front.command
        front.command = [str(NGINX), "-v"]  # succeeds, and sends no signal
        front.place(SITE.format(port=front.port, word="new"))
    front.command = item_set
    assert "old" in front.site.read_text()


def test_an_nginx_that_does_not_run_reads_it_later(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloading, "PID_FILE", "/nonexistent")
    assert front.place(SITE.format(port=front.port, word="new")).changed


def test_what_clients_write_into_the_log_is_no_failure_of_a_reload(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker's line of any level quotes the client's request."""
    look = Mock(wraps=reloading._emergencies)
    monkeypatch.setattr(reloading, "_emergencies", look)
    files = f"server {{{{ listen 127.0.0.1:{{port}}; location / {{{{ return 200 {{word}}; }}}} location /[ {{{{ root {front.top}/no; }}}} }}}}\n"
    front.place(files.format(port=front.port, word="files"))
    holder = socket.create_server(("127.0.0.1", 0))
    held = holder.getsockname()[1]
    master = (front.top / "nginx.pid").read_text().strip()

    def write_and_release() -> None:
        """While nginx tries the address again, a client asks; then the address is free."""
        log = front.top / "error.log"
        until(lambda: f"bind() to 127.0.0.1:{held} failed" in log.read_text())
        for path in ("/[emerg]x", f"/[[emerg]%0a2026/11/28%2000:00:00%20[emerg]%20{master}#{master}:%20x"):
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", front.port, timeout=5)) as client:
                client.request("GET", path)
                assert client.getresponse().status == 404
        until(lambda: log.read_text().count("[emerg]x") >= 1)
        before = look.call_count
        until(lambda: look.call_count > before + 1)
        holder.close()

    thread = threading.Thread(target=write_and_release)
    thread.start()
    text = files.format(port=front.port, word="files") + SITE.format(port=held, word="second")
    assert front.place(text).changed
    thread.join()
