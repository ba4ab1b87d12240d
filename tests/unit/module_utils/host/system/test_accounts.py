"""The apps' users and folders: the accounts that the kit uses, and the folders that it makes."""

from __future__ import annotations

import grp
import itertools
import json
import os
import pwd
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.errors import HostError
from ansible_collections.slipway.kit.plugins.module_utils.host.base import processes
from ansible_collections.slipway.kit.plugins.module_utils.host.system import accounts
from ansible_collections.slipway.kit.plugins.modules import accounts as module

ME = pwd.getpwuid(os.getuid()).pw_name
GROUP = grp.getgrgid(os.getgid()).gr_name
SHOP = {"name": "shop", "builder": "shop_build"}


class Host:
    """A host's accounts, folders and memory, all in one folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.srv, self.logs = folder, folder / "srv", folder / "log"
        self.registry = str(folder / "accounts.json")
        self.users: dict[str, pwd.struct_passwd] = {}
        self.groups: dict[str, grp.struct_group] = {}
        self.ran: list[str] = []
        self.fail = ""
        self.srv.mkdir()
        self.logs.mkdir()
        for name, table, key in (
            ("pwd.getpwnam", self.users, None),
            ("grp.getgrnam", self.groups, None),
            ("pwd.getpwuid", self.users, "pw_uid"),
            ("grp.getgrgid", self.groups, "gr_gid"),
        ):
            monkeypatch.setattr(name, self._getter(table, key))
        monkeypatch.setattr(accounts, "_run", self._run)
        monkeypatch.setattr(accounts, "nologin", lambda: "/usr/sbin/nologin")
        monkeypatch.setattr(processes, "end_everything", lambda user: self.ran.append(f"end {user}"))
        # The folders belong to root, but another user may run the tests.
        roots = accounts._roots
        monkeypatch.setattr(accounts, "_roots", lambda path: roots(path) or (os.getuid() != 0 and os.path.isdir(path)))

    @staticmethod
    def _getter(table: dict[str, tuple], key: str | None) -> Callable:
        def get(wanted: str | int) -> tuple:
            for name, entry in table.items():
                if wanted == (getattr(entry, key) if key else name):
                    return entry
            raise KeyError(wanted)

        return get

    def user(self, name: str, uid: int = 990, home: str = "", shell: str = "/usr/sbin/nologin", gid: int = 0) -> None:
        self.users[name] = pwd.struct_passwd((name, "x", uid, gid or uid, "", home or f"{self.srv}/{name}", shell))

    def group(self, name: str, gid: int = 990, members: tuple[str, ...] = ()) -> None:
        self.groups[name] = grp.struct_group((name, "x", gid, list(members)))

    def _run(self, *words: str) -> None:
        if self.fail and words[0] == self.fail:
            raise HostError(f"{self.fail} failed")
        self.ran.append(" ".join(words))
        name, options = words[-1], dict(itertools.pairwise(words))
        if words[0] == "groupadd":
            self.group(name, int(options["--gid"]))
        elif words[0] == "useradd":
            self.user(name, int(options["--uid"]), options["--home-dir"], gid=self.groups[name].gr_gid)
        elif words[0] == "userdel":
            del self.users[name]
            self.groups.pop(name, None)
        elif words[0] == "groupdel":
            del self.groups[name]

    def make(self, *apps: dict[str, str], check: bool = False) -> list[str]:
        return accounts.make(apps or (SHOP,), str(self.srv), check, self.registry, str(self.logs))

    def release(self, app: str = "shop", named: str = "") -> None:
        path = self.srv / app / "releases/v1-00000001"
        path.mkdir(parents=True)
        (path / "manifest.json").write_text(json.dumps({"app": named or app}))

    def read(self) -> accounts.Registry:
        return accounts.Registry.read(self.registry)

    def purge(self, app: str = "shop") -> list[str]:
        """Delete the app's accounts; returns those of others."""
        registry = self.read()
        ours, foreign = accounts.owned(app, f"{self.srv}/{app}", registry, str(self.logs))
        accounts.delete(app, ours, self.registry)
        return foreign


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    yield Host(tmp_path, monkeypatch)


