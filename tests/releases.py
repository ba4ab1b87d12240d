"""Releases for tests: a manifest with every key, and a release of a resolved app."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible_collections.slipway.kit.plugins.module_utils.contract.manifest import Manifest
from ansible_collections.slipway.kit.plugins.module_utils.model import releases, resolve, workers
from ansible_collections.slipway.kit.plugins.module_utils.model.types import App, Host, Release

ID = "v1-00000001"


def release(app: App, interface: str | None = "wsgi", release_id: str = "v1-00000000", lock: str = "") -> Release:
    """A release of an app whose dependencies have the hash `lock`."""
    served = workers.serving(app, app.interface or interface)
    return releases.release(app, served, release_id, releases.virtualenv(app, served, lock))


def manifest(host: Host | None = None, release_id: str = ID, **changes: Any) -> Manifest:
    """A manifest of an app `shop`; the changes may belong to its program `web`, too."""
    entry = {"module": "shop.wsgi:application", "source": {"path": "/src"}, "domains": ["shop.example"]}
    [app] = resolve.resolve_all({"apps": {"shop": entry}}, host or Host.assumed())
    made = releases.manifest(release(app, release_id=release_id), "v1", "", "")
    web = {name: changes.pop(name) for name in list(changes) if name in vars(made.web) and name != "name"}
    return replace(made, programs=(replace(made.web, **web),), **changes)
