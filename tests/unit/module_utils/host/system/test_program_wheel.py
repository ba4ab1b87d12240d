"""uv's wheel is unpacked without pip; whatever is unusual is left to pip, and leaves nothing behind."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.system import program_wheel

from tests.patience import patience

MACHINE = os.uname().machine
FITTING = f"uv-1.0-py3-none-manylinux_2_17_{MACHINE}.manylinux2014_{MACHINE}.whl"
Pages = dict[str, tuple[str, bytes]]


def wheel(**programs: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("uv/__init__.py", "")
        for name, text in programs.items():
            archive.writestr(f"uv-1.0.data/scripts/{name}", text)
    return out.getvalue()


def lock(*contents: bytes) -> str:
    return "uv==1.0 \\\n" + " \\\n".join(f"    --hash=sha256:{hashlib.sha256(data).hexdigest()}" for data in contents)


def page(**files: bytes) -> tuple[str, bytes]:
    listed = [
        {"filename": name, "url": f"../files/{name}", "hashes": {"sha256": hashlib.sha256(data).hexdigest()}}
        for name, data in files.items()
    ]
    return program_wheel.JSON, json.dumps({"files": listed}).encode()


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pages:
    for name in [name for name in os.environ if name.startswith("PIP_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(program_wheel, "PIP_FILES", (str(tmp_path / "pip.conf"),))
    (tmp_path / "venv/bin").mkdir(parents=True)
    return {}


@pytest.fixture
def install(pages: Pages, tmp_path: Path) -> Iterator[Callable[[str], bool]]:
    class Index(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, data = pages.get(self.path, ("", b""))
            if kind == "redirect":
                self.send_response(302)
                self.send_header("Location", data.decode())
                self.end_headers()
                return
            self.send_response(200 if kind else 404)
            self.send_header("Content-Type", kind or "text/plain")
            if kind == program_wheel.JSON:
                self.send_header("Content-Encoding", "gzip")
                data = gzip.compress(data)
            self.end_headers()
            if kind == "slow":
                while True:
                    self.wfile.write(b" ")
                    time.sleep(0.05)
            self.wfile.write(data)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/simple/"
        numbers = iter(range(9))

        def install(text: str, url: str = url) -> bool:
            folder = tmp_path / f"download-{next(numbers)}"
            folder.mkdir()
            return program_wheel.install("uv", text, str(tmp_path / "venv"), {"url": url}, str(folder))

        yield install
        server.shutdown()


def programs(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "venv/bin").iterdir())


@pytest.mark.parametrize("kind", [program_wheel.JSON, "text/html"])
def test_the_programs_of_the_wheel_for_this_host_are_installed(
    pages: Pages, install: Callable[[str], bool], tmp_path: Path, kind: str
) -> None:
    other, ours, foreign = wheel(uv="other"), wheel(uv="#!/bin/sh\necho ours\n", uvx="x"), wheel(uv="foreign")
    of = {f"uv-1.0-py3-none-win_{MACHINE}.whl": other, "uv-0.9-py3-none-any.whl": foreign, FITTING: ours}
    pages["/simple/uv/"] = page(**of)
    if kind == "text/html":
        links = [
            f'<a data-x="1" href="../files/{name}#sha256={hashlib.sha256(data).hexdigest()}">{name}</a>'
            for name, data in of.items()
        ]
        pages["/simple/uv/"] = kind, "<br/>".join(links).encode()
    pages[f"/simple/files/{FITTING}"] = "application/zip", ours
    assert install(lock(other, ours))
    assert programs(tmp_path) == ["uv", "uvx"]
    program = tmp_path / "venv/bin/uv"
    assert program.read_text() == "#!/bin/sh\necho ours\n" and program.stat().st_mode & 0o777 == 0o755


def test_another_file_than_the_lock_s_is_left_to_pip(
    pages: Pages, install: Callable[[str], bool], tmp_path: Path
) -> None:
    ours = wheel(uv="ours")
    pages["/simple/uv/"] = page(**{FITTING: ours})
    pages[f"/simple/files/{FITTING}"] = "application/zip", wheel(uv="theirs")
    assert not install(lock(ours)), "the index gave another file than its page says"
    assert not install(lock(wheel(uv="newer"))), "the page has no file of the lock"
    assert programs(tmp_path) == []
    pages[f"/simple/files/{FITTING}"] = "application/zip", ours
    assert install(lock(ours))


def test_a_file_of_the_host_is_no_wheel(pages: Pages, install: Callable[[str], bool], tmp_path: Path) -> None:
    ours = wheel(uv="ours")
    (tmp_path / FITTING).write_bytes(ours)
    pages["/simple/uv/"] = page(**{FITTING: ours})
    pages[f"/simple/files/{FITTING}"] = "redirect", f"file://{tmp_path}/{FITTING}".encode()
    assert not install(lock(ours))
    digest = hashlib.sha256(ours).hexdigest()
    pages["/simple/uv/"] = "text/html", f'<a href="file://{tmp_path}/{FITTING}#sha256={digest}">x</a>'.encode()
    assert not install(lock(ours))


def test_a_wheel_without_programs_is_left_to_pip(pages: Pages, install: Callable[[str], bool], tmp_path: Path) -> None:
    for broken in (wheel(), b"no archive"):
        pages["/simple/uv/"] = page(**{FITTING: broken})
        pages[f"/simple/files/{FITTING}"] = "application/zip", broken
        assert not install(lock(broken))
    assert programs(tmp_path) == []


@pytest.mark.parametrize("data", [b"{}", b"[]", b'{"files": [{"url": 1}]}', b'{"files": 1}', b"[" * 100_000, b"\xff"])
def test_a_page_that_is_none_is_left_to_pip(pages: Pages, install: Callable[[str], bool], data: bytes) -> None:
    pages["/simple/uv/"] = program_wheel.JSON, data
    assert not install(lock(b""))


def test_a_page_that_is_too_large_is_left_to_pip(
    pages: Pages, install: Callable[[str], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = wheel(uv="ours")
    kind, text = page(**{FITTING: ours})
    pages["/simple/uv/"] = kind, text + b" " * 1_000_000  # as it travels it is small
    pages[f"/simple/files/{FITTING}"] = "application/zip", ours
    monkeypatch.setattr(program_wheel, "PAGE", 100_000)
    assert not install(lock(ours))
    monkeypatch.setattr(program_wheel, "PAGE", 2_000_000)
    assert install(lock(ours))


def test_a_server_that_never_ends_is_left_to_pip(
    pages: Pages, install: Callable[[str], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program_wheel, "DEADLINE", 0.3)
    pages["/simple/uv/"] = "slow", b""
    begun = time.monotonic()
    assert not install(lock(b""))
    assert time.monotonic() - begun < patience(10)


def test_no_server_is_left_to_pip(install: Callable[..., bool]) -> None:
    assert not install(lock(b""), url="http://127.0.0.1:9/simple")


@pytest.mark.parametrize(
    ("text", "trusted"),
    [
        ("", True),
        ("[global]\ncert = /ca.pem\n", True),
        ("[global]\nno-index = 1\n", False),
        ("[install]\nproxy = x\n", False),
        ("index-url = x\n", False),
    ],
)
def test_settings_of_pip_that_say_where_packages_come_from_are_obeyed_by_pip(
    pages: Pages, tmp_path: Path, text: str, trusted: bool
) -> None:
    (tmp_path / "pip.conf").write_text(text)
    if trusted:
        authorities = "/ca.pem" if text else None
        assert program_wheel.source({}, {}) == (program_wheel.PYPI, authorities)
        assert program_wheel.source({"ca": "/kit.pem"}, {}) == (program_wheel.PYPI, "/kit.pem")
        return
    with pytest.raises(program_wheel.Unusual):
        program_wheel.source({}, {})


@pytest.mark.parametrize("url", ["https://user:word@index.example/simple", "file:///simple", "ftp://index.example"])
def test_an_unusual_index_is_left_to_pip(pages: Pages, url: str) -> None:
    with pytest.raises(program_wheel.Unusual):
        program_wheel.source({"url": url}, {})
    with pytest.raises(program_wheel.Unusual):
        program_wheel.source({}, {"PIP_FIND_LINKS": "/wheels"})


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("uv-1.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", True),
        ("uv-1.0-py3-none-manylinux_2_36_x86_64.whl", True),
        ("uv-1.0-py3-none-manylinux_2_37_x86_64.whl", False),
        ("uv-1.0-py3-none-manylinux_2_17_aarch64.whl", False),
        ("uv-1.0-py3-none-musllinux_1_1_x86_64.whl", False),
        ("uv-1.0-cp311-cp311-manylinux_2_17_x86_64.whl", False),
        ("uv-1.0.tar.gz", False),
    ],
)
def test_a_wheel_suits_its_machine_and_c_library(name: str, fits: bool) -> None:
    assert program_wheel.suits(f"/packages/{name}", (2, 36), "x86_64") is fits


def test_other_tools_are_pip_s(install: Callable[[str], bool], tmp_path: Path) -> None:
    assert not program_wheel.install("supervisor", "", str(tmp_path), {}, str(tmp_path))
