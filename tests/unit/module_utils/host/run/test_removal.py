"""What a removal says was removed, and what may be left."""

from __future__ import annotations

import pwd
from types import SimpleNamespace

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.base import processes, trees
from ansible_collections.slipway.kit.plugins.module_utils.host.build import build_user
from ansible_collections.slipway.kit.plugins.module_utils.host.run import removal


def test_a_purge_that_has_not_looked_at_all_does_not_claim_all_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "end_everything", lambda _user: None)
    monkeypatch.setattr(pwd, "getpwnam", lambda _user: SimpleNamespace(pw_uid=4711))
    unseen = {"/tmp": ["/tmp has more than 9 entries"]}
    monkeypatch.setattr(trees, "remove_of", lambda _uid, place, _most: trees.Removal(True, [], unseen.get(place, [])))
    known = removal._end_processes(["user shop", "group shop"], purge=True)
    assert known == [
        "Files of shop may be left in /tmp, since not all of it was looked at: /tmp has more than 9 entries. "
        "`find /tmp -xdev -uid 4711` lists them."
    ]
    app = {"app": "shop", "removed": ["/srv/shop"], "left": [], "unseen": known}
    assert removal._message(app, purge=True, check=False) == f"shop is off this host. {known[0]}"
    app["unseen"] = []
    assert removal._message(app, purge=True, check=False) == "shop is off this host, with all its data."
    assert removal._end_processes(["user shop"], purge=False) == []
    build_user.begin("shop_build")  # a crowded folder is no fault of a build
