"""HTTP/3, where the host's nginx has it: the app answers, and the same clients are kept out."""

from __future__ import annotations

import pytest
from judged import AUTHORITY, JUDGE, SCENARIO, known, site

HTTP3, HTTP2 = "--http3-only", "--http2"


def asked(host: str, app: str, protocol: str, *options: str) -> list[str]:
    """The version of HTTP and the status of an answer to curl on the host that judges."""
    known(host, app)
    shown = ("-o", "/dev/null", "-w", "%{http_version} %{response_code}")
    command = ["curl", "-sS", "-m", "20", "--cacert", AUTHORITY, protocol, *options, *shown]
    return SCENARIO.within(JUDGE, *command, f"https://{site(host, app).name}/").split()


@pytest.mark.parametrize("host", ["trixie"])
def test_an_app_answers_over_http_3(host: str) -> None:
    assert asked(host, "shop", HTTP3) == ["3", "200"]


@pytest.mark.parametrize(("protocol", "version"), [(HTTP3, "3"), (HTTP2, "2")])
@pytest.mark.parametrize("host", ["trixie"])
def test_a_client_of_another_network_is_refused(host: str, protocol: str, version: str) -> None:
    assert asked(host, "closed", protocol) == [version, "403"]


@pytest.mark.parametrize("host", ["trixie"])
def test_a_header_lets_no_client_in(host: str) -> None:
    """nginx judges the connection's address, whatever headers the client sends."""
    claims = ("-H", "X-Forwarded-For: 203.0.113.7", "-H", "X-Real-IP: 203.0.113.7", "-H", "Forwarded: for=203.0.113.7")
    assert asked(host, "closed", HTTP3, *claims) == ["3", "403"]
