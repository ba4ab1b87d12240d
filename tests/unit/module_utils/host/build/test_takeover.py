"""Root takes over a virtualenv: files that packages need stay unchanged, and harmful ones are refused by name."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.build import takeover
from ansible_collections.slipway.kit.plugins.module_utils.host.build.takeover import Refused
from ansible_collections.slipway.kit.plugins.module_utils.host.build.virtualenv_bytecode import TIME, Bytecode
from ansible_collections.slipway.kit.plugins.module_utils.host.system import installed

from .test_virtualenv_bytecode import TAG, cached, compiler

PYTHON = os.path.realpath(sys.executable)


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    path = tmp_path / "venv"
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", path], check=True)
    return path


def take(
    venv: Path,
    owner: int | None = None,
    sources: Sequence[str] = (),
    watch: Callable[[], str] = str,
    like: Path | None = None,
    tag: str = "",
) -> Path:
    """Root's copy."""
    ours = venv.with_name("ours")
    user = os.getuid() if owner is None else owner
    with Bytecode(str(ours), compiler, str(like or ""), tag) as bytecode:
        takeover.take_over(str(venv), str(ours), user, os.getgid(), PYTHON, sources, watch, bytecode, str(like or ""))
        bytecode.finish()
    return ours


def test_a_good_one(venv: Path) -> None:
    script, data, hidden = venv / "bin/tool", venv / "lib/data", venv / "lib/hidden"
    hidden.mkdir(mode=0o700)
    for path, mode in ((script, 0o6777), (data, 0o2666), (hidden / "secret", 0o600)):
        path.write_text("x")
        path.chmod(mode)
    (venv / "lib/link").symlink_to("../bin/tool")
    os.utime(data, ns=(5, 1_234_567_890_123_456_789))
    ours = take(venv)
    paths = ("bin/tool", "lib/data", "lib/hidden", "lib/hidden/secret", "")
    assert [stat.S_IMODE((ours / path).stat().st_mode) for path in paths] == [0o755, 0o644, 0o755, 0o644, 0o750]
    assert (ours / "lib/data").stat().st_mtime_ns == 1_234_567_890_123_456_789
    assert (ours / "lib/link").read_text() == "x"
    assert os.readlink(ours / "lib/link") == "../bin/tool"
    assert {path.relative_to(ours) for path in ours.rglob("*")} == {path.relative_to(venv) for path in venv.rglob("*")}


def test_a_file_that_did_not_change_is_shared(venv: Path) -> None:
    before = venv.with_name("before")
    files = {"same": "x", "other": "y", "mode": "x", "time.py": "x", "same.py": "x", "a.pth": "x"}
    for folder in (venv, before):
        for name, text in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
            (folder / name).chmod(0o644)
            os.utime(folder / name, (1, 1))
    (before / "other").write_text("z")
    (before / "mode").chmod(0o664)
    os.utime(before / "same", (2, 2))
    os.utime(before / "time.py", (2, 2))
    (before / "pyvenv.cfg").symlink_to(venv / "pyvenv.cfg")
    ours = take(venv, like=before)
    shared = {path.name for path in ours.iterdir() if path.is_file() and path.stat().st_nlink > 1}
    assert shared == {"same", "same.py"}
    assert {name: (ours / name).read_text() for name in files} == files


def test_bytecode_is_of_what_root_copied(venv: Path) -> None:
    """What a package brings as bytecode, or its build leaves, is not used. Only root's own is shared."""
    (site,) = venv.glob("lib/python*/site-packages")
    for name in ("same.py", "other.py", "broken.py", "pack/inner.py"):
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text("def\n" if name == "broken.py" else f"NAME = {name!r}\n")
        folder = (site / name).parent / "__pycache__"
        folder.mkdir(exist_ok=True)
        (folder / f"{Path(name).stem}.{TAG}.pyc").write_bytes(b"poison")
    before = take(venv)
    assert not cached(before, "broken.py").exists()
    assert {stat.S_IMODE(path.stat().st_mode) for path in before.rglob("*.pyc")} == {0o644}
    assert (before / "lib" / site.parent.name / "site-packages/same.py").stat().st_mtime == TIME
    before = before.rename(before.with_name("before"))
    (site / "other.py").write_text("NAME = 2\n")
    for tag in ("", TAG):
        ours = take(venv, like=before, tag=tag)
        for name in ("same.py", "other.py", "pack/inner.py"):
            assert b"poison" not in cached(ours, name).read_bytes()
            shared = cached(ours, name).samefile(cached(before, name))
            assert shared == (bool(tag) and name != "other.py"), (tag, name)
        code = (
            "import sys; sys.path.insert(0, sys.argv[1]); import other, same, pack.inner; print(other.NAME, same.NAME)"
        )
        words = [PYTHON, "-I", "-S", "-v", "-c", code, str(ours / site.relative_to(venv))]
        result = subprocess.run(words, capture_output=True, text=True, check=True)
        assert result.stdout == "2 same.py\n"
        assert result.stderr.count(f"code object from '{ours}") == 3
        shutil.rmtree(ours)