def test_accounts_are_made_once_and_remembered(host: Host) -> None:
    made = ["group shop", "user shop", "group shop_build", "user shop_build"]
    assert host.make(check=True) == made
    assert (host.ran, os.path.exists(host.registry)) == ([], False)
    assert host.make() == made
    assert [words.split()[0] for words in host.ran] == ["groupadd", "useradd"] * 2
    registry = host.read()
    assert registry.of("shop") == ["shop", "shop_build"]
    assert {entry["app"] for entry in registry.made.values()} == {"shop"}
    assert registry.made["shop"]["uid"] == host.users["shop"].pw_uid == 999
    assert (host.users["shop_build"].pw_dir, host.users["shop_build"].pw_uid) == ("/nonexistent", 998)
    assert stat.S_IMODE(os.stat(host.registry).st_mode) == 0o600
    assert host.make() == []
    assert len(host.ran) == 4


@pytest.mark.parametrize(
    ("app", "make", "message"),
    [
        ("shadow", lambda host: host.group("shadow", 42), "the group shadow (gid 42) is there already"),
        ("git", lambda host: (host.user("git", 104, "/var/lib/git"), host.group("git", 104)), "the user git (uid 104, home"),
        ("ann", lambda host: (host.user("ann", 1000), host.group("ann", 1000)), "the user ann (uid 1000"),
        ("shop", lambda host: host.user("shop", 0), "the user shop (uid 0"),
        # It looks like an account of the kit, but nothing on the host shows that it is one.
        ("shop", lambda host: (host.user("shop"), host.group("shop")), "the user shop (uid 990"),
        ("shop", lambda host: (host.user("shop_build"), host.group("shop_build")), "the user shop_build (uid 990"),
        ("docker", lambda host: None, "docker is the name of a user or group of the system's"),
        ("systemd-oom", lambda host: None, "systemd-oom is the name of"),
    ],
)  # fmt: skip
def test_every_foreign_account_is_refused(host: Host, app: str, make: Callable, message: str) -> None:
    make(host)
    with pytest.raises(HostError) as caught:
        host.make({"name": app, "builder": f"{app}_build"}, {"name": "good", "builder": "good_build"})
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{app}: {message}")
    assert "give the app another name" in line
    assert host.ran == []
    before = (dict(host.users), dict(host.groups))
    host.purge(app)
    assert (host.users, host.groups) == before


def test_a_folder_of_another_user_is_refused(host: Host) -> None:
    (host.srv / "shop").mkdir()
    (host.srv / "shop/lost+found").mkdir()
    assert host.make(check=True)
    (host.srv / "shop/photos").mkdir()
    with pytest.raises(HostError, match="srv/shop is there already, holds photos and is not Slipway's"):
        host.make()
    (host.srv / "blog").write_text("")
    with pytest.raises(HostError, match="srv/blog is there and is not a folder"):
        host.make({"name": "blog", "builder": "blog_build"})
    assert host.ran == []


@pytest.mark.parametrize(
    ("spoil", "adopted"),
    [
        (lambda host: None, True),
        (lambda host: host.user("shop", shell="/bin/bash"), False),
        (lambda host: host.user("shop", home="/home/shop"), False),
        (lambda host: host.user("shop", uid=1000), False),
        (lambda host: host.group("shop", 991), False),
        (lambda host: host.group("shop", members=("ann",)), False),
    ],
)
def test_accounts_of_before_are_taken_over_when_all_is_as_the_kit_makes_it(
    host: Host, spoil: Callable, adopted: bool
) -> None:
    host.user("shop")
    host.group("shop")
    host.release()
    spoil(host)
    if not adopted:
        with pytest.raises(HostError, match="is there already and is not Slipway's"):
            host.make()
        return
    assert host.make() == ["group shop_build", "user shop_build"]
    assert host.read().made["shop"]["uid"] == 990
    assert host.make() == []


def test_another_app_s_release_proves_nothing_and_the_logs_of_a_removed_app_do(host: Host) -> None:
    host.user("shop")
    host.group("shop")
    host.release(named="blog")
    with pytest.raises(HostError, match="not Slipway's"):
        host.make()
    (host.logs / "shop").mkdir()
    assert host.make() == ["group shop_build", "user shop_build"]


def test_an_app_with_a_name_that_is_refused_by_now_goes_on(host: Host) -> None:
    host.user("redis")
    host.group("redis")
    host.release("redis")
    assert host.make({"name": "redis", "builder": "redis_build"}) == ["group redis_build", "user redis_build"]


def test_an_account_that_was_replaced_is_refused(host: Host) -> None:
    host.make()
    host.user("shop", 104)
    host.group("shop", 104)
    with pytest.raises(HostError, match=r"shop is not the one that Slipway made .it was 999:999 and is 104:104"):
        host.make()
    assert not host.read().has("shop")
    assert host.purge() == ["user shop", "group shop"]
    assert "shop" in host.users


