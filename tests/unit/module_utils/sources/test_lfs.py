"""What only stands for content is fetched or refused, and never served."""

from __future__ import annotations

import hashlib
import http.server
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import sources
from ansible_collections.slipway.kit.plugins.module_utils.sources import SourceError, lfs

from tests.unit.module_utils.sources.trees import git

CONTENT = b"the model\n" * 1000
OID = hashlib.sha256(CONTENT).hexdigest()
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize {len(CONTENT)}\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a pointer that no .gitattributes names, and without its content."""
    folder = tmp_path / "repository"
    (folder / "models").mkdir(parents=True)
    (folder / "web.py").write_text("app = None\n")
    (folder / "requirements.txt").write_text("")
    (folder / "models/m.bin").write_text(POINTER)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "one")
    return folder


def fetch(tmp_path: Path, **source: Any) -> sources.Tree:
    return sources.fetch(
        source, requirements=[], base=tmp_path, cache=tmp_path / "cache", log=lambda text: None, run="a"
    )


def store(folder: Path, content: bytes = CONTENT) -> None:
    place = folder / OID[:2] / OID[2:4]
    place.mkdir(parents=True)
    (place / OID).write_bytes(content)


class Server(http.server.SimpleHTTPRequestHandler):
    """A repository over HTTP, and its Git LFS server: what it holds, and what it was asked."""

    asked: ClassVar[list[str]] = []
    holds: ClassVar[dict[str, bytes]] = {}

    def log_message(self, format: str, *args: Any) -> None:
        self.asked.append(f"{self.command} {self.path}")

    def do_POST(self) -> None:
        wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["objects"]
        here = f"http://127.0.0.1:{self.server.server_address[1]}"
        objects: list[dict[str, Any]] = [
            {**one, "actions": {"download": {"href": f"{here}/content/{one['oid']}"}}} for one in wanted
        ]
        self._answer(json.dumps({"transfer": "basic", "objects": objects}).encode(), "application/vnd.git-lfs+json")

    def do_GET(self) -> None:
        if self.path.startswith("/content/"):
            self._answer(self.holds[self.path.rpartition("/")[2]], "application/octet-stream")
        else:
            super().do_GET()

    def _answer(self, data: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def remote(repository: Path, tmp_path: Path) -> Iterator[tuple[str, type[Server]]]:
    """The repository's address, and the server."""
    served = tmp_path / "served"

    def handler(*args: Any) -> Server:
        return Server(*args, directory=str(served))

    Server.asked, Server.holds = [], {OID: CONTENT}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/a.git", Server
        server.shutdown()


def publish(repository: Path) -> None:
    target = repository.parent / "served/a.git"
    git(repository, "clone", "-q", "--bare", str(repository), str(target))
    git(target, "update-server-info")


def test_content_is_fetched_from_the_repository_s_own_server(
    tmp_path: Path, repository: Path, remote: tuple[str, type[Server]]
) -> None:
    publish(repository)
    tree = fetch(tmp_path, git=remote[0], version="main")
    assert tree.read("models/m.bin") == CONTENT
    assert "POST /a.git/info/lfs/objects/batch" in remote[1].asked


def test_a_source_names_no_other_server(tmp_path: Path, repository: Path, remote: tuple[str, type[Server]]) -> None:
    elsewhere = remote[0].replace("a.git", "elsewhere")
    (repository / ".lfsconfig").write_text(f'[lfs]\n\turl = {elsewhere}\n[remote "origin"]\n\tlfsurl = {elsewhere}\n')
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "two")
    publish(repository)
    assert fetch(tmp_path, git=remote[0], version="main").read("models/m.bin") == CONTENT
    assert not [one for one in remote[1].asked if "elsewhere" in one]


def test_wrong_content_is_refused(tmp_path: Path, repository: Path, remote: tuple[str, type[Server]]) -> None:
    publish(repository)
    remote[1].holds = {OID: b"not " + CONTENT[4:]}
    with pytest.raises(SourceError, match=r"models/m\.bin is in Git LFS"):
        fetch(tmp_path, git=remote[0], version="main")


def test_without_git_lfs_it_is_refused_by_name_with_the_remedy(
    tmp_path: Path, repository: Path, remote: tuple[str, type[Server]], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(repository)
    monkeypatch.setattr(lfs.shutil, "which", lambda name: None)
    with pytest.raises(SourceError, match=r"models/m\.bin is in Git LFS .* apt-get install git-lfs"):
        fetch(tmp_path, git=remote[0], version="main")


def test_a_repository_on_this_machine_has_its_content_beside_it(tmp_path: Path, repository: Path) -> None:
    with pytest.raises(SourceError, match=r"models/m\.bin is in Git LFS and not available: push it"):
        fetch(tmp_path, git=str(repository), version="main")
    store(repository / ".git/lfs/objects")
    tree = fetch(tmp_path, git=str(repository), version="main")
    assert tree.read("models/m.bin") == CONTENT


def test_a_folder_is_refused_with_the_files_and_the_remedy(tmp_path: Path, repository: Path) -> None:
    for number in range(8):
        (repository / f"models/{number}.bin").write_text(POINTER)
    with pytest.raises(SourceError) as caught:
        fetch(tmp_path, path=str(repository))
    assert "models/0.bin, models/1.bin, models/2.bin, models/3.bin, models/4.bin and 4 more" in str(caught.value)
    assert "`git lfs pull`" in str(caught.value)


def test_an_archive_is_refused(tmp_path: Path, repository: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(repository / "models", "models")
    with pytest.raises(SourceError, match=r"m\.bin is in Git LFS and not here"):
        fetch(tmp_path, archive="a.tar.gz")


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (POINTER, True),
        (POINTER.replace("git-lfs.github.com", "hawser.github.com"), True),
        (POINTER.replace("oid", "ext-0-foo sha256:" + "a" * 64 + "\noid"), True),
        (POINTER.rstrip("\n"), True),
        ("# " + POINTER, False),
        (POINTER + "more\n", False),
        (POINTER.replace("sha256", "md5"), False),
        ("version https://git-lfs.github.com/spec/v1\n", False),
        (POINTER + "x" * 1024, False),
    ],
)
def test_a_pointer_is_known_by_its_own_format(data: str, wanted: bool) -> None:
    assert lfs.is_pointer(data.encode()) is wanted


def test_a_submodule_that_is_not_there_is_refused(tmp_path: Path, repository: Path) -> None:
    (repository / "models/m.bin").unlink()
    (repository / ".gitmodules").write_text('[submodule "x"]\n\tpath = libs/x\n\turl = ../x\n')
    with pytest.raises(SourceError, match=r"submodule libs/x: run `git submodule update --init`"):
        fetch(tmp_path, path=str(repository))
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(repository / ".gitmodules", ".gitmodules")
        archive.add(repository / "web.py", "web.py")
    with pytest.raises(SourceError, match="submodule libs/x"):
        fetch(tmp_path, archive="a.tar.gz")
    (repository / "libs/x").mkdir(parents=True)
    (repository / "libs/x/a.py").write_text("")
    assert fetch(tmp_path, path=str(repository)).find("libs/x/a.py")
