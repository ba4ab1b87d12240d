"""Whose account may serve an app, and how folders come to be."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import subprocess
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.modules import accounts

ME = pwd.getpwuid(os.getuid()).pw_name
GROUP = grp.getgrgid(os.getgid()).gr_name


def entry(uid: int = 990, home: str = "/srv/shop", gid: int = 980) -> pwd.struct_passwd:
    return pwd.struct_passwd(("shop", "x", uid, gid, "", home, "/usr/sbin/nologin"))


def own(gid: int = 980) -> grp.struct_group:
    return grp.struct_group(("shop", "x", gid, []))


@pytest.mark.parametrize(
    ("known", "group", "said"),
    [
        (None, None, ""),
        (None, own(), ""),
        (None, own(gid=1000), "is people's"),
        (entry(), own(), ""),
        (entry(uid=1000), own(), "a person's"),
        (entry(uid=0), own(), "root's"),
        (entry(home="/var/mail"), own(), "serves something else (home /var/mail)"),
        (entry(), own(gid=8), "its group is not shop"),
        (entry(), None, "its group is not shop"),
    ],
)
def test_whose_account_may_serve(known: pwd.struct_passwd | None, group: grp.struct_group | None, said: str) -> None:
    text = accounts.fault("shop", "/srv/shop", known, group, 1000)
    assert said in text
    assert bool(text) == bool(said)


def test_every_clash_is_said_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "run", lambda argv: pytest.fail(f"ran {argv}"))
    with pytest.raises(accounts.Refused) as caught:
        accounts.accounts(["no-such-app", "root", "daemon"], "/srv", check=False)
    assert [line.split()[2] for line in str(caught.value).splitlines()] == ["root", "daemon"]
    assert "give the app another name" in str(caught.value)


def test_where_people_begin(tmp_path: Path) -> None:
    assert accounts.first_person(str(tmp_path / "none")) == 1000
    (tmp_path / "login.defs").write_text("#UID_MIN 1\nUID_MIN\t\t  500\nSYS_UID_MIN 101\n")
    assert accounts.first_person(str(tmp_path / "login.defs")) == 500


def make(path: Path, check: bool = False, mode: str = "0755") -> list[str]:
    return accounts.directories([{"path": str(path), "owner": ME, "group": GROUP, "mode": mode}], check)


def test_folders_are_made_once(tmp_path: Path) -> None:
    assert make(tmp_path / "a", mode="0750") == [f"folder {tmp_path}/a"]
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o750
    assert make(tmp_path / "a", mode="0750") == []
    assert make(tmp_path / "a", mode="0755") == [f"folder {tmp_path}/a: {ME}:{GROUP} 0755"]
    assert make(tmp_path / "a", mode="0755") == []


def test_check_mode_reports_missing_parents_and_users_and_makes_nothing(tmp_path: Path) -> None:
    entries = [
        {"path": str(tmp_path / "x" / "y"), "owner": "no-such-user", "group": "no-such-user", "mode": "0750"},
        {"path": str(tmp_path / "x" / "z"), "owner": "no-such-user", "group": "no-such-user", "mode": "0750"},
    ]
    said = accounts.directories(entries, check=True)
    assert said == [f"folder {tmp_path}/x", f"folder {tmp_path}/x/y", f"folder {tmp_path}/x/z"]
    assert list(tmp_path.iterdir()) == []


def test_a_link_of_the_administrator_stays(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir(mode=0o755)
    (tmp_path / "a").symlink_to("disk")
    assert make(tmp_path / "a") == []
    assert (tmp_path / "a").is_symlink()


@pytest.mark.parametrize(
    ("path", "mode", "said"),
    [("a/b", "0755", "absolute path"), ("/a/../b", "0755", "absolute path"), ("/nowhere", "u=rwx", "quoted octal")],
)
def test_bad_entries(path: str, mode: str, said: str) -> None:
    with pytest.raises(accounts.Refused, match=said):
        accounts.directories([{"path": path, "owner": ME, "group": GROUP, "mode": mode}], check=True)


def test_a_file_in_the_way_and_an_unknown_owner(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(accounts.Refused, match="not a folder"):
        make(tmp_path / "f")
    with pytest.raises(accounts.Refused, match="no user no-such-user"):
        accounts.directory(str(tmp_path / "g"), "no-such-user", GROUP, 0o755, check=False)


@pytest.mark.real
@pytest.mark.skipif(os.getuid() != 0, reason="makes a user: needs root")
def test_a_real_user_is_made_once(tmp_path: Path) -> None:
    name = "slipway-test-account"
    try:
        assert accounts.accounts([name], "/srv", check=True) == [f"group {name}", f"user {name}"]
        assert accounts.user(name) is None
        assert accounts.accounts([name], "/srv", check=False) == [f"group {name}", f"user {name}"]
        known = pwd.getpwnam(name)
        assert known.pw_uid < accounts.first_person()
        assert (known.pw_dir, known.pw_shell) == (f"/srv/{name}", accounts.nologin())
        assert grp.getgrgid(known.pw_gid).gr_name == name
        assert not os.path.exists(known.pw_dir)
        assert accounts.accounts([name], "/srv", check=False) == []
    finally:
        subprocess.run(["userdel", name], check=False)
