"""Instances under a real supervisord: started, gated, switched, retired and removed."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.errors import HostError
from ansible_collections.slipway.kit.plugins.module_utils.contract.manifest import read_manifest
from ansible_collections.slipway.kit.plugins.module_utils.host.base.outcome import Failed
from ansible_collections.slipway.kit.plugins.module_utils.host.files import fileset
from ansible_collections.slipway.kit.plugins.module_utils.host.process import managers, supervisor
from ansible_collections.slipway.kit.plugins.module_utils.host.run import (
    backlog,
    health,
    instances,
    pausing,
    visiting,
)
from ansible_collections.slipway.kit.plugins.module_utils.host.run.instances import start
from ansible_collections.slipway.kit.plugins.module_utils.host.run.removal import Place, remove
from ansible_collections.slipway.kit.plugins.module_utils.host.run.retire import retire
from ansible_collections.slipway.kit.plugins.module_utils.host.run.switch import activate, switch
from ansible_collections.slipway.kit.plugins.module_utils.host.run.verdicts import Fault
from ansible_collections.slipway.kit.plugins.module_utils.host.system import releases

from tests.patience import patience

from .conftest import KIT, Stage, until
from .steps import ALONE, deploy, placing, refused

pytestmark = pytest.mark.real


def test_a_good_release_is_started_once(stage: Stage) -> None:
    wish = stage.release(1)
    assert start([wish], check=True)["changed"]
    assert stage.instances() == []
    begun = start([wish])
    assert begun["changed"] and not begun["failures"]
    pid = stage.pid(wish)
    again = start([wish])
    assert not again["changed"]
    assert again["apps"] == [{"app": "shop", "release": wish.release_id, "started": False}]
    assert stage.pid(wish) == pid


BROKEN = {
    "import": ("the process ended before the app answered", "exception at import", "no DATABASE_URL"),
    "exit": ("workers die while they load the app", "sys.exit()", ""),
    "hang": ("had no answer after 8 s", "blocking call at import", ""),
    "crash": ("a worker died after the app had answered", "last words", ""),
    # Which of its two hints comes depends on how often it was asked before the verdict: "raised an exception", or "raises
    # this each time".
    "error": ("GET /healthz (Host: shop.example) was answered 500", "the app raise", "no such table"),
    "https": ("301, a redirect to https://shop.example/healthz", "set health.scheme: https", ""),
    "login": ("302, a redirect to /login", "wants a login", ""),
    "guard": ("was answered 401", "health.status: [401]", ""),
    "missing": ("was answered 404", "set health.path", ""),
}


def test_broken_releases_are_refused_and_leave_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = health.judge

    def hasty(*arguments: Any) -> Fault | None:
        """The health check, but an answer 500 is final after two seconds: the real limit is too long for a test.

        supervisord needs a moment to write what many apps log at once.
        """
        fault = judge(*arguments)
        return fault and dataclasses.replace(fault, patience=min(fault.patience, patience(2)))

    monkeypatch.setattr(health, "judge", hasty)
    good = stage.release(1)
    start([good])
    pid = stage.pid(good)
    wishes = {
        kind: stage.release(2, kind, app=kind, boot=8 if kind == "hang" else 30, health={"soak": 1.5})
        for kind in BROKEN
    }
    begin = time.monotonic()
    failures = refused(*wishes.values())
    assert time.monotonic() - begin < patience(20), "an instance without visitors need not stop gracefully"
    assert [failure.app for failure in failures] == list(BROKEN)
    for failure in failures:
        reason, hint, log = BROKEN[failure.app]
        wish = wishes[failure.app]
        assert reason in failure.reason, failure
        assert hint in failure.hint, failure
        assert log in "\n".join(failure.log), failure
        assert stage.gone(wish)
        assert reason in json.loads(Path(wish.root, "releases", wish.release_id, "bad.json").read_text())["reason"]
    assert stage.pid(good) == pid


def test_what_a_program_writes_while_it_is_installed_is_its_own(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """supervisord starts at once what is added. On a busy host the app has failed before the next step begins."""
    wish = stage.release(1, "import")
    log = Path(read_manifest(wish.root, wish.release_id).log)
    install = supervisor.Supervisor.install
    begun: dict[str, int] = {}

    def slowly(self: Any, manifests: Any, single: bool = False) -> list[str]:
        changed = install(self, manifests, single)
        if manifests:
            until(lambda: log.exists() and "no DATABASE_URL" in log.read_text())
        return changed

    monkeypatch.setattr(supervisor.Supervisor, "install", slowly)
    monkeypatch.setattr(instances, "bring_up", lambda manifest, manager, begins, programs: begun.update(begins) or "")
    start([wish])
    assert begun == {str(log): 0}


def test_a_page_that_never_ends_holds_nobody(stage: Stage) -> None:
    assert start([stage.release(1, "stream", boot=600)])["changed"]

    without = stage.release(1, "stream", app="blog", boot=6, health={"body": "ready"})
    begin = time.monotonic()
    [failure] = refused(without)
    assert "'ready' is not in the answer, which begins '.." in failure.reason
    assert time.monotonic() - begin < patience(30)


FOLLOW = {"path": "/", "follow": True, "status": [[200, 399], [401, 499]]}


def test_a_redirect_is_followed_to_its_end(stage: Stage) -> None:
    """Without a health path the check asks for the front page, and follows its redirects on the same host."""
    good = stage.release(1, "front", environment={"END": "200 OK"}, health=FOLLOW)
    assert start([good])["warnings"] == []

    broken = stage.release(1, "front", app="blog", environment={"END": "500 Oops"}, boot=15, health=FOLLOW)
    circle = stage.release(1, "circle", app="news", health=FOLLOW)
    away = stage.release(1, "away", app="wiki", health=FOLLOW)
    reasons = {failure.app: failure.reason for failure in refused(broken, circle, away)}
    assert reasons["blog"] == "GET / (Host: shop.example) leads to /end?a=b, which was answered 500"
    assert "leads from redirect to redirect" in reasons["news"]
    assert "wiki" not in reasons, "what another host answers is not this app's affair"


def test_nothing_at_the_front_page_passes_with_advice(stage: Stage) -> None:
    [advice] = start([stage.release(1, "nothing", health=FOLLOW)])["warnings"]
    assert advice.startswith("shop: GET / was answered 404.")
    assert "set health.path" in advice


def test_an_instance_of_which_not_all_workers_serve_is_refused(stage: Stage) -> None:
    [failure] = refused(stage.release(1, "half", boot=3))
    assert "1 of 2 workers serve" in failure.reason
    assert "warm_up" in failure.hint


def test_the_gate_waits_until_all_workers_serve(stage: Stage) -> None:
    flag = threading.Timer(1.5, (stage.top / "flag").touch)
    flag.start()
    begin = time.monotonic()
    deploy(stage, stage.release(1, "half"))
    assert time.monotonic() - begin >= 1.5
    flag.join()


def test_what_workers_report_becomes_a_warning_once(stage: Stage) -> None:
    assert start([stage.release(1, "remarks")])["warnings"] == ["shop: warm-up: GET /x was answered 404"]


def test_an_exception_that_comes_back_each_time_ends_the_gate(stage: Stage) -> None:
    broken = stage.release(1, "readonly", boot=60)
    begin = time.monotonic()
    [failure] = refused(broken)
    assert (
        "each time with the exception \"OSError: [Errno 30] Read-only file system: '/var/lib/data'\"" in failure.reason
    )
    assert f"{broken.root}/shared (the variable SLIPWAY_SHARED)" in failure.hint
    assert time.monotonic() - begin < patience(10)


def test_one_that_fails_does_not_hold_back_the_others(stage: Stage) -> None:
    good, bad = stage.release(1), stage.release(1, "import", app="blog")
    assert [failure.app for failure in refused(good, bad)] == ["blog"]
    assert stage.alive(good)
    assert stage.gone(bad)
    assert not releases.is_bad(good.root, good.release_id)
    assert releases.is_bad(bad.root, bad.release_id)


def test_what_clients_see_is_never_stopped(stage: Stage) -> None:
    wish = stage.release(1, "file", boot=3)
    deploy(stage, wish)
    pid = stage.pid(wish)
    (stage.top / "flag").touch()
    [failure] = refused(wish)
    assert "answered 503" in failure.reason and "current release, so it was left" in failure.reason
    assert stage.pid(wish) == pid
    assert not releases.is_bad(wish.root, wish.release_id)


def test_a_start_that_was_killed_is_finished(stage: Stage) -> None:
    """The instance that it left is checked without a restart."""
    wish = stage.release(1, health={"soak": 2.0})
    script = f"""
        from ansible_collections.slipway.kit.plugins.module_utils.host.run.instances import Wish, start
        start([Wish({wish.root!r}, {wish.release_id!r})])
    """
    path = os.pathsep.join([str(KIT / "collections")])
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], env={**os.environ, "PYTHONPATH": path})
    until(lambda: stage.instances() and health.answers(stage.manifest(wish)) is None)
    process.kill()
    process.wait()
    pid, begin = stage.pid(wish), time.monotonic()
    assert start([wish])["changed"]
    assert time.monotonic() - begin >= 2.0
    assert stage.pid(wish) == pid
    assert not start([wish])["changed"]


def test_a_program_that_supervisord_gave_up_is_started_again(stage: Stage) -> None:
    wish = stage.release(1, "import")
    manifest = stage.manifest(wish)
    stage.manager.install([manifest])
    until(lambda: not stage.manager.process(manifest.unit).alive)
    (Path(manifest.path) / "code" / "app.py").write_text(
        "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'']\n"
    )
    start([wish])
    assert stage.alive(wish)


def test_another_program_s_fault_is_named(stage: Stage) -> None:
    broken = Path(stage.place.programs, "broken.conf")
    broken.write_text("[program:broken]\ncommand=/bin/true\nstdout_logfile=/no/such/folder/x.log\n")
    try:
        wish = stage.release(1)
        with pytest.raises(Failed, match=r"refuses reloadConfig: CANT_REREAD.*/no/such/folder"):
            start([wish])
        assert stage.gone(wish)
        assert not releases.is_bad(wish.root, wish.release_id)
    finally:
        broken.unlink()


def test_without_supervisord_the_message_says_so(stage: Stage, tmp_path: Path) -> None:
    place = {"socket": str(tmp_path / "no.sock"), "programs": str(tmp_path)}
    wish = stage.release(1, supervisor=place)
    with pytest.raises(HostError, match=r"supervisord does not listen on .*no.sock"):
        start([wish])


def test_switching_and_retiring_lose_no_request(stage: Stage) -> None:
    first = stage.release(1)
    deploy(stage, first)
    with stage.load(("/", "/", "/busy", "/slow", "/slow", "/slow")) as load:
        for number in range(2, 5):
            wish = stage.release(number)
            start([wish])
            result = activate([wish])
            assert result["apps"][0]["previous"] == f"v{number - 1}-{number - 1:08x}"
            assert stage.get()[1] == wish.release_id
            retired = retire({wish.root: wish.release_id})
            assert retired["apps"][0]["retired"] == [f"v{number - 1}-{number - 1:08x}"]
            assert retired["apps"][0]["undrained"] == []
    assert load.failures == []
    assert sorted(load.seen) == [f"v{n}-{n:08x}" for n in range(1, 5)]
    assert load.total == load.begun
    assert stage.instances() == ["v4-00000004"]
    assert not activate([wish])["changed"]
    assert not retire({wish.root: wish.release_id})["changed"]


def test_an_app_that_cannot_run_twice_is_replaced_while_requests_wait(stage: Stage) -> None:
    first = stage.release(1, "alone", **ALONE)
    deploy(stage, first)
    with stage.load(("/", "/", "/busy", "/slow")) as load:
        for number in (2, 3):
            wish = stage.release(number, "alone", **ALONE)
            assert start([wish])["apps"][0]["started"] is False, "it is started in the switch"
            activate([wish])
            assert stage.get()[1] == wish.release_id
            retire({wish.root: wish.release_id})
    assert load.failures == []
    assert load.total == load.begun and len(load.seen) == 3
    assert stage.instances() == [wish.release_id]
    assert not os.path.exists(stage.top / "run/shop/pause")


def test_an_app_that_cannot_run_twice_goes_back_to_the_old_instance(stage: Stage) -> None:
    good, broken = stage.release(1, "alone", **ALONE), stage.release(2, "alone, broken", boot=15, **ALONE)
    deploy(stage, good)
    with stage.load(("/", "/busy")) as load:
        start([broken])
        with pytest.raises(Failed, match=f"no such table.*{good.release_id} was started again"):
            activate([broken])
        assert stage.get()[1] == good.release_id
    assert load.failures == []
    assert set(load.seen) == {good.release_id}
    assert stage.gone(broken) and releases.is_bad(broken.root, broken.release_id)
    assert os.readlink(os.path.join(good.root, "releases", good.release_id, "run")) == stage.manifest(good).run


def test_a_pause_that_was_killed_is_mended(stage: Stage) -> None:
    wish = stage.release(1, "alone", **ALONE)
    deploy(stage, wish)
    manifest = stage.manifest(wish)
    pausing.Pause(manifest)._socket.close()
    stage.manager.halt(manifest.unit, 15)
    assert activate([wish])["changed"]
    assert stage.get()[1] == wish.release_id
    # The instance still runs: the run was killed while it waited for its requests.
    pausing.Pause(manifest)._socket.close()
    activate([wish])
    assert stage.get()[1] == wish.release_id
    assert not os.path.exists(pausing.folder(manifest))


def test_retiring_waits_for_those_who_queue(stage: Stage) -> None:
    """Two sync workers, 0.1 s a request, 24 clients: the old instance's queue is long at the switch."""
    old = stage.release(1, worker_class="sync", threads=1)
    deploy(stage, old)
    new = stage.release(2)
    start([new])
    with stage.load(("/busy",) * 24) as load:
        until(lambda: (backlog.waiting(stage.manifest(old).socket) or 0) > 10)
        activate([new])
        retire({new.root: new.release_id})
    assert load.failures == []
    assert stage.gone(old)


