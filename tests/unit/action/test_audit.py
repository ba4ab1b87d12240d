"""The audit reads what is installed from the host, and asks a real HTTP server with OSV's interface about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.action import audit
from ansible_collections.slipway.kit.plugins.module_utils import answers, vulnerabilities
from ansible_collections.slipway.kit.plugins.module_utils.host.system.installed import ENTRIES, installed
from ansible_collections.slipway.kit.plugins.modules.installed import RESULT

from tests import osv as osv_server

RELEASE = "v1-00000001"
ADVISORY = {
    "id": "PYSEC-2023-62",
    "modified": "2023-05-02T00:00:00Z",
    "summary": "Cookies may be sent to somebody else.",
    "aliases": ["CVE-2023-30861"],
    "affected": [
        {
            "package": {"name": "flask", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.2.5"}]}],
        }
    ],
    "references": [{"type": "ADVISORY", "url": "https://example.com/advisory"}],
}


@pytest.fixture
def osv() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A service that knows one vulnerability, of flask 2.0.0, and the requests that it got."""
    with osv_server.service(ADVISORY, lambda name, version: (name, version) == ("flask", "2.0.0")) as server:
        yield server


def release(host: str = "web1", **packages: str) -> dict[str, Any]:
    listed = [{"name": name, "version": version} for name, version in packages.items()]
    return {"host": host, "app": "shop", "release": RELEASE, "packages": listed}


def test_the_current_release_is_read_and_no_other(tmp_path: Path) -> None:
    root = tmp_path / "srv/shop"
    for name, version in ((RELEASE, "1.0"), ("v2-00000002", "2.0")):
        folder = root / "releases" / name / "venv/lib/python3.11/site-packages"
        for package in ("Foo_Bar", "zope.x"):
            (folder / f"{package}-{version}.dist-info").mkdir(parents=True)
            (folder / f"{package}-{version}.dist-info/METADATA").write_text(f"Name: {package}\nVersion: {version}\n\n")
        (folder / "half-1.dist-info").mkdir()  # an interrupted installation
    assert installed(str(root)) is None
    (root / "current").symlink_to(f"releases/{RELEASE}")
    packages = [{"name": "Foo_Bar", "version": "1.0"}, {"name": "zope.x", "version": "1.0"}]
    assert installed(str(root)) == {"app": "shop", "release": RELEASE, "packages": packages}


def virtualenv(root: Path, packages: int, letters: int = 4) -> Path:
    site = root / "releases" / RELEASE / "venv/lib/python3.11/site-packages"
    site.mkdir(parents=True)
    for number in range(packages):
        (site / f"p{number}.egg-info").write_text(f"Name: {'p' * letters}{number}\nVersion: 1\n")
    (root / "current").symlink_to(f"releases/{RELEASE}")
    return root


@pytest.mark.parametrize(("packages", "letters"), [(ENTRIES + 1, 4), (2_000, 190)])
def test_of_a_virtualenv_with_too_much_no_part_is_taken_for_the_whole(
    tmp_path: Path, packages: int, letters: int
) -> None:
    answer = installed(str(virtualenv(tmp_path / "shop", packages, letters)))
    assert answer is not None and answer["packages"] == []
    assert re.match("there are more than .* in the virtualenv's site-packages: find the package", answer["error"])


def test_the_most_that_a_host_reads_is_taken_here(tmp_path: Path) -> None:
    answer = installed(str(virtualenv(tmp_path / "shop", ENTRIES)))
    assert answer is not None and len(answer["packages"]) == ENTRIES
    assert answers.accept(RESULT, {"releases": [answer]})["releases"][0]["error"] is None


def test_an_app_that_cannot_be_read_is_reported_beside_the_others(osv: tuple[str, list[Any]]) -> None:
    bad = {**release("web1"), "app": "evil", "error": "there are more than 10,000"}
    report = audit.audit([release("web1", Flask="2.0.0"), bad], osv[0])
    text = audit.text(report)
    assert text.startswith(
        "What is in evil on web1 could not be read: there are more than 10,000.\nFlask 2.0.0  (shop on web1)"
    )


def test_a_known_vulnerability_is_reported_with_its_places(osv: tuple[str, list[Any]]) -> None:
    service, asked = osv
    report = audit.audit([release("web1", Flask="2.0.0"), release("web2", Flask="2.0.0", jinja2="3.1.6")], service)
    assert asked == [("flask", "2.0.0"), ("jinja2", "3.1.6")]
    assert [bool(one["vulnerabilities"]) for one in report["packages"]] == [True, True, False]
    assert audit.text(report).splitlines() == [
        "Flask 2.0.0  (shop on web1, shop on web2)",
        "    PYSEC-2023-62, CVE-2023-30861: Cookies may be sent to somebody else; fixed in 2.2.5",
        f"2 packages of 2 current releases: 1 of them have known vulnerabilities ({service})",
    ]


def test_two_versions_of_one_package_are_distinguished(osv: tuple[str, list[Any]]) -> None:
    report = audit.audit([release("web1", flask="2.0.0"), release("web2", flask="3.1.0")], osv[0])
    assert [(one["host"], len(one["vulnerabilities"])) for one in report["packages"]] == [("web1", 1), ("web2", 0)]


def test_what_no_index_can_know_is_not_asked_for(osv: tuple[str, list[Any]]) -> None:
    service, asked = osv
    report = audit.audit([release(torch="2.9.0+cpu", odd="not-a-version", flask="3.1.0")], service)
    assert asked == [("flask", "3.1.0"), ("torch", "2.9.0")]
    assert audit.text(report).splitlines() == [
        "Not asked for, since no index can know such a version: odd not-a-version",
        f"3 packages of 1 current release: no known vulnerability ({service})",
    ]


def test_without_an_answer_it_lists_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    service = "http://127.0.0.1:9/"  # where no process listens
    report = audit.audit([release("web1", flask="2.0.0"), release("web2", flask="2.0.0")], service)
    assert "refused" in report["error"].lower()
    assert [one["asked"] for one in report["packages"]] == [False, False]
    lines = audit.text(report).splitlines()
    assert lines[0].startswith(f"The vulnerability service {service} could not be asked: ")
    assert lines[1:] == [
        "So nothing is known about what is installed:",
        f"shop {RELEASE} on web1, web2:",
        "    flask 2.0.0",
    ]


def test_nothing_installed_is_no_question() -> None:
    assert vulnerabilities.ask([], "http://127.0.0.1:9/") == {}


@pytest.mark.parametrize(
    ("name", "version", "key"),
    [
        ("Zope.Interface", "7.0", ("zope-interface", "7.0")),
        ("a", "1.0.0rc1", ("a", "1.0.0rc1")),
        ('a"\nb', "1", None),
        ("a", '1"', None),
        ("slipway-audit", "1", None),
        ("a", "1" * 5000, None),
    ],
)
def test_keys(name: str, version: str, key: Any) -> None:
    assert vulnerabilities.key(name, version) == key


def test_a_silent_host_is_unread(osv: tuple[str, Any]) -> None:
    one = {key: value for key, value in release("web1", flask="3.1.0").items() if key != "host"}
    report = audit.audit(audit.current({"web1": {"releases": [one]}, "web2": {"trouble": "no route"}}), osv[0])
    assert [row["host"] for row in report["packages"]] == ["web1"]
    assert report["unread"] == [{"host": "web2", "app": "", "release": "", "error": "it does not answer: no route"}]
    assert "What is on web2 could not be read: it does not answer: no route." in audit.text(report)
