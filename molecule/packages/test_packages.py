"""What is installed for an app, and that it stays whole when the release that it was built for has gone."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.hosts.scenario import Scenario

SCENARIO = Scenario("packages")
HOSTS = ("bookworm", "trixie")
each_host = pytest.mark.parametrize("host", HOSTS)


within = SCENARIO.within


def report_of(host: str, app: str) -> dict[str, Any]:
    """What an app reports through nginx."""
    words = ["curl", "--silent", "--retry", "20", "--retry-all-errors", "--fail", "--retry-delay", "1"]
    report: dict[str, Any] = json.loads(within(host, *words, "--header", f"Host: {app}.test", "http://127.0.0.1/"))
    return report


def deploy(app: str, **variables: Any) -> str:
    """Deploy one app again on all hosts. Returns the run's output. Fails when the run fails."""
    status, output = attempt(app, **variables)
    assert status == 0, output
    return output


def attempt(app: str, **variables: Any) -> tuple[int, str]:
    """Deploy one app again on all hosts. Returns the run's status and output."""
    completed = SCENARIO.play("deploy", app=app, **variables)
    return completed.returncode, completed.stdout


@each_host
def test_the_apps_folder_its_library_and_its_own_metadata(host: str) -> None:
    report = report_of(host, "workshop")
    assert report["price"] == 21
    assert report["library"].startswith("/srv/workshop/")
    assert "/venv" in report["library"]
    assert report["version"] == "2.5"
    assert report["folder"].endswith("/code/backend")
    assert "body" in within(
        host, "curl", "--silent", "--fail", "--header", "Host: workshop.test", "http://127.0.0.1/static/site.css"
    )


@each_host
def test_the_lock_of_another_tool(host: str) -> None:
    report = report_of(host, "ledger")
    assert report["itsdangerous"] == "2.2.0"
    assert "colorama" not in report


@each_host
def test_the_version_is_that_of_the_tag(host: str) -> None:
    assert report_of(host, "almanac") == {"version": "1.2.0"}


@each_host
def test_a_library_of_the_distribution(host: str) -> None:
    assert report_of(host, "sniffer")["magic"] >= 500


@pytest.mark.parametrize("callback", ["slipway.kit.concise", "ansible.builtin.default"])
def test_a_package_that_nobody_has_is_that_apps_fault(callback: str) -> None:
    environment = {"ANSIBLE_STDOUT_CALLBACK": callback}
    status, output = attempt("sniffer,ledger", environment=environment, libraries=["libmagic1", "libodd-5"])
    assert status
    assert "apps.sniffer.system_packages.run: libodd-5 is not installed, since apt knows no such package" in output
    assert "held back" in output, "and the other app went on"


def test_a_build_that_lacks_headers_names_the_key_and_works_with_it() -> None:
    status, output = attempt("frozen", frozen="present")
    assert status
    shown_key = re.search(
        r"write `system_packages: \{build: \[([^\]]+)\]\}` into apps\.frozen, or take psycopg2-binary", output
    )
    assert shown_key, output
    headers = shown_key[1].split(", ")
    assert headers[0] == "libpq-dev"
    deploy("frozen", frozen="present", headers=headers)
    for host in HOSTS:
        assert report_of(host, "frozen")["libpq"] >= 150000
    assert deploy("frozen", frozen="present", headers=headers).count("changed=0") == len(HOSTS)


def test_a_virtualenv_outlives_the_release_that_it_was_built_for() -> None:
    """Delete every release but the current one, and start it again."""
    for number in ("1", "2", "3"):
        deploy("workshop", round=number)
    for host in HOSTS:
        name = within(host, "readlink", "/srv/workshop/current").strip().rpartition("/")[2]
        assert "/releases/" not in within(
            host,
            "sh",
            "-c",
            "find /srv/workshop/venvs -name '*.pth' -o -name direct_url.json -o -name RECORD | xargs cat",
        )
        within(host, "find", "/srv/workshop/releases", "-mindepth", "1", "-maxdepth", "1", "!", "-name", name, "-exec", "rm", "-r", "{}", "+")  # fmt: skip
        if host == "bookworm":
            within(host, "systemctl", "restart", f"slipway-workshop-{name}.service")
        else:
            within(
                host, "sh", "-c",
                f"/opt/slipway/supervisor-*/bin/supervisorctl -s unix:///run/slipway/supervisor.sock restart slipway-workshop-{name}",
            )  # fmt: skip
        report = report_of(host, "workshop")
        assert (report["round"], report["price"]) == ("3", 21)
