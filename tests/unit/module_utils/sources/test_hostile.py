"""Sources of another user: a repository that would have git run commands, a folder that changes while it is read."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.sources import (
    SourceError,
    Tree,
    descriptors,
    fetch,
    files,
    folder,
    worktree,
)

from tests.patience import patience
from tests.unit.module_utils.sources.trees import git, ship, unpack, write


def owned(tmp_path: Path) -> str:
    """A program that leaves a file as its mark."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/owned\nexit 1\n")
    program.chmod(0o755)
    return str(program)


def partial(root: Path, url: str, **settings: str) -> Path:
    """A partial clone of which a blob is missing that `ls-files --others` wants: an ignore file that is not checked out."""
    write(root, {"app.py": "", "x.log": "", "sub/.gitignore": "*.log", "sub/x.py": ""})
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-f", "app.py", "sub")
    git(root, "commit", "-qm", "one")
    blob = subprocess.run(
        ["git", "rev-parse", ":sub/.gitignore"], cwd=root, capture_output=True, text=True, check=True
    ).stdout.strip()
    git(root, "update-index", "--skip-worktree", "sub/.gitignore")
    (root / "sub/.gitignore").unlink()
    write(root, {"sub/y.log": ""})
    (root / ".git/objects" / blob[:2] / blob[2:]).unlink()
    for key, value in {
        "core.repositoryformatversion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.url": url,
        "remote.origin.promisor": "true",
        **settings,
    }.items():
        git(root, "config", key, value)
    return root


def uploadpack(tmp_path: Path, root: Path) -> Path:
    return partial(root, f"{tmp_path}", **{"remote.origin.uploadpack": owned(tmp_path)})


def ssh(tmp_path: Path, root: Path) -> Path:
    return partial(root, "ssh://localhost/x", **{"core.sshCommand": owned(tmp_path)})


def proxy(tmp_path: Path, root: Path) -> Path:
    return partial(root, "git://localhost/x", **{"core.gitProxy": owned(tmp_path)})


def included(tmp_path: Path, root: Path) -> Path:
    (tmp_path / "more").write_text(f'[remote "origin"]\nuploadpack = {owned(tmp_path)}\n')
    return partial(root, f"{tmp_path}", **{"include.path": f"{tmp_path}/more"})


def included_here(tmp_path: Path, root: Path) -> Path:
    (tmp_path / "more").write_text(f'[remote "origin"]\nuploadpack = {owned(tmp_path)}\n')
    return partial(root, f"{tmp_path}", **{"includeIf.gitdir:**.path": f"{tmp_path}/more"})


def per_work_tree(tmp_path: Path, root: Path) -> Path:
    partial(root, f"{tmp_path}", **{"extensions.worktreeConfig": "true"})
    (root / ".git/config.worktree").write_text(f'[remote "origin"]\nuploadpack = {owned(tmp_path)}\n')
    return root


def elsewhere(tmp_path: Path, root: Path) -> Path:
    uploadpack(tmp_path, root)
    (root / ".git").rename(tmp_path / "elsewhere")
    (root / ".git").write_text(f"gitdir: {tmp_path}/elsewhere\n")
    return root


def linked(tmp_path: Path, root: Path) -> Path:
    uploadpack(tmp_path, root)
    (root / ".git").rename(tmp_path / "elsewhere")
    (root / ".git").symlink_to(tmp_path / "elsewhere")
    return root


def common(tmp_path: Path, root: Path) -> Path:
    """The files that a second work tree shares with the first."""
    uploadpack(tmp_path, tmp_path / "first")
    git(tmp_path / "first", "worktree", "add", "-q", "--no-checkout", "-b", "other", str(root))
    shutil.copy(tmp_path / "first/.git/index", tmp_path / "first/.git/worktrees/app/index")
    return write(root, {"app.py": "", "sub/x.py": "", "sub/y.log": ""})