def test_an_account_that_a_user_removed_gets_its_number_back(host: Host) -> None:
    host.make()
    del host.users["shop"], host.groups["shop"]
    assert host.make() == ["group shop", "user shop"]
    assert host.users["shop"].pw_uid == 999


def test_a_call_that_died_is_finished(host: Host) -> None:
    host.fail = "useradd"
    with pytest.raises(HostError):
        host.make()
    assert "shop" in host.groups
    host.fail = ""
    assert host.make() == ["user shop", "group shop_build", "user shop_build"]
    assert host.read().made["shop"]["uid"] == 999


def test_a_purge_deletes_what_was_made_and_no_number_comes_back(host: Host) -> None:
    host.make()
    assert host.purge() == []
    assert (host.users, host.groups) == ({}, {})
    assert [words for words in host.ran if words.startswith("end ")] == ["end shop", "end shop_build"]
    assert host.read().made == {}
    host.make()
    assert host.users["shop"].pw_uid == 997, "files of the old user may be left somewhere"


def test_a_damaged_memory_says_what_to_do(host: Host) -> None:
    Path(host.registry).write_text("{")
    with pytest.raises(HostError, match=r"accounts.json is damaged .*: restore it from a backup, or move it away"):
        host.make()


def test_where_people_begin(tmp_path: Path) -> None:
    assert accounts.first_person(str(tmp_path / "none")) == 1000
    (tmp_path / "login.defs").write_text("#UID_MIN 1\nUID_MIN\t\t  500\nSYS_UID_MIN 101\n")
    assert accounts.first_person(str(tmp_path / "login.defs")) == 500


def make(path: Path, check: bool = False, mode: str = "0755") -> list[str]:
    return module.directories([{"path": str(path), "owner": ME, "group": GROUP, "mode": mode}], check)


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
    changes = module.directories(entries, check=True)
    assert changes == [f"folder {tmp_path}/x", f"folder {tmp_path}/x/y", f"folder {tmp_path}/x/z"]
    assert list(tmp_path.iterdir()) == []


def test_a_link_of_the_administrator_stays(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir(mode=0o755)
    (tmp_path / "a").symlink_to("disk")
    assert make(tmp_path / "a") == []
    assert (tmp_path / "a").is_symlink()


@pytest.mark.parametrize(
    ("path", "mode", "message"),
    [("a/b", "0755", "absolute path"), ("/a/../b", "0755", "absolute path"), ("/nowhere", "u=rwx", "quoted octal")],
)
def test_bad_entries(path: str, mode: str, message: str) -> None:
    with pytest.raises(HostError, match=message):
        module.directories([{"path": path, "owner": ME, "group": GROUP, "mode": mode}], check=True)


def test_a_file_in_the_way_and_an_unknown_owner(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(HostError, match="not a folder"):
        make(tmp_path / "f")
    with pytest.raises(HostError, match="no user no-such-user"):
        module.directory(str(tmp_path / "g"), "no-such-user", GROUP, 0o755, check=False)


@pytest.mark.real
@pytest.mark.skipif(os.getuid() != 0, reason="makes users: needs root")
def test_real_accounts_are_made_once(tmp_path: Path) -> None:
    name, registry = "slipway-test-account", str(tmp_path / "accounts.json")
    app = {"name": name, "builder": f"{name}_build"}
    expected = [f"{kind} {user}" for user in app.values() for kind in ("group", "user")]
    try:
        assert accounts.make([app], "/srv", True, registry) == expected
        assert accounts.user(name) is None
        assert accounts.make([app], "/srv", False, registry) == expected
        for user in app.values():
            known = pwd.getpwnam(user)
            assert 100 <= known.pw_uid < accounts.first_person()
            assert known.pw_shell == accounts.nologin()
            assert grp.getgrgid(known.pw_gid).gr_name == user
            assert not os.path.exists(known.pw_dir)
        assert accounts.make([app], "/srv", False, registry) == []
        memory = accounts.Registry.read(registry)
        ours, foreign = accounts.owned(name, f"/srv/{name}", memory)
        assert (sorted(ours), foreign) == (sorted(expected), [])
        accounts.delete(name, ours, registry)
        assert [accounts.user(user) for user in app.values()] == [None, None]
        assert [accounts.group(user) for user in app.values()] == [None, None]
    finally:
        for user in app.values():
            subprocess.run(["userdel", user], check=False, capture_output=True)
