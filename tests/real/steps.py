"""Steps that several of these tests take: deploy, refuse, place a site."""

from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.slipway.kit.plugins.module_utils.host.base.outcome import Failure
from ansible_collections.slipway.kit.plugins.module_utils.host.files import fileset
from ansible_collections.slipway.kit.plugins.module_utils.host.run.instances import Wish, start
from ansible_collections.slipway.kit.plugins.module_utils.host.run.retire import retire
from ansible_collections.slipway.kit.plugins.module_utils.host.run.switch import activate

from .conftest import Stage

ALONE = {"overlap": False, "workers": 1, "request": 30}
"""Requests wait while one instance ends and another one begins, which takes a while on a busy machine."""


def deploy(stage: Stage, *wishes: Wish) -> None:
    failures = refused(*wishes)
    assert not failures, "\n".join([f"{failure}" + "\n".join(["", *failure.log]) for failure in failures])
    activate(wishes)
    retire({wish.root: wish.release_id for wish in wishes})


def refused(*wishes: Wish) -> list[Failure]:
    """The apps that fail to start, with the reasons."""
    return [Failure(release_id=failure.pop("release"), **failure) for failure in start(wishes)["failures"]]


def placing(site: Path, text: str, reload: str) -> fileset.Wanted:
    """One file of nginx's, and the command by which nginx reads it."""
    entry = {"number": 0, "dest": str(site), "state": "file", "src": "a.j2", "text": text, "mode": "0644"}
    owner = {"owner": str(os.getuid()), "group": str(os.getgid()), "diff": True, "recursive": False}
    return fileset.Wanted([{**entry, **owner}], ["true"], [["sh", "-c", reload]])
