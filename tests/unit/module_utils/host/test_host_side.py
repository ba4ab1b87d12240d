"""The host side without any daemon: what it reads, keeps and reports."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import types
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.manifest import (
    Health,
    HostError,
    SupervisorPlace,
    app_name,
    read_manifest,
)
from ansible_collections.slipway.kit.plugins.module_utils.host.base import atomic
from ansible_collections.slipway.kit.plugins.module_utils.host.process import managers, units
from ansible_collections.slipway.kit.plugins.module_utils.host.run import backlog
from ansible_collections.slipway.kit.plugins.module_utils.host.run import retire as retiring
from ansible_collections.slipway.kit.plugins.module_utils.host.run.asking import Answer
from ansible_collections.slipway.kit.plugins.module_utils.host.run.logs import repeated, telling, united
from ansible_collections.slipway.kit.plugins.module_utils.host.run.removal import Place, remove
from ansible_collections.slipway.kit.plugins.module_utils.host.run.retire import keep
from ansible_collections.slipway.kit.plugins.module_utils.host.run.verdicts import judge
from ansible_collections.slipway.kit.plugins.module_utils.host.system import releases
from ansible_collections.slipway.kit.plugins.module_utils.model import schema

ID = "v1-00000001"


def data(root: Path, **change: Any) -> dict[str, Any]:
    return {
        "schema": 1,
        "app": "shop",
        "release": ID,
        "manager": "supervisor",
        "unit": f"slipway-shop-{ID}",
        "unit_file": f"slipway-shop-{ID}.conf",
        "root": str(root),
        "path": f"{root}/releases/{ID}",
        "run": f"/run/shop/{ID}",
        "socket": f"/run/shop/{ID}/app.sock",
        "log": f"/var/log/slipway/shop/{ID}.log",
        "mount": "/",
        "worker_class": "gthread",
        "timeouts": {"request": 30, "graceful": 35, "stop": 45, "drain": 30, "stream": 30, "boot": 60, "proxy": 30},
        "health": {
            "path": "/healthz",
            "status": [[200, 299], [401, 401]],
            "body": None,
            "host": "shop.example",
            "scheme": "http",
            "successes": 3,
            "interval": 0.2,
            "soak": 2.0,
            "follow": False,
        },
        "visit": {"port": 80, "host": "shop.example", "path": "/healthz"},
        "static": {},
        "keep_releases": 3,
        "supervisor": {"socket": "/run/slipway/supervisor.sock", "programs": "/etc/slipway/supervisor.d"},
        **change,
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "srv" / "shop"
    (root / "releases" / ID).mkdir(parents=True)
    return root


def write(root: Path, content: Any) -> None:
    (root / "releases" / ID / "manifest.json").write_text(content if isinstance(content, str) else json.dumps(content))


def test_a_manifest_is_read(root: Path) -> None:
    write(root, {**data(root), "something_new": 1})
    manifest = read_manifest(str(root), ID)
    assert manifest.health.status == ((200, 299), (401, 401))
    assert manifest.web.stop == 45
    assert manifest.supervisor == SupervisorPlace()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be used"),
        ("[]", "cannot be used"),
        ({"schema": 3}, "schema 3, this Slipway reads 1 and 2"),
        ({"schema": 1}, "the key 'app' is missing|the key 'timeouts' is missing"),
    ],
)
def test_a_broken_manifest_is_named(root: Path, content: Any, message: str) -> None:
    write(root, content)
    with pytest.raises(HostError, match=message):
        read_manifest(str(root), ID)


def test_a_copied_release_is_refused(root: Path) -> None:
    write(root, data(root, release="v2-00000002"))
    with pytest.raises(HostError, match="cannot be moved or copied"):
        read_manifest(str(root), ID)


@pytest.mark.parametrize(
    "release", ["", "..", "../x-00000001", ".staging-00000001", "v1", "v1-0000000G", "a/b-00000001"]
)
def test_only_release_ids_are_followed(root: Path, release: str) -> None:
    with pytest.raises(HostError, match="is no release id"):
        read_manifest(str(root), release)


@pytest.mark.parametrize("path", ["/", "/srv", "srv/shop", "/srv/shop/", "/srv/../etc", "/srv/Shop", "/srv//shop", ""])
def test_only_roots_of_apps_are_touched(path: str) -> None:
    with pytest.raises(HostError, match="is no app's root"):
        app_name(path)
    place = Place(path, "/run/shop", "/var/log/slipway/shop")
    with pytest.raises(Exception, match="is no app's root"):
        remove([place], SupervisorPlace(), purge=True)


def test_a_log_directory_of_many_is_not_removed(root: Path) -> None:
    place = Place(str(root), "/run/shop", "/var/log")
    with pytest.raises(Exception, match="/var/log is not a directory of shop alone"):
        remove([place], SupervisorPlace(), purge=True)


def test_a_folder_that_was_not_made_for_an_app_is_not_removed(tmp_path: Path) -> None:
    root, run = tmp_path / "www", tmp_path / "run" / "www"
    (root / "shared").mkdir(parents=True)
    (run / "other").mkdir(parents=True)
    result = remove(
        [Place(str(root), str(run), str(tmp_path / "log/www"), str(tmp_path / "accounts.json"))],
        SupervisorPlace(),
        True,
    )
    assert not result["changed"]
    assert result["left"] == [str(root)]
    assert (root / "shared").exists()
    assert (run / "other").exists()


def test_supervisor_is_asked_only_where_it_is(tmp_path: Path) -> None:
    place = SupervisorPlace(str(tmp_path / "supervisor.sock"), str(tmp_path / "programs"))
    assert "supervisor" not in [manager.name for manager in managers.all_of(place)]
    (tmp_path / "programs").mkdir()
    assert managers.all_of(place)[-1].name == "supervisor", "also while supervisord is away: its programs have files"


def test_units_are_distinguished_when_one_app_s_name_begins_with_another_s(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    (shop / "releases" / "admin-v9-0000000a").mkdir(parents=True)
    (tmp_path / "shop-admin").mkdir()
    names = ["slipway-shop-v1-00000001", "slipway-shop-admin-v1-00000001", "slipway-shop-admin-v9-0000000a"]
    names += ["slipway-shop-worker", "slipway-shopping-v1-00000001", "nginx"]
    assert units.releases_of(str(shop), names) == {ID: [names[0]], "admin-v9-0000000a": [names[2]]}
    assert ID in units.releases_of(str(tmp_path / "shop-admin"), names)


def test_current(root: Path) -> None:
    assert releases.current(str(root)) is None
    releases.make_current(str(root), ID)
    assert os.readlink(root / "current") == f"releases/{ID}"
    (root / "current.new").symlink_to("left/by/a/killed/run")
    releases.make_current(str(root), "v2-00000002")
    assert releases.current(str(root)) == "v2-00000002"
    releases.make_current(str(root), None)
    assert not os.path.lexists(root / "current")
    (root / "current").symlink_to("/etc")
    with pytest.raises(HostError, match="leads to /etc"):
        releases.current(str(root))
    (root / "current").unlink()
    (root / "current").mkdir()
    with pytest.raises(HostError, match="is not a symbolic link"):
        releases.current(str(root))


def test_which_releases_stay() -> None:
    newest = ["g5", "b4", "g3", "b2", "g1", "g0"]
    bad = {"b4", "b2"}
    assert keep(newest, bad, set(), {"g5", "g3"}, 1) == {"g5", "g3", "b4"}
    assert keep(newest, bad, set(), {"g5", None}, 3) == {"g5", "g3", "g1", "b4"}
    assert keep(newest, bad, set(), {"b2", "gone"}, 1) == {"g5", "b4", "b2"}
    # Those that were never current take no place of one that a rollback can go back to.
    assert keep(newest, bad, {"g5", "g3"}, {"g1"}, 1) == {"g5", "g1", "b4"}


def test_keep_releases_counts_as_the_reference_says() -> None:
    key = next(key for key in schema.APP if key.name == "keep_releases")
    text = " ".join(key.reason.split())
    newest = ["current", "previous", "older", "oldest"]
    kept = {count: keep(newest, set(), set(), {"current", "previous"}, count) for count in (1, 2, 3)}
    assert key.default == 3 and "the current one included: `3` keeps two to roll back to" in text
    assert kept[3] == {"current", "previous", "older"}
    assert "before the current one always stays, also with `1`" in text
    assert kept[1] == kept[2] == {"current", "previous"}
    assert "The newest bad one and the newest that was never current stay, too" in text
    assert keep(["b2", "b1", "n2", "n1"], {"b1", "b2"}, {"n1", "n2"}, set(), 1) == {"b2", "n2"}


HEALTH = Health("/healthz", ((200, 299),), None, "shop.example", "http", 3, 0.2, 2.0)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (Answer(301, "https://shop.example/healthz", ""), "set health.scheme: https"),
        (Answer(301, "http://www.shop.example/healthz", ""), "set health.host: www.shop.example"),
        (Answer(308, "/healthz/", ""), "set health.path: /healthz/"),
        (Answer(302, "http://shop.example/accounts/login/?next=/healthz", ""), "wants a login"),
        (Answer(302, "", ""), "set health.path: /"),
        (Answer(400, "", ""), "ALLOWED_HOSTS"),
        (Answer(421, "", ""), "allow 'shop.example'"),
        (Answer(403, "", ""), "health.status: [403]"),
        (Answer(405, "", ""), "does not take GET"),
        (Answer(418, "", ""), "choose another health.path"),
        (Answer(503, "", ""), "raise the boot timeout"),
    ],
)
def test_a_refusal_says_what_to_do(answer: Answer, hint: str) -> None:
    fault = judge(answer, HEALTH, "/healthz")
    assert fault is not None
    assert hint in fault.hint
    assert str(answer.status) in fault.reason


def test_a_body_may_be_asked_for() -> None:
    from dataclasses import replace

    health = replace(HEALTH, body="ok")
    assert judge(Answer(200, "", "all ok"), health, "/") is None
    fault = judge(Answer(200, "", "<h1>\nWelcome"), health, "/")
    assert fault is not None
    assert "'ok' is not in the answer, which begins '<h1> Welcome'" in fault.reason


def test_the_tail_of_a_log_begins_at_its_offset(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"old\n\nnew \xff\nnewest\n")
    assert atomic.tail(str(log), 2) == ["new \ufffd", "newest"]
    assert atomic.tail(str(log), 9, start=5) == ["new \ufffd", "newest"]
    assert atomic.tail(str(log), 9, start=999) == ["old", "new \ufffd", "newest"], "rotated since"
    assert atomic.tail(str(tmp_path / "none")) == []


def test_equal_lines_of_a_log_are_shown_once() -> None:
    lines = [f"[2026-11-28 10:00:{second} +0000] [{second}7] [ERROR] no database" for second in range(10, 30)]
    assert united(["begins", *lines, "ends"]) == ["begins", f"{lines[-1]} (20 times)", "ends"]
    dated = [f"2026-11-28T10:00:0{second}Z no database" for second in range(3)]
    assert united(dated) == ["2026-11-28T10:00:02Z no database (3 times)"]
    assert united(["[ERROR] x", "[INFO] x", "", "  a", "  b"]) == ["[ERROR] x", "[INFO] x", "", "  a", "  b"]
    assert united(["", "", "x"]) == ["", "x"]


def test_the_app_s_own_exception_is_shown_though_the_master_s_came_after_it() -> None:
    app_lines = [
        "[t] [ERROR] Exception in worker process",
        "Traceback:",
        "RuntimeError: no DATABASE_URL",
        "[t] [INFO] Worker exiting",
    ]
    short = telling([*app_lines, "[t] [ERROR] Shutting down"])
    assert short == [*app_lines, "[t] [ERROR] Shutting down"]
    long = telling(["[t] old"] * 30 + app_lines + [f"master {n}" for n in range(30)])
    assert long[:3] == app_lines[:3]
    assert long[-1] == "master 29"
    assert len(long) <= 21


def test_an_exception_that_comes_back_is_known_by_its_last_line() -> None:
    once = [
        "[t] [ERROR] Error handling request /",
        "Traceback (most recent call last):",
        '  File "a.py", line 1',
        "OSError: [Errno 30]",
    ]
    other = [*once[:-1], "ValueError: 7"]
    assert repeated(once * 4, 5) == ""
    assert repeated([*other, *once * 5], 5) == "OSError: [Errno 30]"
    assert repeated([*once * 5, *other], 5) == "", "the last one is another"
    assert repeated(["OSError: no traceback"] * 9, 5) == ""
    trace = "Traceback (most recent call last):"
    chain = [
        trace,
        "OSError: read-only",
        "",
        "The above exception was the direct cause of the following exception:",
        "",
    ]
    chain += [trace, "ValueError: no handler"]
    assert repeated(chain * 5, 5) == "ValueError: no handler, because of OSError: read-only"
    chained = [*other, "", "During handling of the above exception, another exception occurred:", "", *once]
    assert repeated(chained * 5, 5) == "OSError: [Errno 30]"


def test_shared_work_is_done_after_everybody_asked_and_no_oftener() -> None:
    began: list[float] = []
    gate = threading.Event()

    def work() -> None:
        began.append(time.monotonic())
        gate.wait(10)

    shared = units.Shared(work)
    threads = [threading.Thread(target=shared) for _ in range(9)]
    threads[0].start()
    assert units.wait_until(lambda: bool(began), 10)
    asked = time.monotonic()
    for one in threads[1:]:
        one.start()
    assert units.wait_until(lambda: shared._asked == len(threads), 10)
    gate.set()
    for one in threads:
        one.join(10)
    assert len(began) == 2
    assert began[0] < asked < began[1], "work that had begun before they asked does not serve them"
    shared()
    assert len(began) == 3


def test_the_kernel_says_how_many_wait(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    assert backlog.waiting(path) is None
    assert backlog.drained(path, 1)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(8)
        assert backlog.waiting(path) == 0
        clients = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for client in clients:
            client.connect(path)
        assert backlog.waiting(path) == 3
        assert not backlog.drained(path, 0.1)
        accepted = [server.accept()[0] for _ in clients]
        assert backlog.drained(path, 1)
        assert backlog.served(path) == 3
        assert not backlog.idle(path, 0.1)
        for one in (*accepted, *clients):
            one.close()
        assert backlog.idle(path, 1)


def test_a_program_of_supervisors_is_read_by_root_alone(root: Path, tmp_path: Path) -> None:
    place = {"socket": str(tmp_path / "none"), "programs": str(tmp_path)}
    write(root, data(root, supervisor=place, log=str(tmp_path / "shop.log")))
    manifest = read_manifest(str(root), ID)
    Path(manifest.path, manifest.unit_file).write_text("[program:x]\n")
    managers.of(manifest).enable([manifest])
    assert (tmp_path / manifest.unit_file).stat().st_mode & 0o777 == 0o640


def test_what_left_an_earlier_instance_is_ended_where_no_control_group_holds_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, data(root, user="shop"))
    (root / "current").symlink_to(f"releases/{ID}")
    ended: list[str] = []
    running = {ID: [f"slipway-shop-{ID}"]}
    manager = types.SimpleNamespace(
        holds_all=False, instances=lambda _root: running, process=lambda unit: units.Process(7, True, unit)
    )
    monkeypatch.setattr(managers, "all_of", lambda _place: [manager])
    monkeypatch.setattr(managers, "of", lambda _manifest: manager)
    monkeypatch.setattr(retiring, "end", lambda *_: ([], {"v0-00000000": ["slipway-shop-v0-00000000.worker.1"]}))
    monkeypatch.setattr(retiring, "unneeded", lambda *_: [])
    monkeypatch.setattr(retiring.processes, "end_orphans", lambda user, main: ended.append(f"{user} {main()}"))
    retiring.retire({str(root): ID})
    assert ended == [], "nothing was retired"
    running["v0-00000000"] = ["slipway-shop-v0-00000000"]
    retiring.retire({str(root): ID}, check=True)
    assert ended == []
    retiring.retire({str(root): ID})
    assert ended == ["shop [7, 7]"], "a process that finishes its task stays"
