"""A Python that the host lacks: it is installed once for the app that asks for it, and removed when no app uses it."""

from __future__ import annotations

import functools
import http.server
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import reports
from reports import HOSTS, SCENARIO, ask, within

from tests import interpreters

ROOT = Path(__file__).parents[2]
OWN = ("3.11", "3.13")
"""What the hosts have themselves."""
PLACE = "/opt/slipway/python"

pytestmark = pytest.mark.parametrize("host", HOSTS)


@pytest.fixture
def archive(host: str, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """One of this machine's Pythons, served to the host over http, as `python_archives` names it."""
    pythons = {version: place for version, place in interpreters.installed().items() if not version.startswith(OWN)}
    if not pythons:
        pytest.skip(f"this machine has no other Python than {' and '.join(OWN)}, which the hosts have, too")
    version = max(pythons)
    digest = interpreters.pack(version, pythons[version], tmp_path / "python.tar.gz")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    form = "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}"
    argv = ["podman", "inspect", SCENARIO.container(host), "--format", form]
    gateway = subprocess.run(argv, env=SCENARIO.environment, capture_output=True, text=True, check=True).stdout.strip()
    with http.server.ThreadingHTTPServer(("0.0.0.0", 0), handler) as server:  # the host comes from outside
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield {version: {"url": f"http://{gateway}:{server.server_port}/python.tar.gz", "sha256": digest}}
        server.shutdown()


def deploy(host: str, **variables: Any) -> str:
    """Deploy two apps by deploy.yml alone. Returns the run's output, and raises nothing."""
    return reports.deploy(f"--limit={host}", app="newer,alone", **variables)


def installed(host: str) -> list[str]:
    """The Pythons that the kit has installed."""
    return within(host, "sh", "-c", f"ls {PLACE} 2>/dev/null || true").split()


def test_a_python_that_the_host_lacks(host: str, archive: dict[str, Any]) -> None:
    [(version, source)] = archive.items()
    wanted = {"newer_python": version.rpartition(".")[0], "newer_archives": archive}
    before = ask(host, "newer", "/")[1].decode()
    assert before.startswith(OWN) and installed(host) == []

    wrong = {version: {**source, "sha256": "0" * 64}}
    output = deploy(host, **{**wanted, "newer_archives": wrong})
    assert f"has the SHA-256 {source['sha256']}, and not {'0' * 64}, which python_archives names" in output, output
    assert "status 0" not in output
    assert installed(host) == [] and ask(host, "newer", "/")[1].decode() == before

    output = deploy(host, **wanted)
    assert "status 0" in output, output
    name = f"{version}-{source['sha256'][:8]}"
    assert ask(host, "newer", "/")[1].decode() == f"{version} {PLACE}/{name}/python"
    assert installed(host) == [name]
    assert within(host, "find", f"{PLACE}/", "(", "-not", "-user", "root", "-o", "-perm", "/022", ")", "-not", "-type", "l") == ""  # fmt: skip
    output = deploy(host, **wanted)
    assert "changed=0" in output and "changed=1" not in output, output

    # The release before may be gone back to, so that its Python stays; then it goes.
    for number, left in ((1, [name]), (2, [])):
        output = deploy(host, newer_archives=archive, newer_round=number)
        assert "status 0" in output, output
        assert installed(host) == left
    assert ask(host, "newer", "/")[1].decode() == before


def test_one_that_nobody_has(host: str) -> None:
    """That app is refused by name, and the other one deployed."""
    output = deploy(host, newer_python="3.99", alone_round=host)
    assert "newer: apps.newer.python: python 3.99 is not on this host, which has 3." in output, output
    assert "name an archive of it in python_archives" in output
    assert "status 0" not in output
    assert "activated: alone" in output, output
