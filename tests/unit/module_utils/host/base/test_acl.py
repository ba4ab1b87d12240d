"""Access lists: nginx's group may read only one folder of an app, whatever the app's umask is."""

from __future__ import annotations

import errno
import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.errors import HostError
from ansible_collections.slipway.kit.plugins.module_utils.host.base import acl
from ansible_collections.slipway.kit.plugins.module_utils.host.build import writable
from ansible_collections.slipway.kit.plugins.module_utils.host.process import confine

NGINX = 33
"""Any number: the kernel does not check whether such a group exists."""


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    before = os.umask(0o027)
    (tmp_path / "shared").mkdir(0o750)
    yield tmp_path / "shared"
    os.umask(before)


def may(path: Path) -> int:
    """The rights of nginx's group on a file: its entry, masked by the mode's group bits."""
    entries = acl.read(str(path))
    number = (acl.GROUP, NGINX)
    if number not in entries:
        return entries[(acl.OTHERS, acl.NOBODY)]
    return entries[number] & entries[(acl.MASK, acl.NOBODY)]


def opened(shared: Path, folder: str = "media") -> dict[str, object]:
    return acl.share(str(shared), folder, NGINX)


def test_what_is_made_there_is_readable_and_nothing_beside_it(shared: Path) -> None:
    (shared / "shop.db").write_text("secret")
    assert opened(shared) == {"foreign": 0}
    media = shared / "media"
    (media / "2026/11").mkdir(parents=True)
    (media / "2026/11/photo.jpg").write_text("photo")
    assert [may(path) for path in (shared, media, media / "2026/11")] == [acl.ENTER, 5, 5]
    assert may(media / "2026/11/photo.jpg") == acl.READ
    assert may(shared / "shop.db") == 0
    (shared / "later.db").write_text("secret")
    assert may(shared / "later.db") == 0
    # The accounts module sets the folder's mode to this one, and a second run must have nothing to do.
    assert shared.stat().st_mode & 0o7777 == 0o750


def test_a_private_file_is_readable_once_its_mode_says_so(shared: Path) -> None:
    """Django makes uploads with mkstemp (0600), then gives them FILE_UPLOAD_PERMISSIONS (0644)."""
    opened(shared)
    file = shared / "media/upload"
    os.close(os.open(file, os.O_CREAT | os.O_EXCL, 0o600))
    assert may(file) == 0
    file.chmod(0o644)
    assert may(file) == acl.READ


def test_what_is_there_is_taken_in_as_far_as_its_own_group_may(shared: Path) -> None:
    media = shared / "a/media"
    (media / "old").mkdir(parents=True)
    for name, mode in (("old/photo", 0o640), ("old/draft", 0o600)):
        (media / name).write_text("x")
        (media / name).chmod(mode)
    (media / "link").symlink_to("/etc/shadow")
    os.mkfifo(media / "pipe")
    assert opened(shared, "a/media") == {"foreign": 0}
    assert [may(media / name) for name in ("old", "old/photo", "old/draft", "pipe")] == [5, 4, 0, 0]
    assert may(shared / "a") == acl.ENTER
    assert (media / "old/draft").stat().st_mode & 0o777 == 0o600


def test_it_is_gone_through_once_and_again_where_that_was_interrupted(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shared / "media").mkdir()
    (shared / "media/one").write_text("x")
    with monkeypatch.context() as patch:
        patch.setattr(acl, "_open", lambda entry, group: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            opened(shared)
    assert opened(shared) == {"foreign": 0}
    assert may(shared / "media/one") == acl.READ
    monkeypatch.setattr(acl, "below", lambda top: 1 / 0)
    assert opened(shared) == {"foreign": 0}


def test_a_mode_that_closes_it_is_mended(shared: Path) -> None:
    opened(shared)
    (shared / "media").chmod(0o700)
    assert may(shared / "media") == 0
    opened(shared)
    assert may(shared / "media") == 5


def test_two_folders_one_in_the_other(shared: Path) -> None:
    opened(shared, "media/public")
    assert may(shared / "media") == acl.ENTER
    (shared / "media/private").write_text("x")
    assert may(shared / "media/private") == 0
    opened(shared)
    opened(shared, "media/public")
    assert may(shared / "media") == 5
    assert may(shared / "media/private") == acl.READ


def test_a_link_is_refused(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "else").mkdir()
    (shared / "media").symlink_to(tmp_path / "else")
    assert "media is a link, and nginx follows none there" in str(opened(shared)["fault"])
    assert may(tmp_path / "else") == 0


def test_a_file_in_its_place_is_reported(shared: Path) -> None:
    (shared / "media").write_text("x")
    assert f"{shared}/media cannot be opened to nginx: File exists" in str(opened(shared)["fault"])


def test_a_file_system_without_lists(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.setxattr

    def setxattr(path: str, *rest: object, **keywords: object) -> None:
        if "media" in path:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), path)
        real(path, *rest, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "setxattr", setxattr)
    assert opened(shared) == {"plain": True}


def test_as_a_program(shared: Path) -> None:
    job = json.dumps({"shared": str(shared), "folders": ["media", "files"], "group": NGINX})
    argv = [sys.executable, "-I", "-S", "-c", Path(acl.__file__).read_text()]
    result = subprocess.run(argv, input=job, capture_output=True, text=True, check=True)
    assert [json.loads(line) for line in result.stdout.splitlines()] == [{"foreign": 0}] * 2
    assert (may(shared / "media"), may(shared / "files")) == (5, 5)


# ------------------------------------------------------------------------------------------------------ the kit's part
CELL = confine.Cell("shop", "shop", "slipway-shop-media", ("PrivateUsers=yes",))


def warnings(monkeypatch: pytest.MonkeyPatch, *lines: dict[str, object], status: int = 0, error: str = "") -> list[str]:
    out = "".join(f"{json.dumps(line)}\n" for line in lines)
    monkeypatch.setattr(confine, "run", lambda *_: confine.Outcome(status, out, error))
    return writable.open_media(CELL, "/srv/shop/shared", ["media"], "root")


def test_what_the_operator_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    assert warnings(monkeypatch, {"foreign": 0}) == []
    (warning,) = warnings(monkeypatch, {"foreign": 3})
    assert warning.startswith("3 files or folders in /srv/shop/shared/media belong to another user")
    assert "chown -R shop: /srv/shop/shared/media" in warning
    assert "keeps no access lists" in warnings(monkeypatch, {"plain": True})[0]
    with pytest.raises(HostError, match="it is a link"):
        warnings(monkeypatch, {"fault": "it is a link"})
    with pytest.raises(HostError, match="could not be opened to nginx: no Python"):
        warnings(monkeypatch, status=1, error="no Python")


def test_it_runs_outside_of_a_user_namespace_as_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    cells: list[confine.Cell] = []

    def run(words: list[str], cell: confine.Cell, *_: object) -> confine.Outcome:
        cells.append(cell)
        return confine.Outcome(0, '{"foreign": 0}\n', "")

    monkeypatch.setattr(confine, "run", run)
    writable.open_media(CELL, "/srv/shop/shared", ["media"], "root")
    assert (cells[0].user, cells[0].properties[-1]) == ("shop", "PrivateUsers=no")
    writable.open_media(CELL, "/srv/shop/shared", [], "root")
    assert len(cells) == 1


def test_a_home_is_made_once(tmp_path: Path) -> None:
    me = pwd.getpwuid(os.getuid()).pw_name
    home = tmp_path / "home"
    for _ in range(2):
        writable.make_home(str(home), me)
        assert home.stat().st_mode & 0o7777 == 0o700
        assert home.owner() == me
