"""Before: what the hardening takes away is there."""

from __future__ import annotations

import outside
import pytest


@pytest.mark.parametrize("host", outside.HOSTS)
def test_the_host_is_open(host: str) -> None:
    assert outside.ssh(host).stdout == "operator\n"
    assert outside.by_password(host).stdout == "operator\n"
    assert outside.visit(host) == 200
    with outside.listener(host):
        assert outside.open_port(host, outside.ODD_PORT)