def inodes(venv: Path) -> set[int]:
    return {path.lstat().st_ino for path in (venv, *venv.rglob("*"))}


def test_nothing_of_the_build_users_is_used(venv: Path) -> None:
    """An open descriptor, an access list and an attribute stay with the discarded original."""
    data = venv / "lib/data"
    data.write_text("x")
    os.setxattr(data, "user.mark", b"1")
    with data.open("a") as handed_on:
        ours = take(venv)
        handed_on.write("and more")
    assert (ours / "lib/data").read_text() == "x"
    assert os.listxattr(ours / "lib/data") == []
    assert not inodes(venv) & inodes(ours)


def test_an_access_list_does_not_survive(venv: Path) -> None:
    """`user::rw- user:nobody:rwx group::r-- mask::rwx other::r--`, as setfacl writes it."""
    entries = [(1, 6, 2**32 - 1), (2, 7, 65534), (4, 4, 2**32 - 1), (16, 7, 2**32 - 1), (32, 4, 2**32 - 1)]
    text = (2).to_bytes(4, "little")
    for tag, permissions, whom in entries:
        text += tag.to_bytes(2, "little") + permissions.to_bytes(2, "little") + whom.to_bytes(4, "little")
    try:
        os.setxattr(venv / "bin/activate", "system.posix_acl_access", text)
        for folder in (venv, venv / "lib"):
            os.setxattr(folder, "system.posix_acl_default", text)
    except OSError as error:
        pytest.skip(f"this file system has none: {error}")
    ours = take(venv)
    assert {path for path in (ours, *ours.rglob("*")) if os.listxattr(path, follow_symlinks=False)} == set()


def swap(monkeypatch: pytest.MonkeyPatch, path: Path, make: Callable[[], object]) -> None:
    """Put something else in a file's place right after the kit has looked at it."""
    look = os.stat

    def stat(name: Any, *args: Any, **more: Any) -> os.stat_result:
        info = look(name, *args, **more)
        if name == path.name and "dir_fd" in more:
            monkeypatch.setattr(takeover.os, "stat", look)
            path.unlink()
            make()
        return info

    monkeypatch.setattr(takeover.os, "stat", stat)


