"""What on a host is not as the kit left it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.errors import HostError
from ansible_collections.slipway.kit.plugins.module_utils.host.run import drifting
from ansible_collections.slipway.kit.plugins.module_utils.host.system import facts, nginx, releases


def test_each_app_that_only_the_host_has_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/etc/nginx/conf.d/slipway-site-notes.test.conf"
    monkeypatch.setattr(nginx, "sites", lambda _root: {path: ("notes", "memo", "blog", "shop")})
    monkeypatch.setattr(nginx, "configuration", lambda *_where: [])
    assert list(drifting._sites(["memo"], ["shop"])) == [
        drifting.finding("leftover", path, f"serves {app}, which the inventory does not have", app)
        for app in ("blog", "notes")
    ] + [drifting.finding("absent", path, "serves shop, which the inventory wants absent", "shop")]


def test_an_app_that_was_renamed_is_named_though_no_site_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    current = {
        "/srv/old": "v1-00000001",
        "/srv/memo": "v1-00000002",
        "/srv/notes": "v1-00000003",
        "/srv/gone": "v1-00000004",
    }
    monkeypatch.setattr(
        nginx, "sites", lambda _root: {"/etc/nginx/conf.d/slipway-site-default.conf": ("memo", "notes")}
    )
    monkeypatch.setattr(facts, "deployed", lambda _root: ["memo", "notes", "old", "purged", "gone"])
    monkeypatch.setattr(releases, "current", current.get)
    assert list(drifting._apps(["memo"], ["gone"])) == [
        drifting.finding("leftover", "/srv/old", "is the app old, which the inventory does not have", "old"),
        drifting.finding("absent", "/srv/gone", "is the app gone, which the inventory wants absent", "gone"),
    ]


def test_apps_of_another_inventory_are_no_drift_unless_the_names_clash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        nginx, "sites", lambda _root: {"/etc/nginx/conf.d/slipway-site-shop.test.conf": ("shop", "theirs")}
    )
    monkeypatch.setattr(nginx, "configuration", lambda *_arguments: [])
    monkeypatch.setattr(facts, "deployed", lambda _root: ["shop", "theirs", "other", "old"])
    monkeypatch.setattr(releases, "current", lambda _root: "v1-00000001")
    monkeypatch.setattr(drifting.written, "drifted", lambda *_arguments: [])
    monkeypatch.setattr(drifting.managers, "broken_services", list)
    owners = {
        "shop": "production",
        "theirs": "production",
        "other": "production",
        "gone": "production",
        "mine": "staging",
    }
    monkeypatch.setattr(drifting.owners, "known", lambda: owners)
    detail = "is the app {} of inventories/production, so deploys from inventories/staging are refused"
    left = drifting.finding("leftover", "/srv/old", "is the app old, which the inventory does not have", "old")
    assert list(drifting.of_host(["shop", "mine"], ["gone"], "staging")) == [
        drifting.finding("origin", "/srv/gone", detail.format("gone"), "gone"),
        drifting.finding("origin", "/srv/shop", detail.format("shop"), "shop"),
        left,
    ]
    assert list(drifting.of_host(["shop", "theirs", "other"], [], "production")) == [left]

    def damaged() -> None:
        raise HostError("/var/lib/slipway/inventories.json is damaged")

    monkeypatch.setattr(drifting.owners, "known", damaged)
    unknown = drifting.finding("origins", drifting.owners.PATH, "is damaged")
    assert unknown in drifting.of_host(["shop", "theirs", "other"], [], "production")


def test_a_site_that_leads_to_no_app_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another environment may have an app of the same name, whose deploy took the site away."""
    file = "/etc/nginx/conf.d/slipway-site-{}.conf"
    monkeypatch.setattr(nginx, "sites", lambda _root: {file.format("shop.test"): ("shop",)})
    monkeypatch.setattr(releases, "current", lambda root: None if root == "/srv/new" else "v1-00000001")
    sites = [
        {"name": name, "file": file.format(name), "apps": [{"name": app} for app in apps]}
        for name, apps in {"shop.test": ["shop", "blog"], "new.test": ["new"], "www.test": ["shop"]}.items()
    ]
    assert list(drifting.of_sites(sites)) == [
        drifting.finding("unserved", "shop.test", "does not lead to blog on this host", "blog"),
        drifting.finding("unserved", "www.test", "does not lead to shop on this host", "shop"),
    ]


def test_a_masked_unit_is_no_disabled_one(monkeypatch: pytest.MonkeyPatch) -> None:
    states = [
        ("nginx.service", "disabled"),
        ("cron.service", "masked"),
        ("slipway-supervisor.service", "masked-runtime"),
    ]
    for name in ("_sites", "_apps"):
        monkeypatch.setattr(drifting, name, lambda *_arguments: [])
    monkeypatch.setattr(drifting.written, "drifted", lambda *_arguments: [])
    monkeypatch.setattr(drifting.owners, "known", dict)
    monkeypatch.setattr(drifting.managers, "broken_services", lambda: states)
    kinds = {one["subject"]: one["kind"] for one in drifting.of_host([], [], "")}
    assert kinds == {"nginx.service": "unit", "cron.service": "masked", "slipway-supervisor.service": "masked"}


def test_a_file_that_releases_share_is_named_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root, old = tmp_path / "shop", time.time() - 3600
    manifests = {}
    for name in ("v1-00000001", "v2-00000002", "v3-00000003"):
        code = root / "releases" / name / "code"
        code.mkdir(parents=True)
        (code.parent / "venv").symlink_to(root / "venv")
        manifests[name] = SimpleNamespace(
            app="shop", root=str(root), release_id=name, run="", supervisor=None, programs=[], timers=[]
        )
    (root / "venv").mkdir()
    for path in (root / "venv/.complete", *(root / "releases" / name / "manifest.json" for name in manifests)):
        path.touch()
    shared = root / "releases/v1-00000001/code/web.py"
    shared.touch()
    for name in ("v2-00000002", "v3-00000003"):
        (root / "releases" / name / "code/web.py").hardlink_to(shared)
    alone = root / "releases/v1-00000001/code/alone.py"
    alone.touch()
    for path in (root, *root.rglob("*")):
        if path not in (shared, alone) and path.name != "web.py":
            os.utime(path, (old, old), follow_symlinks=False)
    manager = SimpleNamespace(instances=lambda _root: {})
    monkeypatch.setattr(drifting.managers, "all_of", lambda _place: [manager])
    monkeypatch.setattr(drifting, "_units", lambda _manifest: [])
    monkeypatch.setattr(releases, "current", lambda _root: "v2-00000002")
    monkeypatch.setattr(releases, "manifest_or_none", lambda _root, name: manifests[name])
    assert list(drifting.of_app(str(root))) == [
        drifting.finding("release", "v2-00000002", "was changed on the disk: code/web.py", "shop"),
        drifting.finding("release", "v1-00000001", "was changed on the disk: code/alone.py", "shop"),
    ]