def nested(tmp_path: Path, root: Path) -> Path:
    write(root, {"top.py": ""})
    git(root, "init", "-q")
    uploadpack(tmp_path, root / "inner")
    return root


def submodule(tmp_path: Path, root: Path) -> Path:
    nested(tmp_path, root)
    git(root, "add", "inner")
    return root


def above(tmp_path: Path, root: Path) -> Path:
    uploadpack(tmp_path, root)
    return root / "sub"


def monitor(tmp_path: Path, root: Path) -> Path:
    write(root, {"app.py": ""})
    git(root, "init", "-q")
    git(root, "config", "core.fsmonitor", owned(tmp_path))
    return root


def hook(tmp_path: Path, root: Path) -> Path:
    write(root, {"app.py": ""})
    git(root, "init", "-q")
    git(root, "add", ".")
    for name in ("post-index-change", "fsmonitor-watchman", "query-watchman", "post-checkout"):
        (root / ".git/hooks").mkdir(exist_ok=True)
        shutil.copy(owned(tmp_path), root / ".git/hooks" / name)
    git(root, "config", "core.fsmonitor", ".git/hooks/query-watchman")
    git(root, "config", "core.untrackedCache", "true")
    return root


def driver(tmp_path: Path, root: Path) -> Path:
    """Filters and diff programs, set by attributes."""
    write(root, {"app.py": "x", ".gitattributes": "* filter=evil diff=evil merge=evil"})
    git(root, "init", "-q")
    git(root, "add", ".")
    for key in ("filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "diff.evil.textconv", "core.pager"):
        git(root, "config", key, owned(tmp_path))
    (root / "app.py").write_text("y")
    return root


TRICKS = [
    *(uploadpack, ssh, proxy, included, included_here, per_work_tree, elsewhere, linked, common, nested, submodule),
    *(above, monitor, hook, driver),
]


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: trick.__name__)
def test_a_repository_has_git_run_nothing(tmp_path: Path, trick: Callable[[Path, Path], Path]) -> None:
    root = trick(tmp_path, tmp_path / "app")
    (tmp_path / "owned").unlink(missing_ok=True)
    try:
        assert any(name.endswith(".py") for name in ship(root).files)
    finally:
        assert not (tmp_path / "owned").exists()


def test_nor_does_one_that_is_fetched(tmp_path: Path) -> None:
    root = uploadpack(tmp_path, tmp_path / "app")
    (tmp_path / "owned").unlink(missing_ok=True)
    with pytest.raises(SourceError, match="Cannot fetch"):
        fetch(
            {"git": str(root), "version": "main"},
            requirements=None,
            base=root,
            cache=tmp_path / "cache",
            log=lambda text: None,
        )
    assert not (tmp_path / "owned").exists()


def test_a_work_tree_that_its_configuration_puts_elsewhere_is_where_it_lies(tmp_path: Path) -> None:
    write(tmp_path / "secret", {"key": "x"})
    root = write(tmp_path / "app", {"app.py": ""})
    git(root, "init", "-q")
    git(root, "config", "core.worktree", str(tmp_path / "secret"))
    assert ship(root).files == ["app.py"]


