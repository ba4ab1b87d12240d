"""What another user wrote into a file of the kit is named and kept, or nothing is placed."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.files import fileset, paths, written

from tests.unit.module_utils.host.files.test_fileset import item


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The kit's folder of state."""
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir()
    return folder


def place(home: Path, *items: dict[str, Any], on_drift: str = "keep", **more: Any) -> fileset.Result:
    more.setdefault("keep", None)
    more.setdefault("check", False)
    wanted = fileset.Wanted(list(items), more.pop("validate", []), more.pop("commands", []), on_drift)
    return fileset.place(wanted, folder=str(home / "undo"), **more)


def kept(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if ".changed-" in path.name}


def test_a_change_is_named_and_kept_with_its_mode(home: Path, etc: Path) -> None:
    site = etc / "site.conf"
    place(home, item(site, "ours\n"))
    site.write_text("ours, and certbot's\n")
    site.chmod(0o640)
    placed = place(home, item(site, "ours, newer\n"))
    (one,) = placed.drifted
    assert one["path"] == str(site)
    assert one["kept"].startswith(f"{site}.changed-20")
    assert site.read_text() == "ours, newer\n"
    assert Path(one["kept"]).read_text() == "ours, and certbot's\n"
    assert stat.S_IMODE(os.stat(one["kept"]).st_mode) == 0o640
    assert "changed since Slipway wrote it" in placed.diffs[0]["before_header"]
    assert place(home, item(site, "ours, newer\n")) == fileset.Result()


def test_a_change_is_put_back_even_where_the_kit_has_nothing_new(home: Path, etc: Path) -> None:
    site = etc / "site.conf"
    place(home, item(site, "ours\n"))
    site.write_text("theirs\n")
    assert place(home, item(site, "ours\n")).drifted
    assert list(kept(etc).values()) == ["theirs\n"]


def test_the_kit_s_own_changes_are_no_drift(home: Path, etc: Path) -> None:
    site = etc / "site.conf"
    for text in ("one\n", "two\n", "three\n"):
        assert place(home, item(site, text)).drifted == []
    assert place(home, item(site, state="absent")).drifted == []
    site.write_text("somebody's own\n")  # the kit has let it go
    assert place(home, item(site, "four\n")).drifted == []
    assert kept(etc) == {}


def test_files_of_a_kit_that_remembered_nothing_are_ours_and_remembered_from_now_on(home: Path, etc: Path) -> None:
    site, other = etc / "site.conf", etc / "other.conf"
    site.write_text("old kit's\n")
    other.write_text("in order\n")
    assert place(home, item(site, "new\n"), item(other, "in order\n", number=1)).drifted == []
    other.write_text("theirs\n")
    assert [one["path"] for one in place(home, item(other, "in order\n")).drifted] == [str(other)]


def test_a_user_who_wrote_what_the_kit_writes_now_loses_nothing(home: Path, etc: Path) -> None:
    site = etc / "site.conf"
    place(home, item(site, "one\n"))
    site.write_text("two\n")
    assert place(home, item(site, "two\n")) == fileset.Result()
    site.chmod(0o600)
    assert place(home, item(site, "two\n")).drifted == []


def test_refuse_changes_nothing(home: Path, etc: Path) -> None:
    site, other = etc / "site.conf", etc / "other.conf"
    place(home, item(site, "ours\n"))
    site.write_text("theirs\n")
    for check in (False, True):
        with pytest.raises(paths.Refused, match="on_drift is refuse") as caught:
            place(home, item(other, "x\n"), item(site, "newer\n", number=1), on_drift="refuse", check=check)
        assert str(site) in str(caught.value)
    assert site.read_text() == "theirs\n"
    assert not other.exists()
    assert kept(etc) == {}


def test_check_mode_says_it_and_writes_nothing(home: Path, etc: Path) -> None:
    site = etc / "site.conf"
    place(home, item(site, "ours\n"))
    site.write_text("theirs\n")
    assert place(home, item(site, "newer\n"), check=True).drifted[0]["kept"]
    assert (site.read_text(), kept(etc)) == ("theirs\n", {})


def test_a_removed_file_is_named_and_there_again(home: Path, etc: Path) -> None:
    site = etc / "site.conf"
    place(home, item(site, "ours\n"))
    site.unlink()
    assert place(home, item(site, "ours\n")).drifted == [{"path": str(site), "kept": ""}]
    assert site.read_text() == "ours\n"


