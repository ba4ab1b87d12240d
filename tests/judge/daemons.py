"""What hits every app: nginx and supervisord end, and come back. Runs when the other chapters are done."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.judge.host import APPS, Instance, until


@pytest.fixture
def instance() -> Instance:
    return Instance("shop")


def test_a_killed_nginx_comes_back(instance: Instance) -> None:
    master = int(Path("/run/nginx.pid").read_text())
    os.kill(master, signal.SIGKILL)
    until(lambda: int(Path("/run/nginx.pid").read_text()) != master, what="a new nginx")
    until(instance.answers, what="an answer through the new nginx")


def test_a_killed_supervisord_comes_back_with_its_apps(instance: Instance) -> None:
    if instance.systemd:
        pytest.skip("there is no supervisord")
    before = instance.master()
    os.kill(int(Path("/run/slipway/supervisord.pid").read_text()), signal.SIGKILL)
    until(lambda: instance.master() not in (0, before), what="a new instance")
    for app in APPS:
        until(Instance(app).answers, what=f"an answer of {app}")
