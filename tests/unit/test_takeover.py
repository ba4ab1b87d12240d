"""Root takes over a virtualenv: what packages need stays as it is, what would do harm is refused by name."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host import installed, takeover
from ansible_collections.slipway.kit.plugins.module_utils.host.takeover import Refused

PYTHON = os.path.realpath(sys.executable)


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    path = tmp_path / "venv"
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", path], check=True)
    return path


def take(venv: Path, owner: int | None = None) -> None:
    takeover.take_over(str(venv), os.getuid() if owner is None else owner, os.getgid(), PYTHON)


def test_a_good_one(venv: Path) -> None:
    script, data, hidden = venv / "bin/tool", venv / "lib/data", venv / "lib/hidden"
    hidden.mkdir(mode=0o700)
    for path, mode in ((script, 0o6777), (data, 0o2666), (hidden / "secret", 0o600)):
        path.write_text("x")
        path.chmod(mode)
    (venv / "lib/link").symlink_to("../bin/tool")
    before = data.stat().st_mtime
    take(venv)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (script, data, hidden, hidden / "secret", venv)]
    assert modes == [0o755, 0o644, 0o755, 0o644, 0o750]
    assert data.stat().st_mtime == before
    assert (venv / "lib/link").read_text() == "x"


@pytest.mark.skipif(os.getuid() != 0, reason="makes files of another user")
def test_all_of_it_becomes_roots(venv: Path) -> None:
    for place, folders, names in os.walk(venv):
        for name in (*folders, *names, ""):
            os.chown(os.path.join(place, name), 5, 60, follow_symlinks=False)
    take(venv, 5)
    assert {path.lstat().st_uid for path in (venv, *venv.rglob("*"))} == {0}
    assert {path.lstat().st_gid for path in venv.rglob("*")} == {0}


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
    make, said = HARM[what]
    make(venv)
    with pytest.raises(Refused, match=said):
        take(venv)
    assert stat.S_IMODE(venv.stat().st_mode) != 0o750, "what was not taken over does not look so"


@pytest.mark.skipif(os.getuid() != 0, reason="makes files of another user")
def test_another_users_file_is_refused(venv: Path) -> None:
    """A hard link to it, where the kernel lets everybody make one."""
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
        takeover.take_over(str(venv), os.getuid(), os.getgid(), PYTHON, ["/srv/shop/releases"])
    (site / name).write_text("import os\n")
    takeover.take_over(str(venv), os.getuid(), os.getgid(), PYTHON, ["/srv/shop/releases"])