def test_an_index_names_nothing_outside(tmp_path: Path) -> None:
    write(tmp_path / "secret", {"key": "x"})
    root = write(tmp_path / "app", {"app.py": ""})
    git(root, "init", "-q")
    blob = subprocess.run(
        ["git", "hash-object", "-w", "app.py"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    names = ["AAAAAAAAAAAAA", "BBBBBBBBBBBBB"]
    for name in names:
        git(root, "update-index", "--add", "--cacheinfo", f"100644,{blob.strip()},{name}")
    index = (root / ".git/index").read_bytes()[:-20]
    index = index.replace(b"AAAAAAAAAAAAA", b"../secret/key").replace(b"BBBBBBBBBBBBB", b"/etc/hostname")
    (root / ".git/index").write_bytes(index + bytes.fromhex(_sha1(index)))
    assert ship(root).files == ["app.py"]


def _sha1(data: bytes) -> str:
    return subprocess.run(["sha1sum"], input=data, capture_output=True, check=True).stdout[:40].decode()


# The list is the same as git's own in the repository.


def plain(root: Path) -> None:
    pass


def split(root: Path) -> None:
    git(root, "update-index", "--split-index")
    write(root, {"later.py": ""})
    git(root, "add", "later.py")


def sparse(root: Path) -> None:
    git(root, "sparse-checkout", "set", "--cone", "--sparse-index", "shop")


def untracked_cache(root: Path) -> None:
    git(root, "update-index", "--untracked-cache")
    git(root, "status")


def version_4(root: Path) -> None:
    git(root, "update-index", "--index-version", "4")


def excludes(root: Path) -> None:
    (root / ".git/info/exclude").write_text("loose.py\n")


@pytest.mark.parametrize(
    "how", [plain, split, sparse, untracked_cache, version_4, excludes], ids=lambda how: how.__name__
)
@pytest.mark.parametrize("hashes", ["sha1", "sha256"])
def test_what_git_lists_is_listed(tmp_path: Path, how: Callable[[Path], None], hashes: str) -> None:
    root = write(
        tmp_path / "app",
        {".gitignore": "*.log\n!keep.log\n/build/", "app.py": "", "x.log": "", "keep.log": "", "build/x": "",
         "shop/a.py": "", "shop/deep/b.py": "", "docs/index.md": "", "docs/.gitignore": "*.tmp"},
    )  # fmt: skip
    git(root, "init", "-q", f"--object-format={hashes}")
    git(root, "add", ".")
    git(root, "commit", "-qm", "one")
    how(root)
    write(root, {"loose.py": "", "shop/new.py": ""})
    if how is not sparse:  # an ignore file that is not checked out is not looked for in the repository
        write(root, {"docs/x.tmp": ""})
    names = {
        name
        for option in (("--cached",), ("--others", "--exclude-standard"))
        for name in subprocess.run(["git", "ls-files", "-z", *option], cwd=root, capture_output=True, text=True, check=True)
        .stdout.split("\0")
    }  # fmt: skip
    assert set(ship(root).files) == {name for name in names if name and (root / name).exists()}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("nonsense\n", "does not say where its repository is; remove it"),
        ("gitdir: nowhere\n", "is not there; remove"),
        ("gitdir: " + "x" * (worktree.SMALL + 1), "does not say where"),
    ],
)
def test_a_broken_link_to_a_repository(tmp_path: Path, content: str, message: str) -> None:
    root = write(tmp_path / "app", {"app.py": "", ".git": content})
    with pytest.raises(SourceError, match=message):
        ship(root)


def test_an_index_that_cannot_be_read(tmp_path: Path) -> None:
    root = write(tmp_path / "app", {"app.py": ""})
    git(root, "init", "-q")
    os.mkfifo(root / ".git/index")
    with pytest.raises(SourceError, match=r"The index of the repository .* cannot be read"):
        ship(root)


# Folders that change while they are read


@pytest.fixture
def swapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """A folder whose `sub` becomes a link to a secret one at the moment of an action's first call."""
    write(tmp_path / "secret", {"conf/key": "hunter2", "key": "hunter2"})
    root = write(tmp_path / "app", {"app.py": "", "sub/conf/key": "mine", "sub/key": "mine", "zoo/x": ""})

    def swap() -> None:
        if (root / "sub").is_symlink():
            return
        (root / "sub").rename(tmp_path / "moved")
        (root / "sub").symlink_to(tmp_path / "secret")

    def at(moment: str) -> Path:
        calls = {
            "before": ("open", b"sub"),
            "looking": ("stat", b"sub"),
            "reading": ("open", b"key"),
            "scanning": ("scandir", b""),
        }
        name, wanted = calls[moment]
        real = getattr(os, name)

        def hooked(path: Any, *arguments: Any, **options: Any) -> Any:
            if not wanted or os.path.basename(os.fsencode(path)) == wanted:
                swap()
            return real(path, *arguments, **options)

        monkeypatch.setattr(os, name, hooked)
        return root

    yield at


