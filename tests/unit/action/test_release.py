"""What stops a deploy before anything is built."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.action import release
from ansible_collections.slipway.kit.plugins.module_utils.contract.facts import AppFacts, ReleaseFacts

SERVED, OTHER = SimpleNamespace(serves=True), SimpleNamespace(serves=False)


def down(check: bool = False, app: Any = SERVED, **nginx: bool) -> str:
    """Why nginx is in the way."""
    action: Any = release.ActionModule.__new__(release.ActionModule)
    action._task = SimpleNamespace(check_mode=check)
    facts = SimpleNamespace(nginx=SimpleNamespace(**{"installed": True, "running": False, **nginx}))
    action._inventory = SimpleNamespace(facts=facts, to_deploy=[app])
    return action._nginx_is_down()


@pytest.fixture(autouse=True)
def _served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release.sites, "present", lambda apps: [app for app in apps if app.serves])


def test_a_stopped_nginx_stops_a_deploy() -> None:
    assert "nginx does not run on this host" in down()


def test_what_needs_no_running_nginx_goes_on() -> None:
    assert down(running=True) == down(installed=False) == down(check=True) == ""
    assert down(app=OTHER) == ""


ON_DISK = ReleaseFacts(
    code=None, build=None, placed=None, bad=None, activated=None, previous=None, migrated=None, complete=True
)
BAD = "v1-00000001"


def refused(on_host: AppFacts, redeploy: bool = False) -> list[str]:
    """Why a deploy of the release that may be bad is refused."""
    action: Any = release.ActionModule.__new__(release.ActionModule)
    action._redeploy = redeploy
    facts = SimpleNamespace(app=lambda _name: on_host)
    action._inventory = SimpleNamespace(facts=facts, to_deploy=[SimpleNamespace(name="shop")])
    action._prepare = lambda app: release.Prepared(app, BAD, SimpleNamespace(), SimpleNamespace())
    prepared, failures = action._prepare_all()
    assert len(prepared) + len(failures) == 1
    return [failure["reason"] for failure in failures]


@pytest.mark.parametrize(
    "on_host",
    [AppFacts(None, {BAD: replace(ON_DISK, bad="rolled back")}), AppFacts(None, {}, {BAD: "rolled back"})],
    ids=("on the disk", "removed"),
)
def test_a_bad_release_is_refused_until_it_is_asked_for(on_host: AppFacts) -> None:
    (why,) = refused(on_host)
    assert why.startswith("v1-00000001 was marked bad on this host: rolled back. Change the app")
    assert refused(on_host, redeploy=True) == []


def test_a_release_that_is_not_bad_is_deployed() -> None:
    assert refused(AppFacts(None, {BAD: ON_DISK}, {"v0-00000000": "rolled back"})) == []


def test_what_is_held_back_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its hook before_prepare has failed. It keeps its name: the hook on_failure is due for it."""
    action: Any = release.ActionModule.__new__(release.ActionModule)
    monkeypatch.setattr(release.ActionBase, "run", lambda *_: {})
    action.validate_argument_spec = lambda **_: (None, {"build": True})
    action._templar, action._nginx_is_down, built = None, lambda: "", []
    host = SimpleNamespace(held={"shop": {}}, to_deploy=[], obstacle=lambda _apps: "")
    monkeypatch.setattr(release.inventories, "load", lambda *_: host)
    both = [
        release.Prepared(SimpleNamespace(name=name, root=f"/srv/{name}"), BAD, SimpleNamespace(), SimpleNamespace())
        for name in ("shop", "blog")
    ]
    action._prepare_all = lambda: (both, [])
    action._build_missing = lambda missing: built.extend(one.app.name for one in missing) or {}
    result = action.run(None, {})
    assert built == ["blog"]
    assert [one["root"] for one in result["ansible_facts"]["slipway_releases"]] == ["/srv/shop", "/srv/blog"]
