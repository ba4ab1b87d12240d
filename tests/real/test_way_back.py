"""A switch is undone: by its own run, after it died at any point, and never at the cost of what serves."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.base.outcome import Failed
from ansible_collections.slipway.kit.plugins.module_utils.host.files import fileset
from ansible_collections.slipway.kit.plugins.module_utils.host.run import (
    drifting,
    instances,
    switch_record,
    visiting,
)
from ansible_collections.slipway.kit.plugins.module_utils.host.run import switch as switching
from ansible_collections.slipway.kit.plugins.module_utils.host.run.instances import start
from ansible_collections.slipway.kit.plugins.module_utils.host.run.retire import retire
from ansible_collections.slipway.kit.plugins.module_utils.host.run.switch import activate, switch
from ansible_collections.slipway.kit.plugins.module_utils.host.run.way_back import take_back
from ansible_collections.slipway.kit.plugins.module_utils.host.system import lock, releases

from .conftest import Stage
from .steps import ALONE, deploy, placing

pytestmark = pytest.mark.real


def test_a_switch_is_taken_back_because_another_host_did_not_switch(stage: Stage, tmp_path: Path, undo: str) -> None:
    site, read = tmp_path / "site", tmp_path / "read"
    old, new, blog, kept = (
        stage.release(1),
        stage.release(2),
        stage.release(1, app="blog"),
        stage.release(1, app="kept"),
    )

    def sites(text: str) -> fileset.Wanted:
        return placing(site, text, f"cat {site} >> {read}; ls {blog.root}/current >> {read} 2>&1 || true")

    start([old, kept])
    switch([old, kept], sites("one\n"))
    start([new, blog])
    read.unlink()
    with stage.load(("/", "/busy")) as load:
        switch([new, blog, kept], sites("two\n"))
        assert take_back("", check=True)["changed"]
        assert stage.current() == new.release_id
        result = take_back("")
    assert load.failures == []
    assert [(one["app"], one["note"]) for one in result["apps"]] == [
        ("shop", f" (went back to {old.release_id})"),
        ("blog", " (there was no release before it: the app is off)"),
    ]
    assert result["paths"] == [str(site)]
    assert (stage.current(), stage.current("blog"), stage.current("kept")) == (old.release_id, None, kept.release_id)
    assert stage.get()[1] == old.release_id
    assert site.read_text() == "one\n"
    # nginx leads no client to the first release of an app any more when that ends.
    assert "No such file" not in read.read_text()
    for one in (new, blog):
        assert stage.gone(one)
        assert not releases.is_bad(one.root, one.release_id)
        assert not releases.Activation(one.root, one.release_id).when
    assert os.listdir(undo) == [".lock"]
    assert not take_back("")["changed"]
    assert not activate([old, kept])["changed"]


def test_nginx_s_files_go_back_without_a_release(stage: Stage, tmp_path: Path, undo: str) -> None:
    site, read = tmp_path / "site", tmp_path / "read"
    wish = stage.release(1)

    def sites(text: str) -> fileset.Wanted:
        return placing(site, text, f"cat {site} >> {read}")

    start([wish])
    switch([wish], sites("one\n"))
    retire({wish.root: wish.release_id})
    assert switch([wish], sites("two\n"))[0]["paths"] == [str(site)]
    assert take_back("", check=True)["paths"] == [str(site)]
    assert site.read_text() == "two\n"
    assert take_back("") == {"changed": True, "apps": [], "paths": [str(site)]}
    assert read.read_text().split() == ["one", "two", "one"]
    assert (stage.get()[1], os.listdir(undo)) == (wish.release_id, [".lock"])
    assert not take_back("")["changed"]


def test_only_the_run_that_switched_takes_it_back(
    stage: Stage, tmp_path: Path, undo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    old, new = stage.release(1), stage.release(2)
    start([old, new])
    switch([old], placing(site, "one\n", "true"), run="first")
    switch([new], placing(site, "two\n", "true"), run="second")
    assert not take_back("first")["changed"]
    # Another run has the host now, and has not come to its switch.
    monkeypatch.setattr(lock, "token", lambda: "third")
    assert not take_back("second")["changed"]
    assert not take_back("third")["changed"]
    assert (stage.current(), site.read_text()) == (new.release_id, "two\n")
    monkeypatch.setattr(lock, "token", lambda: "second")
    assert take_back("second")["changed"]
    assert (stage.current(), site.read_text()) == (old.release_id, "one\n")


class KilledError(Exception):
    """What nothing catches, as nothing catches SIGKILL."""


@contextmanager
def killed(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, after: bool = False) -> Iterator[None]:
    """The step dies at a function, before or after it, and cleans up nothing."""
    work = getattr(owner, name)

    def dies(*arguments: Any, **named: Any) -> None:
        if after:
            work(*arguments, **named)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, dies)
        patch.setattr(fileset, "restore", lambda *_: fileset.Result())
        patch.setattr(switch_record, "forget", lambda: None)
        with pytest.raises(KilledError):
            yield


@pytest.mark.parametrize(
    ("owner", "name", "after"),
    [
        (switching, "activate", False),  # nginx has its new files
        (releases, "make_current", False),
        (releases, "make_current", True),
        (visiting, "visit", False),
    ],
)
def test_a_host_that_died_in_its_switch_is_taken_back(
    owner: Any, name: str, after: bool, stage: Stage, tmp_path: Path, undo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step was killed, or its answer did not reach the controller. Only the host knows how far it got."""
    site = tmp_path / "site"
    old, new = stage.release(1), stage.release(2)
    start([old])
    switch([old], placing(site, "one\n", "true"))
    start([new])
    with killed(monkeypatch, owner, name, after):
        switch([new], placing(site, "two\n", "true"), leaving="rolled back")
    assert site.read_text() == "two\n"
    take_back("")
    assert (stage.get()[1], site.read_text(), os.listdir(undo)) == (old.release_id, "one\n", [".lock"])
    assert not releases.is_bad(old.root, old.release_id)
    instances.stop_unseen([new])
    assert stage.gone(new)


