"""What the controller makes for nginx: users with hashed passwords, and the user's own error pages."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import doors, passwords
from hypothesis import given, settings
from hypothesis import strategies as st

PASSWORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r"), min_size=1, max_size=200)
SALTS = st.text("./0123456789ABCXYZabcxyz", min_size=1, max_size=16)


@settings(max_examples=30, deadline=None)
@given(PASSWORDS.filter(lambda text: len(text.encode()) <= 200), SALTS)
def test_a_hash_is_the_one_of_openssl(password: str, salt: str) -> None:
    openssl = shutil.which("openssl")
    assert openssl
    result = subprocess.run(
        [openssl, "passwd", "-6", "-salt", f"rounds=1000${salt}", "-stdin"],
        input=password.encode(), capture_output=True, check=True,
    )  # fmt: skip
    assert passwords.sha512_crypt(password, salt, 1000) == result.stdout.decode().strip()


def test_a_second_run_writes_the_same_line() -> None:
    line = passwords.line("shop", "guest", "hunter2hunter2")
    assert line == passwords.line("shop", "guest", "hunter2hunter2")
    assert "hunter2" not in line
    salts = {
        passwords.line(app, user, word).split("$")[3]
        for app in ("a", "b")
        for user in ("c", "d")
        for word in ("e", "f")
    }
    assert len(salts) == 4  # it follows from the names alone


def test_pages_are_read_by_name(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/502.html").write_text("gone")
    (tmp_path / "pages/error.json").write_text("{}")
    (tmp_path / "pages/.DS_Store").write_bytes(b"\xff")
    assert dict(doors.error_pages(tmp_path, "pages")) == {"502.html": "gone", "error.json": "{}"}
    assert dict(doors.error_pages(Path("/nowhere"), str(tmp_path / "pages"))).keys() == {"502.html", "error.json"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (None, "is pages, which is no folder that can be read (No such file or directory"),
        ({}, "is pages, which has no page"),
        ({"503.htm": b"x"}, "is pages, which has 503.htm; only pages such as error.html"),
        ({"418.html": b"x"}, "is pages, which has 418.html; only pages"),
        ({"logo.png": b"x"}, "is pages, which has logo.png; only pages"),
        ({"502.html": b"\xff"}, "has pages/502.html, which cannot be read (it is no UTF-8)"),
        ({"502.html": b" \n"}, "has pages/502.html, which is empty"),
        ({"502.html": b"x" * (doors.LIMIT + 1)}, "has pages/502.html of more than 256 KiB"),
    ],
)
def test_a_folder_that_cannot_be_used(tmp_path: Path, files: dict[str, bytes] | None, message: str) -> None:
    if files is not None:
        (tmp_path / "pages").mkdir()
        for name, data in files.items():
            (tmp_path / "pages" / name).write_bytes(data)
    with pytest.raises(doors.PagesError) as caught:
        dict(doors.error_pages(tmp_path, "pages"))
    assert str(caught.value).startswith(message)


def test_a_page_that_is_a_pipe_or_a_device_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    os.mkfifo(tmp_path / "pages/503.html")
    with pytest.raises(doors.PagesError, match=r"503.html, which cannot be read \(it is no regular file\)"):
        dict(doors.error_pages(tmp_path, "pages"))


@pytest.mark.parametrize("target", ["/etc/passwd", "/dev/zero", "../../outside.html", "../way/outside.html"])
def test_a_page_that_is_a_link_out_of_the_project_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "outside.html").write_text("secret")
    base = tmp_path / "inventory"
    (base / "pages").mkdir(parents=True)
    (base / "way").symlink_to(tmp_path)
    (base / "pages/502.html").symlink_to(target)
    with pytest.raises(
        doors.PagesError, match=r"502.html, which cannot be read \(it is a link to .*, outside the project"
    ):
        dict(doors.error_pages(base, "pages"))


def test_a_page_that_is_a_link_within_the_project_is_published(tmp_path: Path) -> None:
    base = tmp_path / "inventories/production"
    (base / "pages").mkdir(parents=True)
    (base / "502.html").write_text("here")
    (base / "pages/502.html").symlink_to("../502.html")
    assert dict(doors.error_pages(base, "pages")) == {"502.html": "here"}
    (tmp_path / "shared.html").write_text("shared")
    (tmp_path / "ansible.cfg").touch()
    (base / "pages/503.html").symlink_to("../../../shared.html")
    assert dict(doors.error_pages(base, "pages"))["503.html"] == "shared"
