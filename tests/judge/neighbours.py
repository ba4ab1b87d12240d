"""Other sites on the same nginx. A host without an earlier nginx has none."""

from __future__ import annotations

import contextlib
import http.client
from pathlib import Path

import pytest

from tests.judge.host import NGINX_BEFORE, address, ask


def test_they_are_served_as_before() -> None:
    if not NGINX_BEFORE.exists():
        pytest.skip("nginx came with the apps")
    assert ask("", domain="neighbour.test").body == b"the neighbour\n"
    with contextlib.closing(http.client.HTTPConnection(address(), 8181, timeout=10)) as connection:
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"the other neighbour\n"


def test_nginx_was_not_restarted_for_the_apps() -> None:
    if not NGINX_BEFORE.exists():
        pytest.skip("nginx came with the apps")
    assert Path("/run/nginx.pid").read_text() == NGINX_BEFORE.read_text()
