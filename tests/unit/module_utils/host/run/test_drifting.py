"""What on a host is not as the kit left it."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.run import drifting
from ansible_collections.slipway.kit.plugins.module_utils.host.system import nginx


def test_each_app_that_only_the_host_has_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/etc/nginx/conf.d/slipway-site-notes.test.conf"
    monkeypatch.setattr(nginx, "sites", lambda _root: {path: ("notes", "memo", "blog")})
    monkeypatch.setattr(nginx, "configuration", lambda *_where: [])
    assert list(drifting._sites(["memo"])) == [
        drifting.finding("leftover", path, f"serves {app}, which the inventory does not have", app)
        for app in ("blog", "notes")
    ]