@pytest.mark.parametrize("moment", ["before", "looking", "reading", "scanning"])
@pytest.mark.parametrize("repository", [False, True], ids=["folder", "work tree"])
def test_a_folder_that_becomes_a_link_leads_nowhere(
    tmp_path: Path, swapped: Callable[[str], Path], moment: str, repository: bool
) -> None:
    if repository:
        git(tmp_path / "app", "init", "-q")
    root = swapped(moment)
    try:
        tree = ship(root)
        unpack(tree, tmp_path)
        content = tree.read("sub/key"), tree.read("sub/conf/key")
    except SourceError as error:
        assert re.search(r"changed while the source was being read|is outside of the source", str(error))
    else:
        assert set(content) <= {b"mine", None}


def test_a_folder_that_is_swapped_all_the_time_leads_nowhere(tmp_path: Path) -> None:
    write(tmp_path / "secret", {"key": "hunter2"})
    root = write(tmp_path / "app", {"app.py": "", "sub/key": "mine"})
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    end = threading.Event()

    def swap() -> None:
        while not end.is_set():
            os.rename(root / "sub", tmp_path / "moved")
            os.rename(tmp_path / "link", root / "sub")
            os.rename(root / "sub", tmp_path / "link")
            os.rename(tmp_path / "moved", root / "sub")

    thread = threading.Thread(target=swap)
    thread.start()
    seen = set()
    try:
        for _number in range(300):
            try:
                tree: Tree = ship(root)
                seen.add(tree.read("sub/key"))
            except SourceError as error:
                seen.add(str(error)[:0])
    finally:
        end.set()
        thread.join()
    assert seen <= {b"mine", None, ""}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give the link away")
def test_a_link_of_another_user_on_the_way_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "real", {"app.py": ""})
    (tmp_path / "link").symlink_to("real")
    assert ship(tmp_path / "link").files == ["app.py"]
    os.chown(tmp_path / "link", 12345, 12345, follow_symlinks=False)
    with pytest.raises(
        SourceError, match="link is a link that user 12345 made, who may turn it elsewhere; name the folder"
    ):
        ship(tmp_path / "link")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_folders_on_the_way_need_only_be_entered(tmp_path: Path) -> None:
    write(tmp_path / "a/b/app", {"app.py": "x"})
    for path, mode in (
        (tmp_path / "a", 0o711),
        (tmp_path / "a/b", 0o711),
        (tmp_path, 0o711),
        *((p, 0o711) for p in tmp_path.parents if p != Path("/") and p != Path("/tmp")),
    ):
        path.chmod(mode)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgid(12345)
            os.setuid(12345)
            with descriptors.Folder(tmp_path / "a/b/app") as app:
                status = 0 if app.read(b"app.py", 10) == b"x" and worktree.find(tmp_path / "a/b/app") is None else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


# Limits


def test_a_folder_that_is_nested_too_deeply(tmp_path: Path) -> None:
    root = write(tmp_path / "app", {"app.py": ""})
    at = os.open(root, os.O_RDONLY)
    for _number in range(3000):  # deeper than a path may be long
        os.mkdir("d", dir_fd=at)
        inner = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(at)
    try:
        with pytest.raises(SourceError, match="nested more than 100 folders deep"):
            ship(root)
    finally:
        subprocess.run(["rm", "-rf", str(root)], check=True)  # pytest could not


def test_a_folder_with_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "MAX_MEMBERS", 10)
    root = write(tmp_path / "app", {f"{number}": "" for number in range(11)})
    with pytest.raises(SourceError, match="more than 10 files"):
        ship(root)


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_BYTES", 5 << 20)
    root = write(tmp_path / "app", {"app.py": ""})
    with (root / "hole").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(SourceError, match="GiB to ship; ship less"):
        ship(root)