def test_a_link_put_in_a_files_place_leads_nowhere(venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, file = venv.with_name("secret"), venv / "lib/file"
    secret.write_text("hunter2")
    secret.chmod(0o600)
    file.write_text("x")
    swap(monkeypatch, file, lambda: file.symlink_to(secret))
    with pytest.raises(OSError, match="symbolic links"):
        take(venv)
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert not (venv.with_name("ours") / "lib/file").exists()


@pytest.mark.parametrize("file", ["lib/file", "pyvenv.cfg"])
def test_a_pipe_put_in_a_files_place_keeps_nobody_waiting(
    venv: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (venv / "lib/file").write_text("x")
    swap(monkeypatch, venv / file, lambda: os.mkfifo(venv / file))

    def waited(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, waited)
    signal.alarm(10)
    try:
        with pytest.raises(Refused, match=f"{file} is neither a file nor a folder nor a link"):
            take(venv)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_holes_stay_holes_and_no_data_is_lost(venv: Path) -> None:
    block = os.urandom(64 * 1024)
    with (venv / "lib/sparse").open("wb") as file:
        file.truncate(3 * 1024**3)
        for place in (0, 1024**3, 1024**3 + 2 * len(block)):
            file.seek(place)
            file.write(block)
    (venv / "lib/empty").touch()
    (venv / "lib/odd").write_bytes(block * 20 + b"end")
    ours = take(venv)
    with (ours / "lib/sparse").open("rb") as file:
        assert os.fstat(file.fileno()).st_size == 3 * 1024**3
        assert os.fstat(file.fileno()).st_blocks * 512 < 1024**2
        file.seek(1024**3)
        assert file.read(3 * len(block)) == block + bytes(len(block)) + block
    assert (ours / "lib/odd").read_bytes() == block * 20 + b"end"
    assert (ours / "lib/empty").read_bytes() == b""


def test_holes_count_since_a_reader_has_to_read_them(venv: Path) -> None:
    for number in range(2):
        with (venv / f"lib/sparse{number}").open("wb") as file:
            file.truncate(7 * 1024**3)
    with pytest.raises(Refused, match="it has more than 10 GiB"):
        take(venv)


def test_there_is_an_end_to_its_size(venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with many names occupies the space of one, but its copies do not."""
    (venv / "lib/0").write_bytes(bytes(50_000))
    for number in range(1, 10):
        os.link(venv / "lib/0", venv / f"lib/{number}")
    monkeypatch.setattr(takeover, "SIZE", 400_000)
    with pytest.raises(Refused, match="it has more than 0 GiB"):
        take(venv)


def test_there_is_an_end_to_its_entries(venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(50):
        (venv / f"lib/{number}").touch()
    monkeypatch.setattr(takeover, "ENTRIES", 50)
    with pytest.raises(Refused, match="it has more than 50 entries"):
        take(venv)


def test_the_copy_is_watched(venv: Path) -> None:
    with pytest.raises(takeover.Stopped, match="the disk is full"):
        take(venv, watch=lambda: "the disk is full")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("HOME = /tmp\n{}", "another home than that of .*, or more than one"),
        ("{}home = {home}\n", "or more than one"),
        ("{} Home=/tmp", "or more than one"),
        ("nothing = x\n", "another home"),
        ("{}\x0chome = /tmp\n", "has characters that no path needs"),
        ("{}# " + "x" * 4096, "larger than 4096 bytes"),
        ("{}Include-System-Site-Packages = true\n", "does not say `include-system-site-packages = false`, once"),
        ("home = {home}\n", "does not say `include-system-site-packages"),
        ("{}Executable = /tmp/python\n", "another executable than"),
    ],
)
def test_pyvenv_cfg_is_read_as_python_reads_it(venv: Path, change: str, message: str) -> None:
    path = venv / "pyvenv.cfg"
    path.write_text(change.format(path.read_text(), home=os.path.dirname(PYTHON)))
    with pytest.raises(Refused, match=message):
        take(venv)


def test_pyvenv_cfg_is_a_file_of_the_virtualenvs(venv: Path) -> None:
    path = venv / "pyvenv.cfg"
    path.rename(venv / "lib/other")
    path.symlink_to("lib/other")
    with pytest.raises(Refused, match=r"its pyvenv.cfg cannot be read"):
        take(venv)


def test_no_pyvenv_cfg_lies_nearer_to_python(venv: Path) -> None:
    shutil.copy(venv / "pyvenv.cfg", venv / "bin/pyvenv.cfg")
    with pytest.raises(Refused, match=r"it has a bin/pyvenv\.cfg"):
        take(venv)


def test_uvs_virtualenv_is_taken(tmp_path: Path) -> None:
    subprocess.run(
        [Path(sys.executable).parent / "uv", "venv", "-q", "--python", PYTHON, tmp_path / "venv"], check=True
    )
    ours = take(tmp_path / "venv")
    shown = subprocess.run([ours / "bin/python", "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True)
    assert shown.stdout.strip() == str(ours)


@pytest.mark.skipif(os.getuid() != 0, reason="makes files of another user")
def test_all_of_it_becomes_roots(venv: Path) -> None:
    for place, folders, names in os.walk(venv):
        for name in (*folders, *names, ""):
            os.chown(os.path.join(place, name), 5, 60, follow_symlinks=False)
    ours = take(venv, 5)
    assert {path.lstat().st_uid for path in (ours, *ours.rglob("*"))} == {0}
    assert {path.lstat().st_gid for path in ours.rglob("*")} == {0}


HARM: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link out": (lambda venv: (venv / "lib/x").symlink_to("/etc/shadow"), "link lib/x leads out of it, to /etc/shadow"),
    "a link up": (lambda venv: (venv / "lib/x").symlink_to("../../other"), "link lib/x leads out"),
    "a link of the top": (lambda venv: (venv / "x").symlink_to(".."), "link x leads out"),
    "a link through a link": (
        lambda venv: ((venv / "lib/a").mkdir(), (venv / "lib/a/b").symlink_to("../.."), (venv / "lib/a/c").symlink_to("b/../etc")),
        "link lib/a/c leads out",
    ),
    "an empty folder's link": (lambda venv: (venv / "lib/x").symlink_to("/"), "link lib/x leads out"),
    "a pipe": (lambda venv: os.mkfifo(venv / "lib/x"), "lib/x is neither a file nor a folder nor a link"),
    "a socket": (lambda venv: socket.socket(socket.AF_UNIX).bind(str(venv / "lib/x")), "lib/x is neither"),
    "a device": (lambda venv: os.mknod(venv / "lib/x", stat.S_IFCHR | 0o666, os.makedev(1, 3)), "lib/x is neither"),
    "depth": (lambda venv: os.makedirs(venv / "/".join(["lib", *("d" * 100)])), "65 folders deep"),
    "another python": (
        lambda venv: ((venv / "bin/python").unlink(), shutil.copy("/bin/true", venv / "bin/python")),
        "its bin/python is not",
    ),
    "another home": (
        lambda venv: (venv / "pyvenv.cfg").write_text("home = /srv/shop/venvs/.cache\n"),
        "names another home",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", HARM)
def test_harm_is_refused_by_name(venv: Path, what: str) -> None:
    if what == "a device" and os.getuid():
        pytest.skip("only root makes devices")
    make, message = HARM[what]
    make(venv)
    with pytest.raises(Refused, match=message):
        take(venv)
    assert stat.S_IMODE(venv.with_name("ours").stat().st_mode) == 0o700, "what was not taken over does not look so"


@pytest.mark.skipif(os.getuid() != 0, reason="makes files of another user")
def test_another_users_file_is_refused(venv: Path) -> None:
    """A hard link to it, where the kernel lets every user make one."""
    other = venv.parent / "shadow"
    other.write_text("secret")
    os.chown(other, 5, 5)
    other.chmod(0o600)
    os.link(other, venv / "lib/x")
    with pytest.raises(Refused, match=r"lib/x belongs to another user \(5\)"):
        take(venv)
    assert (other.stat().st_uid, stat.S_IMODE(other.stat().st_mode)) == (5, 0o600)


def test_five_thousand_levels_are_no_traceback(venv: Path) -> None:
    here = os.getcwd()
    try:
        os.chdir(venv / "lib")
        for _ in range(5000):
            os.mkdir("d")
            os.chdir("d")
    finally:
        os.chdir(here)
    with pytest.raises(Refused, match="65 folders deep"):
        take(venv)
    subprocess.run(["rm", "-rf", venv], check=True)


@pytest.mark.parametrize(
    ("target", "depth", "inside"),
    [
        ("python", 1, True),
        ("../lib", 1, True),
        ("../../x", 1, False),
        ("../../x", 2, True),
        ("./../lib/x", 1, True),
        ("lib/../lib", 0, False),
        ("..", 0, False),
        ("..", 1, True),
        ("/etc", 3, False),
        ("", 3, False),
    ],
)
def test_where_links_lead(target: str, depth: int, inside: bool) -> None:
    assert takeover.leads_inside(target, depth) is inside


def test_metadata_are_read_as_far_as_they_are_needed(tmp_path: Path) -> None:
    site = tmp_path / "lib/python3.11/site-packages"

    def write(folder: str, text: str, name: str = "METADATA") -> Path:
        (site / folder).mkdir(parents=True)
        (site / folder / name).write_text(text)
        return site / folder / name

    with write("big-1.dist-info", "Metadata-Version: 2.1\nName: big\nVersion: 1\n\n").open("r+b") as huge:
        huge.truncate(1024**3)
    write("old.egg-info", "Name: old\nVersion: 2.0\n", "PKG-INFO")
    (site / "older.egg-info").write_text("Name: older\nVersion: 1!3.0+x\n")
    write("odd.dist-info", "Name: \x1b[2Jodd\nVersion: 1\n")
    write("late.dist-info", "X: " + "x" * 100_000 + "\nName: late\nVersion: 1\n")
    write("none.dist-info", "Name: none\n")
    (site / "link.dist-info").mkdir()
    (site / "link.dist-info/METADATA").symlink_to(site / "old.egg-info/PKG-INFO")
    (site / "pipe.dist-info").mkdir()
    os.mkfifo(site / "pipe.dist-info/METADATA")
    assert installed.distributions(str(tmp_path)) == [("big", "1"), ("old", "2.0"), ("older", "1!3.0+x")]


@pytest.mark.parametrize("name", ["__editable__.pricing-1.pth", "pricing.egg-link"])
def test_a_package_that_is_linked_into_a_release_is_refused(venv: Path, name: str) -> None:
    (site,) = venv.glob("lib/python*/site-packages")
    (site / name).write_text("/srv/shop/releases/v1-00000000/code/libs/pricing\n")
    with pytest.raises(Refused, match=rf"{name} leads to /srv/shop/releases, which another release replaces"):
        take(venv, sources=["/srv/shop/releases"])
    shutil.rmtree(venv.with_name("ours"))
    (site / name).write_text("import os\n")
    take(venv, sources=["/srv/shop/releases"])
