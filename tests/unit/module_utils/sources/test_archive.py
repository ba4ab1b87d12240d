"""Untrusted archives, downloads, and packages."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import stat
import tarfile
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.sources import SourceError, Tree, archive, fetch, unpacking
from hypothesis import given, settings
from hypothesis import strategies as st


def ship(
    tmp_path: Path, value: str, requirements=None, kind: str = "archive", run: str | None = None, **source: str
) -> Tree:
    return fetch(
        {kind: value, **source},
        requirements=requirements,
        base=tmp_path,
        cache=tmp_path / "cache",
        log=lambda t: None,
        run=run,
    )


def member(name: str, content: bytes = b"x", **values: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.mode = 0o644
    for key, value in values.items():
        setattr(info, key, value)
    info.size = len(content) if info.isreg() else 0
    return info, content


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return path


def zipped(path: Path, *members: tuple[str, bytes, int]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, mode in members:
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return path


FILES = [member("shop-1.2/app.py", b"A"), member("shop-1.2/bin/run", b"#!", mode=0o4755)]


def test_every_format_gives_the_same_tree(tmp_path):
    trees = [
        ship(tmp_path, str(tar(tmp_path / name, *FILES, mode=mode)))
        for name, mode in [
            ("shop-1.2.tar", "w"),
            ("shop-1.2.tar.gz", "w:gz"),
            ("shop-1.2.tgz", "w:gz"),
            ("shop-1.2.tar.xz", "w:xz"),
        ]
    ]
    both = [("shop-1.2/app.py", b"A", 0o100644), ("shop-1.2/bin/run", b"#!", 0o104755)]
    trees.append(ship(tmp_path, str(zipped(tmp_path / "shop-1.2.zip", *both))))
    assert {tree.hash for tree in trees} == {trees[0].hash}
    assert {tree.version for tree in trees} == {"shop-1.2"}
    assert trees[0].files == ["app.py", "bin/run"]
    assert [entry.kind for entry in trees[0].entries] == [b"f", b"x"]
    assert trees[0].root is not None
    assert not (trees[0].root / "bin/run").stat().st_mode & (stat.S_ISUID | stat.S_ISGID)
    assert ship(tmp_path, "shop-1.2.zip", version="7").version == "7"


def test_only_a_single_top_folder_is_stripped(tmp_path):
    two = tar(tmp_path / "a.tar", member("./a/x.py"), member("./b/y.py"), mode="w")
    assert ship(tmp_path, str(two)).files == ["a/x.py", "b/y.py"]
    flat = tar(tmp_path / "b.tar", member("app.py"), mode="w")
    assert ship(tmp_path, str(flat)).files == ["app.py"]
    empty_beside = tar(tmp_path / "c.tar", member("a/x.py"), member("b", type=tarfile.DIRTYPE), mode="w")
    assert ship(tmp_path, str(empty_beside)).files == ["a/x.py"]
    mac = zipped(
        tmp_path / "d.zip", ("top/app.py", b"", 0), ("__MACOSX/top/._app.py", b"", 0), ("top/.git/config", b"", 0)
    )
    assert ship(tmp_path, str(mac)).files == ["app.py"]


DEVICE = {"devmajor": 1, "devminor": 3}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([member("/etc/cron.d/x")], "has an absolute name"),
        ([member("../x")], r"has `\.\.` in its name"),
        ([member("a/b/../../../x")], r"has `\.\.` in its name"),
        ([member("top/ok"), member("top/null", type=tarfile.CHRTYPE, **DEVICE)], "is a device"),
        ([member("sda", type=tarfile.BLKTYPE, **DEVICE)], "is a device"),
        ([member("pipe", type=tarfile.FIFOTYPE)], "is a device or another special file"),
        ([member("l", type=tarfile.SYMTYPE, linkname="/tmp"), member("l/owned")], "is both a file and a folder"),
        ([member("l/owned"), member("l", type=tarfile.SYMTYPE, linkname="/tmp")], "is both a file and a folder"),
        ([member("l", type=tarfile.SYMTYPE, linkname="/tmp"), member("l")], "is there twice"),
        ([member("x"), member("./x", b"y")], "is there twice"),
        (
            [member("a"), member("e", type=tarfile.SYMTYPE, linkname="/etc/passwd")],
            "e is a link to /etc/passwd, which is outside",
        ),
        ([member("a"), member("e", type=tarfile.SYMTYPE, linkname="../x")], r"e is a link to \.\./x, which is outside"),
        (
            [member("t/a"), member("t/e", type=tarfile.SYMTYPE, linkname="../x")],
            r"e is a link to \.\./x, which is outside",
        ),
        ([member("h", type=tarfile.LNKTYPE, linkname="/etc/passwd")], "has an absolute name"),
        ([member("h", type=tarfile.LNKTYPE, linkname="../../etc/passwd")], r"has `\.\.` in its name"),
        ([member("h", type=tarfile.LNKTYPE, linkname="etc/passwd")], "which is not there before it"),
        ([member("h", type=tarfile.LNKTYPE, linkname="h")], "which is not there before it"),
        (
            [
                member("d", type=tarfile.SYMTYPE, linkname="/etc"),
                member("h", type=tarfile.LNKTYPE, linkname="d/passwd"),
            ],
            "which is not there before it",
        ),
        ([member("a" * 300)], "cannot be unpacked"),
    ],
)
def test_hostile_tars_are_refused(tmp_path, members, message):
    path = tar(tmp_path / "evil.tar.gz", *members)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(SourceError, match=message) as caught:
        ship(tmp_path, str(path))
    assert "\n" not in str(caught.value)
    outside = set(tmp_path.rglob("*")) - before - set((tmp_path / "cache").rglob("*")) - {tmp_path / "cache"}
    assert not outside
    assert not Path("/tmp/owned").exists()


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("../../x", b"", 0)], r"has `\.\.` in its name"),
        ([("/etc/x", b"", 0)], "has an absolute name"),
        ([("..\\..\\x", b"", 0)], "has a backslash"),
        ([("l", b"/etc", 0o120777), ("l/passwd", b"", 0)], "is both a file and a folder"),
        ([("a", b"", 0), ("l", b"/etc/passwd", 0o120777)], "l is a link to /etc/passwd, which is outside"),
        ([("a", b"", 0), ("l", b"", 0o120777)], "is a link to nowhere"),
        ([("a", b"", 0), ("l", b"x" * 5000, 0o120777)], "target that is too long"),
        ([("null", b"", 0o020666)], "is a device"),
        ([("pipe", b"", 0o010666)], "is a device or another special file"),
    ],
)
def test_hostile_zips_are_refused(tmp_path, members, message):
    with pytest.raises(SourceError, match=message):
        ship(tmp_path, str(zipped(tmp_path / "evil.zip", *members)))
    assert not (tmp_path.parent / "x").exists()


def test_bombs_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "MAX_BYTES", 1 << 30)
    monkeypatch.setattr(unpacking, "MAX_MEMBERS", 100)
    huge = tarfile.TarInfo("zeros")
    huge.size = 1 << 40
    (tmp_path / "big.tar").write_bytes(huge.tobuf() + bytes(10240))
    with pytest.raises(SourceError, match="holds more than 100 files or 1 GiB"):
        ship(tmp_path, "big.tar")
    tar(tmp_path / "many.tar.gz", *(member(str(number)) for number in range(101)))
    with pytest.raises(SourceError, match="holds more than"):
        ship(tmp_path, "many.tar.gz")
    monkeypatch.setattr(unpacking, "MAX_BYTES", 1000)
    links = [member(f"h{number}", type=tarfile.LNKTYPE, linkname="a") for number in range(20)]
    with pytest.raises(SourceError, match="holds more than"):
        ship(tmp_path, str(tar(tmp_path / "hard.tar.gz", member("a", b"x" * 100), *links)))


def test_links_inside_stay_and_hard_links_become_files(tmp_path):
    path = tar(
        tmp_path / "a.tar.gz",
        member("top/a", b"A", mode=0o755),
        member("top/hard", type=tarfile.LNKTYPE, linkname="top/a"),
        member("top/again", type=tarfile.LNKTYPE, linkname="top/hard"),
        member("top/d/soft", type=tarfile.SYMTYPE, linkname="../a"),
        member("top/dangling", type=tarfile.SYMTYPE, linkname="nothing"),
    )
    tree = ship(tmp_path, str(path))
    kinds = {entry.path.decode(): entry.kind for entry in tree.entries}
    assert kinds == {"a": b"x", "again": b"x", "d/soft": b"l", "dangling": b"l", "hard": b"x"}
    assert tree.read("again") == tree.read("d/soft") == b"A"


def test_strange_names_in_archives(tmp_path):
    names = [b"new\nline", b"bad\xff", "\u2603".encode(), b"-x", b"a\\b"]
    path = tar(tmp_path / "a.tar.gz", *(member(os.fsdecode(name)) for name in names))
    assert sorted(map(os.fsencode, ship(tmp_path, str(path)).files)) == sorted(names)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04broken", b"\x1f\x8b\x08broken", b"\xfd7zXZ\0broken"])
def test_what_is_no_archive(tmp_path, content):
    (tmp_path / "a.tar.gz").write_bytes(content)
    with pytest.raises(
        SourceError, match=r"cannot be unpacked \(.+\); make or fetch it again|no files to ship"
    ) as caught:
        ship(tmp_path, "a.tar.gz")
    assert "\n" not in str(caught.value)
    assert not [path for path in (tmp_path / "cache/trees").iterdir() if "unfinished" in path.name]


def test_a_cut_archive(tmp_path):
    whole = tar(tmp_path / "a.tar.gz", member("a", os.urandom(50000))).read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[:30000])
    with pytest.raises(SourceError, match="cannot be unpacked"):
        ship(tmp_path, "cut.tar.gz")
    (tmp_path / "cut.zip").write_bytes(zipped(tmp_path / "a.zip", ("a", os.urandom(50000), 0)).read_bytes()[:30000])
    with pytest.raises(SourceError, match="cannot be unpacked"):
        ship(tmp_path, "cut.zip")


def test_a_member_without_a_name_is_refused(tmp_path):
    content = bytearray(zipped(tmp_path / "a.zip", ("a", b"x", 0)).read_bytes())
    content[content.index(b"PK\x01\x02") + 46] = 0  # a zero byte ends a name in the directory of the archive
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(SourceError, match=r"The archive a\.zip is refused: its member .* has no name"):
        ship(tmp_path, "a.zip")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_archives_never_fail_otherwise(tmp_path_factory, data):
    top = tmp_path_factory.mktemp("damaged")
    if data.draw(st.booleans()):
        path = tar(
            top / "a",
            *FILES,
            member("l", type=tarfile.SYMTYPE, linkname="shop-1.2"),
            mode=data.draw(st.sampled_from(["w", "w:gz", "w:xz"])),
        )
    else:
        path = zipped(top / "a", ("a/b", b"x" * 100, 0o100644), ("a/l", b"b", 0o120777))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content), 1500) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        tree = ship(top, str(path))
    except SourceError as error:
        assert "\n" not in str(error)
    else:
        assert tree.files


def test_sha256_is_checked(tmp_path):
    path = tar(tmp_path / "a.tar.gz", *FILES)
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    assert ship(tmp_path, str(path), sha256=right.upper()).files
    with pytest.raises(SourceError, match=f"has the SHA-256 {right}, not the one of `sha256`"):
        ship(tmp_path, str(path), sha256="0" * 64)
    with pytest.raises(SourceError, match=r"nothing\.zip cannot be read \(No such file"):
        ship(tmp_path, "nothing.zip")
    with pytest.raises(SourceError, match="protocol that is not allowed"):
        ship(tmp_path, "file:///etc/passwd")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        asked: ClassVar[list[tuple[str, str | None]]] = []

        def do_GET(self) -> None:
            self.asked.append((self.path, self.headers.get("Authorization")))
            if self.path.startswith("/redirect"):
                self.send_response(302)
                self.send_header("Location", self.path.partition("?")[2])
                self.end_headers()
                return
            try:
                content = (tmp_path / "www" / self.path.partition("?")[0].lstrip("/")).read_bytes()
            except OSError:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content) + (5 if "short" in self.path else 0)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    (tmp_path / "www").mkdir()
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.asked = Handler.asked
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def test_downloads(tmp_path, server):
    url = f"http://127.0.0.1:{server.server_port}"
    path = tar(tmp_path / "www/shop-1.2.tar.gz", *FILES)
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    tree = ship(tmp_path, f"{url}/redirect?{url}/shop-1.2.tar.gz", run="1")
    assert tree.files == ["app.py", "bin/run"]
    assert "has no `sha256`" in tree.warnings[0]
    tree = ship(tmp_path, f"{url}/shop-1.2.tar.gz?x=/a.b", run="1")
    assert tree.version == "shop-1.2"
    asked = len(server.asked)
    ship(tmp_path, f"{url}/shop-1.2.tar.gz?x=/a.b", run="1")
    assert len(server.asked) == asked  # at most once in a run
    ship(tmp_path, f"{url}/shop-1.2.tar.gz?x=/a.b", run="2")
    assert len(server.asked) == asked + 1
    assert ship(tmp_path, f"{url}/shop-1.2.tar.gz", sha256=right, run="3").warnings == []
    assert len(server.asked) == asked + 1  # known by its hash


def test_passwords_go_to_their_server_only_and_are_not_shown(tmp_path, server):
    host = f"127.0.0.1:{server.server_port}"
    tar(tmp_path / "www/a.tar.gz", *FILES)
    tree = ship(tmp_path, f"http://me:hunter2@{host}/redirect?http://localhost:{server.server_port}/a.tar.gz")
    assert [authorization for _, authorization in server.asked] == ["Basic bWU6aHVudGVyMg==", None]
    assert "hunter2" not in str(tree)
    with pytest.raises(SourceError, match=r"cannot be downloaded \(404 Not Found\)") as caught:
        ship(tmp_path, f"http://me:hunter2@{host}/missing.zip")
    assert "hunter2" not in str(caught.value)


def test_downloads_that_fail(tmp_path, server):
    url = f"http://127.0.0.1:{server.server_port}"
    tar(tmp_path / "www/short.tar.gz", *FILES)
    with pytest.raises(SourceError, match="cannot be downloaded"):
        ship(tmp_path, f"{url}/short.tar.gz")
    for target in ("file:///etc/passwd", "ftp://example.com/x"):
        with pytest.raises(SourceError, match=r"is not allowed|it redirects to ftp:.*, which is less safe"):
            ship(tmp_path, f"{url}/redirect?{target}")
    with pytest.raises(SourceError, match="cannot be downloaded"):
        ship(tmp_path, f"{url}/redirect?{url}/redirect")
    with pytest.raises(SourceError, match=r"cannot be downloaded \(.*refused"):
        ship(tmp_path, "http://127.0.0.1:9/a.zip")
    assert not list((tmp_path / "cache/downloads").iterdir())


def test_a_redirect_from_https_to_http_is_refused():
    request = urllib.request.Request("https://example.com/a.zip")
    for target in ("http://example.com/a.zip", "ftp://example.com/a.zip"):
        with pytest.raises(urllib.error.URLError, match="less safe"):
            archive._Redirects().redirect_request(request, io.BytesIO(), 302, "Found", {}, target)


def test_packages(tmp_path):
    tree = ship(tmp_path, "httpbin==0.10.4", kind="package")
    assert (tree.version, tree.files, tree.root, tree.warnings) == ("0.10.4", ["requirements.txt"], None, [])
    assert tree.read("requirements.txt") == b"httpbin==0.10.4\n"
    assert (tree.lock.kind, tree.lock.path, tree.lock.local) == ("requirements.txt", "requirements.txt", False)
    tree.write_tar(tmp_path / "tar")
    with tarfile.open(tmp_path / "tar") as tar:
        assert tar.extractfile("requirements.txt").read() == b"httpbin==0.10.4\n"
    more = ship(tmp_path, "httpbin[mainapp]==0.10.4", ["gevent==24.2.1"], kind="package")
    assert more.read("requirements.txt") == b"httpbin[mainapp]==0.10.4\ngevent==24.2.1\n"
    assert len({tree.hash, more.hash}) == len({tree.lock.hash, more.lock.hash}) == 2
    for loose in ("httpbin", "httpbin>=0.10", "httpbin==0.*"):
        tree = ship(tmp_path, loose, kind="package")
        assert tree.version == "httpbin"
        assert "pin it" in tree.warnings[0]


@pytest.mark.parametrize(
    "value", ["-r /etc/passwd", "--index-url=x", "a\n-r x", "./x", "/x", "a b", "", "a==1 --pre", "a==1 # x", "a==1 \\"]
)
def test_what_is_no_package(tmp_path, value):
    with pytest.raises(SourceError, match="package"):
        ship(tmp_path, value, kind="package")