def test_a_lock_that_is_too_large(tmp_path: Path) -> None:
    root = write(tmp_path / "app", {"app.py": ""})
    with (root / "requirements.txt").open("wb") as file:
        file.truncate(files.MAX_READ + 1)
    with pytest.raises(SourceError, match=r"requirements.txt has 16 MiB, and at most 16 are read"):
        ship(root)


def test_repositories_within_repositories_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "DEPTH", 2)
    root = at = tmp_path / "app"
    for _number in range(5):
        write(at, {"app.py": ""})
        git(at, "init", "-q")
        at = at / "in"
    with pytest.raises(SourceError, match="repositories are nested more than 2 deep"):
        ship(root)


# Archives: the sizes in their headers cost no more than their content


def header(kind: bytes, size: int, name: str = "x") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def block(kind: bytes, data: bytes) -> bytes:
    """A header with what it describes."""
    return header(kind, len(data)) + data + bytes(-len(data) % 512)


def packed(path: Path, *parts: bytes) -> None:
    with gzip.open(path, "wb", 1) as out:
        for part in parts:
            out.write(part)


def pax(**values: str) -> bytes:
    """Attributes; each begins with its own length."""
    lines = [f" {key.replace('_', '.')}={value}\n" for key, value in values.items()]
    return "".join(f"{len(line) + 2 if len(line) < 98 else len(line) + 3}{line}" for line in lines).encode()


FILE = header(tarfile.REGTYPE, 0)
LONG = b"a" * (60 << 20)
SPARSE = {"GNU_sparse_major": "1", "GNU_sparse_minor": "0", "GNU_sparse_name": "x"}


def zipped_zeros(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out, out.open("x", "w") as one:
        for _number in range(256):
            one.write(bytes(1 << 20))


def zip_list(path: Path) -> None:
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 3, 20, 0, *[0] * 7, 60_000, *[0] * 6) + b"n" * 60_000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1000, 1000, len(entry) * 1000, 4, 0)
    path.write_bytes(b"PK\3\4" + entry * 1000 + end)


