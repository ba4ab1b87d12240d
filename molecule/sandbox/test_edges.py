"""What others have done on a host is seen before, and kept after: their changes to files, their programs on nginx's port."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox import HOSTS, play, within

SITE = "/etc/nginx/conf.d/slipway-site-keeper.test.conf"
THEIRS = "    # managed by Certbot"


@pytest.fixture
def changed() -> Iterator[None]:
    """Another user has changed a site of the kit, on every host."""
    for host in HOSTS:
        within(host, "sed", "-i", f"s|server_tokens off;|server_tokens off;\\n{THEIRS}|", SITE)
    yield
    play("deploy")
    for host in HOSTS:
        within(host, "sh", "-c", f"rm -f {SITE}.changed-*")


def test_a_changed_file_is_named_and_kept_when_another_app_is_deployed(changed: None) -> None:
    run = play("deploy", "--diff", app="names")
    assert run.returncode == 0, run.stdout
    assert run.stdout.count(f"{SITE} was changed by another user or program since Slipway wrote it") == len(HOSTS)
    assert f"-{THEIRS}" in run.stdout
    for host in HOSTS:
        assert THEIRS in within(host, "sh", "-c", f"cat {SITE}.changed-*")
        assert THEIRS not in within(host, "cat", SITE)
        within(host, "nginx", "-t", "-q")
    again = play("deploy", app="names")
    assert "changed by another user or program" not in again.stdout


def test_with_refuse_nothing_changes(changed: None) -> None:
    run = play("deploy", app="names", on_drift="refuse")
    assert run.returncode == 2
    assert f"on_drift is refuse: {SITE}." in run.stdout
    for host in HOSTS:
        assert THEIRS in within(host, "cat", SITE)


def test_nginx_judges_the_sites_before_anything_is_migrated(tmp_path: Path) -> None:
    values = tmp_path / "values.json"
    values.write_text(json.dumps({"ROUND": str(time.time())}))  # a new release, so that its migration is due
    run = play(
        "deploy",
        values=str(values),
        hooks={"migrate": "touch /srv/keeper/shared/migrated"},
        names_extra="no_such_directive on;",
    )
    assert run.returncode == 2
    assert 'unknown directive "no_such_directive"' in run.stdout
    assert "is made from apps.names.nginx_extra" in run.stdout
    for host in HOSTS:
        assert "migrated" not in within(host, "ls", "/srv/keeper/shared")
        assert "no_such_directive" not in within(host, "sh", "-c", "cat /etc/nginx/slipway/*.conf")


TAKE = "import socket, time; s = socket.create_server(('', 80)); print('have it', flush=True); time.sleep(300)"
HELD = "until ss -Hltn sport = :80 | grep -q .; do sleep 0.1; done"


def test_a_program_on_nginx_s_port_is_named() -> None:
    host = HOSTS[0]
    within(host, "sh", "-c", 'systemctl stop nginx; setsid python3 -c "$1" >/dev/null 2>&1 & ' + HELD, "sh", TAKE)
    try:
        for playbook in ("../site", "deploy"):
            run = play(playbook)
            assert run.returncode == 2
            assert "Port 80 of this host is held by python3 (process " in run.stdout
    finally:
        within(
            host,
            "sh",
            "-c",
            "kill $(ss -ltnpH 'sport = :80' | sed -n 's/.*pid=\\([0-9]*\\).*/\\1/p' | head -1); systemctl start nginx",
        )
