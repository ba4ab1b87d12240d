"""After hardening: those who could log in still can, and no one else. A change that would lock us out is undone by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import outside
import pytest
from outside import HOSTS, ODD_PORT, within

from tests import osv as osv_server
from tests.hosts import containers

EXPOSURE = 1.6
"""What `systemd-analyze security` may call the firewall's unit: root, and in charge of the host's network."""

each_host = pytest.mark.parametrize("host", HOSTS)


@each_host
def test_clients_reach_the_app(host: str) -> None:
    assert outside.visit(host) == 200


@each_host
def test_a_port_that_nobody_named_is_closed_by_the_firewall(host: str) -> None:
    with outside.listener(host):
        assert not outside.open_port(host, ODD_PORT)
        within(host, "bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{ODD_PORT}")
        within(host, "nft", "delete", "table", "inet", "slipway")
        assert outside.open_port(host, ODD_PORT)  # nothing else kept it closed
        within(host, "systemctl", "reload", "slipway-firewall")
        assert not outside.open_port(host, ODD_PORT)


@each_host
def test_the_firewall_has_a_table_of_its_own(host: str) -> None:
    tables = within(host, "nft", "list", "tables")
    assert "table inet slipway\n" in tables
    assert "table inet neighbour\n" in tables


@each_host
def test_the_firewall_s_unit_may_do_little_else(host: str) -> None:
    report = within(host, "systemd-analyze", "security", "--no-pager", "slipway-firewall.service")
    match = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
    assert match and float(match[1]) <= EXPOSURE, report


@each_host
def test_ssh_lets_in_by_key_and_not_by_password(host: str) -> None:
    assert outside.ssh(host).stdout == "operator\n"
    refused = outside.by_password(host)
    assert refused.returncode == 255
    assert "Permission denied (publickey)" in refused.stderr


@each_host
def test_updates_come_every_day(host: str) -> None:
    for timer in ("apt-daily.timer", "apt-daily-upgrade.timer"):
        assert within(host, "systemctl", "is-active", timer) == "active\n"
        assert within(host, "systemctl", "is-enabled", timer) == "enabled\n"
    assert 'APT::Periodic::Unattended-Upgrade "1";' in within(host, "apt-config", "dump")


@each_host
def test_who_looks_for_holes_is_kept_away(host: str) -> None:
    status = within(host, "fail2ban-client", "status")
    assert {"nginx-botsearch", "nginx-http-auth", "nginx-limit-req", "sshd"} <= set(re.findall(r"[\w-]+", status))
    for _ in range(5):  # which is one too many
        assert outside.visit(host, "/wp-login.php", Authorization=outside.basic("a [x")) == 404
    outside.wait(lambda: not outside.open_port(host, 80), "fail2ban bans nobody")
    assert outside.ssh(host).stdout == "operator\n"  # from nginx only
    within(host, "fail2ban-client", "unban", "--all")
    outside.wait(lambda: outside.open_port(host, 80), "the ban does not end")


OTHER = "198.51.100.66"
FORGED = f'x" user "a": password mismatch, client: {OTHER}, server: s, request: "GET / HTTP/1.1", host: "h'


@each_host
@pytest.mark.parametrize(
    ("user", "referer"),
    [("guest", FORGED), ("a [x", "a b"), (f"a\n2026-01-01T00:00:00+00:00 {OTHER} 401\nb", FORGED)],
)
def test_who_guesses_passwords_is_kept_away_and_nobody_else(host: str, user: str, referer: str) -> None:
    for _ in range(5):
        assert outside.visit(host, "/shop/closed", Authorization=outside.basic(user), Referer=referer) == 401
    outside.wait(lambda: not outside.open_port(host, 80), "fail2ban bans nobody")
    banned = re.findall(r"[\w.:]+", within(host, "fail2ban-client", "get", "nginx-http-auth", "banip"))
    within(host, "fail2ban-client", "unban", "--all")
    outside.wait(lambda: outside.open_port(host, 80), "the ban does not end")
    assert len(banned) == 1 and banned != [OTHER]


@each_host
@pytest.mark.parametrize(
    ("line", "matches"),
    [
        (f"{OTHER} 401", 1),
        ("2001:db8::1 401", 1),
        (f"{OTHER} 404", 0),
        (f"{OTHER} 401 x", 0),
        (f"x {OTHER} 401", 0),
        ("unix: 401", 0),
        ("localhost 401", 0),
        (FORGED, 0),
    ],
)
def test_only_a_line_of_an_address_and_its_number_counts(host: str, line: str, matches: int) -> None:
    dated = f"2026-01-01T00:00:00+00:00 {line}"
    report = within(host, "fail2ban-regex", dated, "slipway-refused[number=401]")
    assert f", {matches} matched, " in report, report


@pytest.mark.parametrize("lockout", ["ssh", "firewall"])
def test_what_locks_us_out_goes_back(lockout: str) -> None:
    host = "trixie"
    before = within(host, "cat", "/etc/slipway/firewall.nft")
    completed = outside.play("molecule/harden/lockout.yml", "--limit", host, lockout=lockout)
    assert completed.returncode == 2, completed.stdout
    assert "no new connection to the host succeeded" in completed.stdout, completed.stdout
    assert "the host has gone back to what it had, and is reachable" in completed.stdout, completed.stdout
    assert outside.ssh(host).stdout == "operator\n"
    assert outside.visit(host) == 200
    assert within(host, "ls", "/etc/ssh/sshd_config.d") == "00-slipway.conf\n"
    assert within(host, "cat", "/etc/slipway/firewall.nft") == before
    with outside.listener(host):
        assert not outside.open_port(host, ODD_PORT)


def test_who_needs_a_password_keeps_it() -> None:
    host = "bookworm"
    within(host, "rm", "/etc/ssh/sshd_config.d/00-slipway.conf")
    within(host, "systemctl", "reload", "ssh")
    options = f"-F {outside.FILES}/ssh_config -o PubkeyAuthentication=no"
    poor = {"ansible_password": outside.PASSWORD, "ansible_ssh_common_args": options}
    completed = outside.play("playbooks/harden.yml", "--limit", host, **poor)
    assert completed.returncode == 0, completed.stdout
    assert "ssh still accepts passwords on bookworm" in completed.stdout
    assert "X11Forwarding no" in within(host, "cat", "/etc/ssh/sshd_config.d/00-slipway.conf")
    assert outside.by_password(host).stdout == "operator\n"
    completed = outside.play("playbooks/harden.yml", "--limit", host)  # by key again
    assert completed.returncode == 0, completed.stdout
    assert outside.by_password(host).returncode == 255


def test_lynis_thinks_better_of_the_hosts() -> None:
    def index(host: str) -> tuple[str, int, int]:
        within(
            host, "lynis", "audit", "system", "--quick", "--quiet", "--no-colors", "--report-file", "/root/after.dat"
        )
        indexes = [
            int(re.search(r"^hardening_index=(\d+)", within(host, "cat", f"/root/{file}"), re.MULTILINE)[1])  # type: ignore[index]
            for file in ("lynis-before.dat", "after.dat")
        ]
        return host, indexes[0], indexes[1]

    with ThreadPoolExecutor() as pool:
        for host, before, after in pool.map(index, HOSTS):
            print(f"\nlynis's hardening index of {host}: {before} before, {after} after")
            assert after > before


@pytest.fixture
def osv() -> Iterator[str]:
    """A vulnerability service that knows something of gunicorn."""
    advisory = {"id": "TEST-1", "modified": "2026-01-01T00:00:00Z", "summary": "A test.", "affected": []}
    with osv_server.service(advisory, lambda name, _version: name == "gunicorn") as (address, _asked):
        yield address


def test_known_vulnerabilities_are_reported(osv: str) -> None:
    completed = outside.play("playbooks/audit.yml", format="json", audit_service=osv)
    assert completed.returncode == 2, completed.stdout
    packages = json.loads(completed.stdout)["packages"]
    assert {one["host"] for one in packages} == set(HOSTS)
    assert {one["name"] for one in packages if one["vulnerabilities"]} == {"gunicorn"}


def test_after_a_reboot_it_is_the_same() -> None:
    host = "trixie"  # whose address may change by it, so this comes last
    containers.restart(outside.SCENARIO.container(host), outside.ENVIRONMENT)
    assert outside.ssh(host).stdout == "operator\n"
    outside.wait(lambda: outside.visit(host) == 200, "the app does not come back")
    with outside.listener(host):
        assert not outside.open_port(host, ODD_PORT)