def zip_lzma(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as out:
        out.writestr("x", "y" * 1000)


def xz(path: Path, size: int, **how: Any) -> None:
    with lzma.open(path, "wb", **how) as out:
        out.write(header(tarfile.REGTYPE, size))
        for _number in range(size >> 20):
            out.write(bytes(1 << 20))


def empty_streams(path: Path, compress: Callable[[bytes], bytes]) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as out:
        out.addfile(tarfile.TarInfo("app.py"))
    path.write_bytes(compress(b"") * 60_000 + compress(plain.getvalue()))


BOMBS: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "long name": (
        lambda path: packed(path, block(tarfile.GNUTYPE_LONGNAME, bytes(256 << 20)), FILE),
        "200 times larger",
    ),
    "long name as it is": (
        lambda path: path.write_bytes(block(tarfile.GNUTYPE_LONGNAME, LONG) + FILE),
        "headers are longer",
    ),
    "long link": (lambda path: packed(path, block(tarfile.GNUTYPE_LONGLINK, LONG), FILE), "headers are longer"),
    "pax": (lambda path: packed(path, block(tarfile.XHDTYPE, LONG), FILE), "headers are longer"),
    "pax for all": (lambda path: packed(path, block(tarfile.XGLTYPE, LONG), FILE), "headers are longer"),
    "attributes for all": (
        lambda path: packed(
            path,
            *(
                block(tarfile.XGLTYPE, pax(**{f"k{number}.{one}": "x" for one in range(2000)})) + FILE
                for number in range(300)
            ),
        ),
        "more than 32 attributes",
    ),
    "a chain": (lambda path: packed(path, header(tarfile.XHDTYPE, 0) * 100_000, FILE), "headers are (longer|nested)"),
    "a chain of names": (
        lambda path: packed(path, header(tarfile.GNUTYPE_LONGNAME, 0) * 100_000, FILE),
        "headers are (longer|nested)",
    ),
    "a sparse map": (
        lambda path: packed(
            path,
            block(tarfile.XHDTYPE, pax(**SPARSE, GNU_sparse_realsize="1")),
            block(tarfile.REGTYPE, b"9000000\n" + b"1\n" * 18_000_000),
        ),
        "headers are longer",
    ),
    "a hole": (
        lambda path: packed(
            path,
            block(tarfile.XHDTYPE, pax(**SPARSE, GNU_sparse_realsize="3000000000")),
            block(tarfile.REGTYPE, b"0\n".ljust(512, b"\0")),
        ),
        "200 times larger",
    ),
    "zeros": (lambda path: packed(path, header(tarfile.REGTYPE, 3 << 30), bytes(256 << 20)), "200 times larger"),
    "zeros in xz": (lambda path: xz(path, 256 << 20, preset=0), "200 times larger"),
    "empty streams in gzip": (lambda path: empty_streams(path, gzip.compress), "more than 50000 compressed streams"),
    "empty streams in xz": (lambda path: empty_streams(path, lzma.compress), "more than 50000 compressed streams"),
    "empty streams in bzip2": (lambda path: empty_streams(path, bz2.compress), "more than 50000 compressed streams"),
    "memory for xz": (
        lambda path: xz(path, 1 << 20, filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 30}]),
        r"cannot be unpacked \(Memory usage limit exceeded\)",
    ),
    "deep": (
        lambda path: packed(path, block(tarfile.GNUTYPE_LONGNAME, b"d/" * 1500 + b"x\0"), FILE),
        "is nested more than 100 folders deep",
    ),
    "a wide name": (
        lambda path: packed(path, block(tarfile.GNUTYPE_LONGNAME, b"d" * 5000 + b"\0"), FILE),
        "has a name of more than 4096 bytes",
    ),
    "a wide link": (
        lambda path: packed(path, block(tarfile.GNUTYPE_LONGLINK, b"d" * 5000 + b"\0"), header(tarfile.SYMTYPE, 0)),
        "a target that is too long",
    ),
    "names": (
        lambda path: packed(
            path, *(block(tarfile.GNUTYPE_LONGNAME, b"%04000d\0" % number) + FILE for number in range(20_000))
        ),
        "names take more than 64 MiB",
    ),
    "zeros in a zip": (zipped_zeros, "200 times larger"),
    "a zip by LZMA": (zip_lzma, "is packed in another way than deflate"),
    "the list of a zip": (zip_list, "headers are longer"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_an_archive_costs_no_more_than_it_has(tmp_path: Path, name: str) -> None:
    """A separate process reads it, since a process's peak of memory cannot be set back."""
    make, message = BOMBS[name]
    make(tmp_path / "evil")
    script = f"""
import resource, sys
sys.path[:0] = [{str(Path(__file__).parents[4] / "collections")!r}]
from pathlib import Path
from ansible_collections.slipway.kit.plugins.module_utils.sources import SourceError, fetch
place = Path({str(tmp_path)!r})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    fetch({{"archive": "evil"}}, requirements=None, base=place, cache=place / "cache", log=print)
except SourceError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    *output, grown = result.stdout.splitlines() or ["", "0"]
    assert re.search(message, "\n".join(output)), result.stdout + result.stderr
    assert int(grown) < 150 << 10  # kB: the names of the bomb with as many entries as are allowed


def test_an_archive_is_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tar")
    with pytest.raises(SourceError, match="is no regular file; correct `archive`"):
        archived(tmp_path, "a.tar")


def archived(tmp_path: Path, name: str) -> Tree:
    return fetch({"archive": name}, requirements=None, base=tmp_path, cache=tmp_path / "cache", log=lambda text: None)


@pytest.mark.parametrize("padding", [b"", bytes(8), bytes(100_000)])
@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_an_archive_of_several_streams_is_read(
    tmp_path: Path, compress: Callable[[bytes], bytes], padding: bytes
) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        info = tarfile.TarInfo("app.py")
        info.size = 5 << 20
        tar.addfile(info, io.BytesIO(os.urandom(1 << 20) + bytes(4 << 20)))
    data = plain.getvalue()
    (tmp_path / "a.tar.x").write_bytes(compress(data[:900_000]) + padding + compress(data[900_000:]) + padding)
    assert [(one.path, one.size) for one in archived(tmp_path, "a.tar.x").entries] == [(b"app.py", 5 << 20)]
    cut = (tmp_path / "a.tar.x").read_bytes()[:500_000]
    (tmp_path / "b.tar.x").write_bytes(cut)
    with pytest.raises(SourceError, match="ends too early"):
        archived(tmp_path, "b.tar.x")


# Files that list what to install


@pytest.mark.parametrize("name", ["uv.lock", "pylock.toml", "pyproject.toml"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a = " + "[" * 5000 + "]" * 5000, "is nested too deeply; make it again"),
        ("a = " + "{a = " * 5000 + "1" + "}" * 5000, "is nested too deeply; make it again"),
        ("a" + ".a" * 1_000_000 + " = 1", "has keys with thousands of dots"),
        ("[" + "a." * 1_000_000 + "a]", "has keys with thousands of dots"),
        ("".join(f"k{n}" + ".a" * 2_000 + " = 1\n" for n in range(10)), "has keys with thousands of dots"),
        ("a = " + "9" * 10_000, "is no valid TOML"),
        ('a = "' + "\\u0" * 10, "is no valid TOML"),
    ],
    ids=["arrays", "tables", "keys", "headers", "many keys", "digits", "cut"],
)
def test_toml_that_is_made_to_hurt(tmp_path: Path, name: str, content: str, message: str) -> None:
    root = write(tmp_path / "app", {"app.py": "", "pyproject.toml": "[project]\nname = 'x'\n", name: content})
    with pytest.raises(SourceError, match=message):
        ship(root)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("pyproject.toml", "[project]\nname = 'x'\ndynamic = 5\ndependencies = 5\n", None),
        ("pyproject.toml", "[project]\nname = 'x'\n[tool.uv.sources]\na = {path = 5}\n", "whose path is not a text"),
        ("pylock.toml", "[[packages]]\ndirectory = {path = [1]}\n", "whose path is not a text"),
        ("pylock.toml", "[[packages]]\nsdist = {path = {a = 1}}\n", "whose path is not a text"),
        ("uv.lock", "package = [1, {source = 5, wheels = 5, sdist = 5}]\n", None),
        ("requirements.txt", "x" * 70_000, "line 1 has more than 64000 characters"),
        ("requirements.txt", "a \\\n" * 70_000, "line 1 has more than 64000 characters"),
        ("requirements.txt", "a" + " " * 60_000 + "b", None),
        ("requirements.txt", "a" + "[" * 60_000 + "b", None),
        ("requirements.txt", "#" * 60_000 + " " * 3_000, None),
    ],
)  # fmt: skip
def test_dependencies_of_wrong_types_and_sizes(tmp_path: Path, name: str, content: str, message: str | None) -> None:
    root = write(tmp_path / "app", {"app.py": "", "pyproject.toml": "[project]\nname = 'x'\n", name: content})
    begun = time.monotonic()
    if message:
        with pytest.raises(SourceError, match=message):
            ship(root)
    else:
        ship(root)
    assert time.monotonic() - begun < patience(5)


LONG_NUMBER = "1" * 5_000
"""Python refuses a number of so many digits, and packaging then raises another error than for a wrong version."""
BUILT = "[build-system]\nrequires = []\nbuild-backend = 'x'\n"
POETRY = "[tool.poetry]\nname = 'x'\nversion = '1'\n[tool.poetry.dependencies]\np = '*'\n"
UV_TWO = "".join(
    f"[[package]]\nname = 'p'\nversion = '{one}'\nsource = {{registry = 'x'}}\n" for one in (LONG_NUMBER, "2")
)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"pyproject.toml": f"[project]\nname = 'x'\nversion = '1.{LONG_NUMBER}'\n{BUILT}"}, None),
        ({"uv.lock": f"{UV_TWO}[[package]]\nname = 'x'\nsource = {{virtual = '.'}}\ndependencies = [{{name = 'p', version = '{LONG_NUMBER}'}}]\n"}, None),
        ({"pyproject.toml": POETRY, "poetry.lock": f"[[package]]\nname = 'p'\nversion = '{LONG_NUMBER}'\n"}, "poetry.lock cannot be used"),
        ({"pdm.lock": f"[[package]]\nname = 'p'\nversion = '{LONG_NUMBER}'\ngroups = ['default']\n"}, "pdm.lock cannot be used"),
        ({"Pipfile": "", "Pipfile.lock": f'{{"default": {{"p": {{"version": "=={LONG_NUMBER}"}}}}}}'}, "Pipfile.lock cannot be used"),
        ({"Pipfile": "", "Pipfile.lock": f'{{"default": {LONG_NUMBER}}}'}, "Pipfile.lock is no valid JSON"),
        ({"Pipfile": "", "Pipfile.lock": '{"default": {"p": {"version": "==1", "markers": "\\u001b]0;x\\ud800"}}}'}, r"an invalid marker \(\\x1b\]0;x\\ud800\)"),
        ({"Pipfile": "", "Pipfile.lock": f'{{"default": {{"p": {{"version": "==1", "markers": "{"(" * 50_000}"}}}}}}'}, "Pipfile.lock cannot be used"),
    ],
    ids=["project", "uv", "poetry", "pdm", "pipenv", "json", "escapes", "deep marker"],
)  # fmt: skip
def test_numbers_and_markers_that_are_made_to_hurt(tmp_path: Path, files: dict[str, str], message: str | None) -> None:
    root = write(tmp_path / "app", {"app.py": "", "pyproject.toml": "[project]\nname = 'x'\n", **files})
    if message:
        with pytest.raises(SourceError, match=message):
            ship(root)
    else:
        ship(root)


def test_requirements_that_include_one_another_without_end(tmp_path: Path) -> None:
    names = {f"r{number}.txt": f"-r r{number + 1}.txt\n" for number in range(3000)}
    root = write(tmp_path / "app", {**names, "requirements.txt": "-r r0.txt\n", "r3000.txt": ""})
    with pytest.raises(SourceError, match="includes more than 50 files"):
        ship(root)


def test_an_index_costs_no_more_memory_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names share their beginnings in an index of version 4: a few bytes name a path of 4,000."""
    run = ["git", "-C", str(tmp_path), "-c", "index.version=4"]
    subprocess.run([*run, "init", "-q"], check=True)
    folder = "/".join(["d" * 200] * 19)
    rows = "".join(f"100644 {'1' * 40} 0\t{folder}/{number:05}\n" for number in range(20_000))
    subprocess.run([*run, "update-index", "--index-info"], input=rows.encode(), check=True)
    assert (tmp_path / ".git/index").stat().st_size < 2 << 20
    begin = time.monotonic()
    with pytest.raises(SourceError, match="git ls-files printed more than 64 MiB; the source has more files"):
        worktree.listed(tmp_path)
    assert time.monotonic() - begin < patience(60)


def test_a_huge_ignore_file_is_not_read_whole(tmp_path: Path) -> None:
    subprocess.run(["git", "-C", str(tmp_path), "init", "-q"], check=True)
    with (tmp_path / ".gitignore").open("wb") as out:
        out.truncate(3 << 30)
    with pytest.raises(SourceError, match="git cannot list the files"):
        worktree.listed(tmp_path)