def test_a_removal_keeps_what_was_changed(home: Path, etc: Path) -> None:
    site = etc / "site.conf"
    place(home, item(site, "ours\n"))
    site.write_text("theirs\n")
    assert place(home, item(site, state="absent")).drifted
    assert not site.exists()
    assert list(kept(etc).values()) == ["theirs\n"]


@pytest.mark.parametrize(
    "name", ["sites-enabled/shop.conf", "logrotate.d/slipway", "apt.conf.d/52slipway", "init.d/slipway-supervisor"]
)
def test_where_a_daemon_reads_every_name_it_is_kept_elsewhere(home: Path, etc: Path, name: str) -> None:
    path = etc / name
    path.parent.mkdir()
    place(home, item(path, "ours\n"))
    path.write_text("theirs\n")
    place(home, item(path, "newer\n"))
    assert os.listdir(path.parent) == [path.name]
    (copy,) = [one for one in (home / "changed").rglob("*") if one.is_file()]
    assert str(copy).startswith(str(home / "changed") + str(path) + ".changed-")
    assert stat.S_IMODE((home / "changed").stat().st_mode) == 0o700


def test_several_changes_of_a_day_are_all_kept_and_one_is_kept_once(home: Path, etc: Path) -> None:
    site = etc / "site.conf"
    place(home, item(site, "ours\n"))
    for text in ("theirs\n", "theirs again\n", "theirs\n"):
        site.write_text(text)
        place(home, item(site, "ours\n"))
    assert sorted(kept(etc).values()) == ["theirs\n", "theirs again\n"]


def test_what_is_put_back_is_still_another_user_s(home: Path, etc: Path) -> None:
    site = etc / "site.conf"
    place(home, item(site, "ours\n"))
    site.write_text("theirs\n")
    with pytest.raises(paths.RolledBack):
        place(home, item(site, "newer\n"), validate=["false"])
    assert (site.read_text(), kept(etc)) == ("theirs\n", {})
    place(home, item(site, "newer\n"), keep="sites")
    fileset.restore("sites", False, str(home / "undo"))
    assert (site.read_text(), kept(etc)) == ("theirs\n", {})
    assert [one["path"] for one in place(home, item(site, "newer\n")).drifted] == [str(site)]


def test_one_set_s_way_back_does_not_forget_another_set(home: Path, etc: Path) -> None:
    first, second = etc / "first.conf", etc / "second.conf"
    place(home, item(first, "ours\n"), keep="first")
    place(home, item(second, "ours\n"))
    fileset.restore("first", False, str(home / "undo"))
    second.write_text("theirs\n")
    assert place(home, item(second, "ours\n")).drifted


def test_links_are_remembered_too(home: Path, etc: Path) -> None:
    link = etc / "link"
    place(home, item(link, state="link", target="a"))
    link.unlink()
    link.symlink_to("theirs")
    assert place(home, item(link, state="link", target="b")).drifted == [{"path": str(link), "kept": ""}]
    assert link.readlink() == Path("b")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": []}', '{"files": {"/x": 1}}', "\x00"])
def test_a_broken_memory_is_none(home: Path, etc: Path, text: str) -> None:
    (home / "placed.json").write_text(text)
    site = etc / "site.conf"
    site.write_text("x\n")
    assert place(home, item(site, "ours\n")).drifted == []
    assert json.loads((home / "placed.json").read_text())["files"][str(site)].startswith("file:")
    assert stat.S_IMODE((home / "placed.json").stat().st_mode) == 0o600


def test_the_facts_name_every_changed_file(home: Path, etc: Path) -> None:
    paths = [etc / name for name in ("a.conf", "b.conf", "c.conf")]
    place(home, *(item(path, "ours\n", number=number) for number, path in enumerate(paths)))
    assert written.drifted("/", str(home)) == []
    paths[0].write_text("theirs\n")
    paths[1].unlink()
    assert written.drifted("/", str(home)) == [str(path) for path in paths[:2]]
    assert written.drifted("/", str(home / "nothing")) == []


def test_a_folder_that_is_gone_is_forgotten_with_all_that_was_in_it(home: Path, etc: Path) -> None:
    pages = etc / "pages"
    place(home, item(pages, state="directory"), item(pages / "502.html", "sorry"), item(etc / "pages.conf", "x"))
    place(home, item(pages, state="directory"))
    assert written.drifted("/", str(home)) == []
    (pages / "502.html").unlink()
    assert written.drifted("/", str(home)) == [str(pages / "502.html")]
    (pages / "502.html").write_text("sorry")
    place(home, item(pages, state="absent", recursive=True))
    assert written.drifted("/", str(home)) == []
    assert str(etc / "pages.conf") in written.Memory.read(str(home)).known
