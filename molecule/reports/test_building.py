"""What `build`, `files` and `hooks.setup` do on a host, deploy after deploy."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from reports import HOSTS, ask, deploy, report_of, within

ROOT = Path(__file__).parents[2]
SECRET = "hunter2-of-the-database"

pytestmark = pytest.mark.parametrize("host", HOSTS)


def play(host: str, playbook: str = "deploy", **variables: Any) -> str:
    """Run a playbook for the app `made`; returns what it printed, with its status at the end."""
    return deploy(f"--limit={host}", playbook=playbook, app="made", **variables)


def current(host: str) -> str:
    return within(host, "readlink", "/srv/made/current").strip()


def made(host: str) -> str:
    """The file that `build` made, in the current release: its number and its time."""
    return within(host, "stat", "-c", "%i %Y", "/srv/made/current/code/made/seen.json").strip()


def test_static_files_that_are_made(host: str) -> None:
    status, body = ask(host, "collect", "/static/admin/css/base.css")
    assert status == 200 and b"DJANGO Admin styles" in body


def test_what_a_build_gets_to_see(host: str) -> None:
    seen = report_of(host, "made")["build"]
    assert (seen["DB_PASSWORD"], seen["placed"]) == ("unset-while-building", "unset-while-building")
    assert seen["NPM_TOKEN"] == "hunter2-of-the-registry"
    assert str(seen["user"]) == within(host, "id", "-u", "made_build").strip()
    assert seen["in place"]
    assert seen["python"].startswith("/srv/made/venvs/")


def test_what_is_placed_is_for_the_app_alone(host: str) -> None:
    report = report_of(host, "made")
    assert (report["city"], report["knows the password"]) == ("Lund", True)
    file = "/srv/made/current/code/local/settings.py"
    assert within(host, "stat", "-c", "%a %U %G", file).strip() == "640 root made"
    for user in ("www-data", "collect", "made_build"):
        denied = within(
            host, "sh", "-c", f"setpriv --reuid={user} --regid={user} --init-groups cat {file} 2>&1 || true"
        )
        assert "Permission denied" in denied and SECRET not in denied
    assert SECRET not in within(host, "sh", "-c", "cat /srv/made/current/manifest.json /var/log/slipway/journal.jsonl")


def test_one_release_after_another(host: str, tmp_path: Path) -> None:
    """In one test, since each step begins where the one before has ended."""
    first, mark = current(host), made(host)

    # A setting that the build does not use: another release, and nothing is built again.
    text = play(host, made_threads=3)
    assert text.endswith("status 0"), text
    assert current(host) != first and made(host) == mark

    assert "changed=0" in play(host, made_threads=3)

    # What goes into it: it is made again. What is placed is new as well. (What is as it was would be one file again.)
    text = play(host, made_threads=3, made_city="Ystad")
    assert text.endswith("status 0"), text
    assert made(host) != mark and report_of(host, "made")["city"] == "Ystad"
    source = tmp_path / "made"
    shutil.copytree(ROOT / "tests/fixtures/reports/made", source)
    (source / "make.py").write_text((source / "make.py").read_text().replace("body {}", "body { color: red }"))
    text = play(host, made_threads=3, made_city="Ystad", made_source=str(source))
    assert text.endswith("status 0"), text
    assert b"red" in ask(host, "made", "/static/site.css")[1]

    # One that fails changes nothing and leaves nothing, and its message has no secret.
    before, files = current(host), within(host, "sh", "-c", "ls -A /srv/made/* | sort")
    failing = ["python make.py", ["python", "-c", "import os; raise SystemExit(os.environ['DB_PASSWORD'])"]]
    text = play(host, made_threads=3, made_city="Ystad", made_source=str(source), made_build=failing)
    assert "failed with status 1; it got stand-ins for these secrets: DB_PASSWORD." in text
    assert "unset-while-building" in text and SECRET not in text and not text.endswith("status 0")
    assert (current(host), within(host, "sh", "-c", "ls -A /srv/made/* | sort")) == (before, files)
    assert within(host, "sh", "-c", "pgrep -u made_build || true") == ""

    # Back, with all that was made and placed then.
    text = play(host, "rollback")
    assert text.endswith("status 0"), text
    assert b"red" not in ask(host, "made", "/static/site.css")[1]
    assert report_of(host, "made")["city"] == "Ystad"
    assert report_of(host, "made")["seed"] == "seeded\n", "set up once"