def test_a_failed_verification_goes_back(stage: Stage) -> None:
    good, bad = stage.release(1), stage.release(2, "visit")
    deploy(stage, good)
    other = stage.release(1, app="blog")
    start([bad, other])
    with pytest.raises(Failed) as caught:
        activate([bad, other], patience=0.3)
    (failure,) = caught.value.failures
    assert failure.app == "shop"
    assert "through nginx" in failure.reason
    assert f"went back to {good.release_id}" in failure.reason
    assert (stage.current(), stage.current("blog")) == (good.release_id, None)
    assert stage.get()[1] == good.release_id
    assert stage.gone(bad)
    assert stage.gone(other)
    assert releases.is_bad(bad.root, bad.release_id)
    assert not releases.is_bad(other.root, other.release_id)
    assert not activate([good])["changed"]


def test_the_first_site_of_an_app_leads_to_its_instance_from_the_beginning(
    stage: Stage, tmp_path: Path, undo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clients may have been another app's: the app was renamed."""
    wish, site, read = stage.release(1), tmp_path / "site", tmp_path / "read"
    look = f"readlink {wish.root}/current >> {read} || echo nowhere >> {read}"
    start([wish])
    with pytest.raises(HostError):
        switch([wish], placing(site, "zero\n", f"{look}; false"))
    assert stage.current() is None
    assert not site.exists()
    visit = visiting.visit
    monkeypatch.setattr(visiting, "visit", lambda manifest, _patience: Fault("not this one", ""))
    with pytest.raises(Failed, match="there was no release before it: the app is off"):
        switch([wish], placing(site, "one\n", look))
    assert stage.current() is None
    assert not releases.Activation(wish.root, wish.release_id).when
    monkeypatch.setattr(visiting, "visit", visit)
    releases.mark_good(wish.root, wish.release_id)
    start([wish])
    result, _diffs = switch([wish], placing(site, "two\n", look))
    assert (result["changed"], result["apps"][0]["previous"]) == (True, None)
    # Each of the three, and the second time when nginx's files go back.
    assert read.read_text().split()[::2] == [f"releases/{wish.release_id}"] * 3
    assert stage.get()[1] == wish.release_id
    assert stage.manager.enabled(stage.manifest(wish).unit)
    assert not switch([wish], placing(site, "two\n", look))[0]["changed"]


def test_sites_stay_or_go_with_the_release(
    stage: Stage, tmp_path: Path, undo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, read = tmp_path / "site", tmp_path / "read"

    def sites(text: str) -> fileset.Wanted:
        return placing(site, text, f"cat {site} >> {read}")

    good, bad = stage.release(1), stage.release(2, "visit")
    start([good])
    result, diffs = switch([good], sites("one\n"))
    assert (result["changed"], result["paths"], diffs[0]["after"]) == (True, [str(site)], "one\n")
    assert sorted(os.listdir(undo)) == [".lock", "kept-sites-before.json"]
    start([bad])
    visit = visiting.visit
    monkeypatch.setattr(visiting, "visit", lambda manifest, _patience: visit(manifest, 0.2))
    with pytest.raises(Failed):
        switch([bad], sites("two\n"))
    assert site.read_text() == "one\n"
    assert read.read_text().split() == ["one", "two", "one"]
    assert os.listdir(undo) == [".lock"]
    assert stage.current() == good.release_id


def test_nginx_s_own_refusals_are_distinguished(stage: Stage) -> None:
    wish = stage.release(1, visit={"port": stage.port, "host": "nobody.example", "path": "/"})
    start([wish])
    with pytest.raises(Failed, match=r"closed the connection .*refuses the host name 'nobody.example'"):
        activate([wish], patience=0.2)
    nowhere = stage.release(2, visit={"port": 1, "host": "shop.example", "path": "/"})
    start([nowhere])
    with pytest.raises(Failed, match=r"no process listens on http://127.0.0.1:1/"):
        activate([nowhere], patience=0.2)
    assert stage.current() is None
    assert releases.is_bad(wish.root, wish.release_id)
    assert not releases.is_bad(nowhere.root, nowhere.release_id), "a stopped nginx is no release's fault"


def test_an_instance_that_does_not_run_is_not_activated(stage: Stage) -> None:
    good, down = stage.release(1), stage.release(2)
    deploy(stage, good)
    with pytest.raises(Failed, match="not activated"):
        activate([down])
    assert stage.current() == good.release_id


def test_an_instance_that_lost_a_worker_since_it_was_proved_is_not_activated(stage: Stage) -> None:
    first, second = stage.release(1), stage.release(2)
    deploy(stage, first)
    start([second])
    workers = health.workers_of(stage.pid(second))
    assert workers
    os.kill(min(workers), signal.SIGKILL)
    until(lambda: (health.workers_of(stage.pid(second)) or workers) - workers)
    with pytest.raises(Failed, match="a process of it has just been replaced"):
        activate([second])
    assert releases.current(first.root) == first.release_id
    # The current release is not held to that: its clients need the new worker.
    os.kill(min(health.workers_of(stage.pid(first)) or ()), signal.SIGKILL)
    assert not activate([first])["changed"]


def test_a_switch_that_was_killed_is_verified_or_taken_back(stage: Stage) -> None:
    good = stage.release(1)
    deploy(stage, good)
    fine, bad = stage.release(2), stage.release(3, "visit")
    for wish in (fine, bad):
        start([wish])
        before = stage.current()
        releases.Activation(wish.root, wish.release_id).write(before, verified=False, run="")
        releases.make_current(wish.root, wish.release_id)
        if wish is fine:
            assert activate([wish])["apps"][0]["previous"] == good.release_id
            assert not activate([wish])["changed"]
    with pytest.raises(Failed, match=f"went back to {fine.release_id}"):
        activate([bad], patience=0.2)
    assert stage.get()[1] == fine.release_id
    assert stage.gone(bad)


def test_a_current_instance_that_is_down_or_not_enabled_is_mended(stage: Stage) -> None:
    wish = stage.release(1)
    deploy(stage, wish)
    manifest = stage.manifest(wish)
    stage.manager.disable([manifest.unit])
    pid = stage.pid(wish)
    assert activate([wish])["changed"]
    assert stage.manager.enabled(manifest.unit)
    assert stage.pid(wish) == pid
    stage.manager.stop(manifest.unit, 20)
    assert activate([wish])["changed"]
    assert stage.get() == (200, wish.release_id)


def test_going_back_revives_the_old_instance(stage: Stage) -> None:
    good, bad = stage.release(1), stage.release(2, "visit")
    deploy(stage, good)
    start([bad])
    instances.take_down(stage.manifest(good), 2)
    with pytest.raises(Failed, match="which had to be started"):
        activate([bad], patience=0.2)
    assert stage.get() == (200, good.release_id)


def test_old_releases_are_pruned_and_links_never_followed(stage: Stage) -> None:
    outside = stage.top / "srv" / "outside"
    outside.mkdir(parents=True)
    (outside / "precious").touch()
    for number in range(1, 6):
        wish = stage.release(number, venv=f"venv{number}")
        log = Path(stage.manifest(wish).log)
        log.with_name(f"{log.name}.1.gz").touch()
        deploy(stage, wish)
        if number == 2:
            bad = [stage.release(20, venv="venv20"), stage.release(21)]
            for one in bad:
                releases.mark_bad(one.root, one.release_id, "it hung")
                Path(stage.manifest(one).log).touch()
    root = Path(wish.root)
    (root / "releases" / ".staging-x").mkdir()
    (root / "releases" / "unfinished-00000099").mkdir()
    (root / "releases" / "link-00000098").symlink_to(outside)
    (root / "releases" / ".staging-x" / "out").symlink_to(outside)
    (root / "venvs" / "link").symlink_to(outside)
    for litter in (".cache/uv", ".taken/theirs"):
        (root / "venvs" / litter).mkdir(parents=True)
    check = retire({wish.root: wish.release_id}, check=True)
    assert retire({wish.root: wish.release_id})["apps"][0]["removed"] == check["apps"][0]["removed"]
    left = sorted(path.name for path in (root / "releases").iterdir())
    assert left == ["link-00000098", "v21-00000015", "v4-00000004", "v5-00000005"]
    assert sorted(path.name for path in (root / "venvs").iterdir()) == ["aaaa", "link", "venv4", "venv5"]
    logs = {path.name.split(".")[0] for path in Path(stage.manifest(wish).log).parent.iterdir()}
    assert logs == {"v20-00000014", "v21-00000015", "v4-00000004", "v5-00000005"}
    assert [releases.why_bad(wish.root, one.release_id) for one in bad] == ["it hung", "it hung"]
    assert (outside / "precious").exists()
    assert not retire({wish.root: wish.release_id})["changed"]


def test_nothing_is_retired_when_another_release_is_current(stage: Stage) -> None:
    old, new = stage.release(1), stage.release(2)
    deploy(stage, old)
    start([new])
    with pytest.raises(Failed, match="current is v1-00000001, not v2-00000002"):
        retire({new.root: new.release_id})
    assert not retire({new.root: new.release_id}, check=True)["changed"]
    assert stage.instances() == [old.release_id, new.release_id]


@pytest.mark.parametrize("purge", [False, True])
def test_an_app_is_removed(stage: Stage, purge: bool) -> None:
    wish, other = stage.release(1), stage.release(1, app="shop-admin")
    deploy(stage, wish)
    start([other])
    try:
        pid = stage.pid(other)
        (Path(wish.root) / "shared").mkdir()
        (Path(wish.root) / "shared" / "data").touch()
        (Path(wish.root) / releases.RECORD).write_text("{}")
        site = stage.top / "log" / "slipway-shop.example"
        site.with_name(f"{site.name}.access.log.1").write_text("a visitor's address")
        place = Place(
            wish.root,
            str(stage.top / "run/shop"),
            str(stage.top / "log/shop"),
            str(stage.top / "accounts.json"),
            (str(site),),
        )
        os.kill(stage.pid(wish), signal.SIGTERM)  # supervisord restarts it by itself just now
        expected = remove([place], stage.place, purge, check=True)
        result = remove([place], stage.place, purge)
        assert expected.pop("message")[0].startswith("shop would be off this host")
        assert result.pop("message")[0].startswith("shop is off this host")
        assert result == expected
        assert stage.instances() == []
        left = [] if purge else [f"{wish.root}/shared", f"{stage.top}/log/shop"]
        assert result["left"] == left
        assert sorted(str(p) for p in stage.top.glob("*/shop")) == (
            [] if purge else [str(stage.top / "log/shop"), wish.root]
        )
        kept = [path.relative_to(stage.top / "log").parts[0] for path in (stage.top / "log").rglob("*.access.log.1")]
        assert kept == ([] if purge else ["shop"])
        again = remove([place], stage.place, purge)
        assert not again["changed"]
        assert again["message"][0].startswith("There is nothing of shop" if purge else "shop was off this host already")
        assert stage.pid(other) == pid
    finally:
        instances.take_down(stage.manifest(other), 2)


def test_systemd_is_not_asked_where_it_does_not_run(stage: Stage) -> None:
    wish = stage.release(1, manager="systemd")
    with pytest.raises(HostError, match="systemd does not run here"):
        managers.of(stage.manifest(wish))
