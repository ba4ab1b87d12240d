"""The scenario's sites, and the host with the programs that judge them."""

from __future__ import annotations

from functools import cache

from tests.hosts.scenario import Scenario
from tests.judges.__main__ import CERTIFICATE
from tests.judges.site import Site

SCENARIO = Scenario("judges")
HOSTS = ("bookworm", "trixie")
JUDGE = "judge"
AUTHORITY = "/root/authority.pem"
"""The authority's certificate on the host that judges."""


@cache
def site(host: str, app: str = "shop") -> Site:
    """An app's site on a host."""
    return Site(f"{host}.{app}.test", SCENARIO.address(host), CERTIFICATE / "authority.pem")


@cache
def known(host: str, app: str = "shop") -> None:
    """Let the host that judges find the site, and know its authority."""
    judged = site(host, app)
    line = f"{judged.address} {judged.name}"
    SCENARIO.within(JUDGE, "sh", "-c", 'cat > "$0"', AUTHORITY, stdin=judged.authority.read_text(encoding="utf-8"))
    SCENARIO.within(JUDGE, "sh", "-c", 'grep -qxF "$0" /etc/hosts || echo "$0" >> /etc/hosts', line)