def test_an_app_that_cannot_run_twice_runs_again_where_its_host_died_in_the_pause(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = stage.release(1, "alone", **ALONE), stage.release(2, "alone", **ALONE)
    deploy(stage, old)
    start([new])
    with killed(monkeypatch, switching, "_carry_out"):
        switch([new])
    assert not stage.alive(old)
    (app,) = take_back("")["apps"]
    assert app["note"] == f" ({old.release_id} had ended for it, and was started again)"
    assert stage.get()[1] == old.release_id
    assert stage.manager.enabled(stage.manifest(old).unit)
    assert not activate([old])["changed"]


def test_a_run_after_one_that_died_in_its_switch_goes_back_to_what_that_one_left(
    stage: Stage, tmp_path: Path, undo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Release and nginx's files belong together. A run that finishes the switch takes back all of it."""
    site = tmp_path / "site"
    one, two, three = (stage.release(number) for number in (1, 2, 3))
    start([one])
    switch([one], placing(site, "one\n", "true"))
    for wish, text, expected in ((three, "three\n", (two, "two\n")), (two, "two\n", (one, "one\n"))):
        start([two, three])
        with killed(monkeypatch, visiting, "visit"):
            switch([two], placing(site, "two\n", "true"), run="dead")
        switch([wish], placing(site, text, "true"), run="next")
        assert take_back("next")["changed"]
        release, content = expected
        assert (stage.get()[1], site.read_text(), os.listdir(undo)) == (release.release_id, content, [".lock"])
        switch([one], placing(site, "one\n", "true"))
        fileset.forget("sites-before", check=False)


@pytest.mark.parametrize("shape", [{}, ALONE])
def test_a_good_release_stays_where_the_earlier_one_does_not_start_again(stage: Stage, shape: dict[str, Any]) -> None:
    old, new = stage.release(1, **shape), stage.release(2, **shape)
    deploy(stage, old)
    start([new])
    switch([new])
    if not shape:
        instances.take_down(stage.manifest(old), 2)
    Path(old.root, "releases", old.release_id, "code", "app.py").write_text("raise RuntimeError('no such column')\n")
    with pytest.raises(Failed, match=r"the switch could not be undone \(and going back failed: "):
        take_back("")
    assert stage.get() == (200, new.release_id)
    assert not stage.alive(old)


def test_a_rollback_is_taken_back(stage: Stage) -> None:
    """What it marked bad is good again; what had been bad before stays so. The release keeps its history."""
    old, new = stage.release(1), stage.release(2)
    deploy(stage, old)
    deploy(stage, new)
    releases.mark_bad(old.root, old.release_id, "it leaked")
    record = Path(old.root, "releases", old.release_id, "activated.json")
    before = json.loads(record.read_text()) | {"when": "2026-01-02T03:04:05Z"}
    record.write_text(json.dumps(before))
    for reason in ("", "it crashed"):
        if reason:
            releases.mark_bad(new.root, new.release_id, reason)
        start([old])
        switch([old], leaving="rolled back")
        assert releases.why_bad(new.root, new.release_id) == (reason or "rolled back")
        assert not releases.is_bad(old.root, old.release_id)
        take_back("")
        assert stage.get()[1] == new.release_id
        assert releases.why_bad(new.root, new.release_id) == reason
        assert releases.why_bad(old.root, old.release_id) == "it leaked"
        assert json.loads(record.read_text()) == before
        assert record.stat().st_mtime == 1767323045, "the time by which releases are kept"


def test_the_pause_of_an_app_that_cannot_run_twice_is_no_drift(stage: Stage) -> None:
    old, new = stage.release(1, "alone", **ALONE), stage.release(2, "alone", **ALONE)
    deploy(stage, old)
    folder = Path(old.root, "releases", old.release_id)
    (folder / "venv/.complete").touch()
    for path in (*folder.rglob("*"), *(folder / "venv").iterdir()):
        os.utime(path, (time.time() - 3600,) * 2, follow_symlinks=False)
    deploy(stage, new)
    link = folder / "run"
    assert link.lstat().st_mtime > time.time() - 600
    assert list(drifting._changed(stage.manifest(old), set())) == []
    link.unlink()
    link.symlink_to("/run/other")
    assert [one["detail"] for one in drifting._changed(stage.manifest(old), set())] == [
        f"has a link {link} that leads to /run/other, not to {stage.manifest(old).run}"
    ]


def test_an_app_that_cannot_run_twice_is_taken_back_in_a_pause(stage: Stage) -> None:
    old, new = stage.release(1, "alone", **ALONE), stage.release(2, "alone", **ALONE)
    deploy(stage, old)
    start([new])
    with stage.load(("/",) * 4) as load:
        switch([new])
        assert not stage.alive(old)
        take_back("")
        assert stage.get()[1] == old.release_id
    assert load.failures == []
    assert stage.gone(new)
    assert stage.manager.enabled(stage.manifest(old).unit)


def test_what_cannot_be_taken_back_is_named(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = stage.release(1), stage.release(2)
    deploy(stage, old)
    start([new])
    switch([new])

    def full(root: str, release_id: str | None) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(releases, "make_current", full)
    with pytest.raises(Failed, match=r"the switch could not be undone \(and going back failed: .*No space left"):
        take_back("")
    assert stage.get()[1] == new.release_id
