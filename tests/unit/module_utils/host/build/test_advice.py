"""Advice about packages: one sentence, with the remedy in the inventory's words."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.names import PROVED_GUNICORN
from ansible_collections.slipway.kit.plugins.module_utils.host.build import advice


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("Error: pg_config executable not found.", "needs PostgreSQL's client library: write `system_packages: {build: [libpq-dev"),
        ("error: Git executable not found. Ensure that Git is installed and available.", "write `system_packages: {build: [git]}` into apps.shop"),
        ("  `-> Because magic was not found in the package registry and you require magic", "no package index has magic"),
        (
            "  x No solution found when resolving dependencies:\n  `-> Because nothere was not found in the package registry and you require nothere",
            "no package index has nothere: correct it in requirements.txt",
        ),
        (
            "  `-> Because there is no version of flask==99.0 and you require\n      flask==99.0",
            "no package index has flask==99.0: choose another version in requirements.txt",
        ),
        (
            "hint: `itsdangerous` was found on http://x, but not at the requested version. If all indexes are equally trusted, use "
            "`--index-strategy unsafe-best-match` to consider all versions",
            "set package_index_strategy: unsafe-best-match",
        ),
        ("something else", ""),
    ],
)  # fmt: skip
def test_a_failed_installation(output: str, expected: str) -> None:
    text = advice.failed(output, "requirements.txt", "shop", "/usr/bin/python3")
    assert expected in text
    assert "\n" not in text
    assert bool(text) == bool(expected)


@pytest.mark.parametrize(
    ("version", "worker_class", "expected"),
    [
        ("19.9.0", "gthread", "pins gunicorn 19.9.0, which cannot serve here; the first that does is 21.2.0"),
        ("20.1.0", "", "write gunicorn>=21.2.0, or leave it out"),
        ("21.2.0", "gthread", ""),
        ("23.0.0", "asgi", "has no worker class `asgi`; the first that does is 24.0.0"),
        ("23.0.0", "uvicorn", ""),
        ("27.0.1", "asgi", ""),
        ("", "gthread", ""),
    ],
)
def test_a_gunicorn_that_is_too_old(version: str, worker_class: str, expected: str) -> None:
    text = advice.gunicorn(version, worker_class, "requirements.txt")
    assert expected in text
    assert bool(text) == bool(expected)


@pytest.mark.parametrize(
    ("version", "worker_class", "expected"),
    [
        (PROVED_GUNICORN, "threads", ""),
        ("21.2.0", "threads", ""),
        ("28.0.0", "threads", f"gunicorn 28.0.0 is newer than {PROVED_GUNICORN}"),
        ("28.0.0", "gthread", ""),
        ("", "threads", ""),
    ],
)
def test_a_gunicorn_that_is_not_proved(version: str, worker_class: str, expected: str) -> None:
    text = advice.unproved(version, worker_class)
    assert expected in text
    assert bool(text) == bool(expected)


def test_a_version_of_more_digits_than_python_reads_is_a_new_one() -> None:
    assert advice.gunicorn("1" * 5000, "gthread", "requirements.txt") == ""


def test_websockets_on_threads() -> None:
    text = advice.websockets({"flask-sock": "1", "flask": "3"}, "gthread", 8, 2)
    assert "takes one of the app's 16 threads" in text
    assert advice.websockets({"flask-sock": "1"}, "threads", 8, 2) == text
    assert advice.websockets({"simple-websocket": "1"}, "sync", 1, 5).count("5 workers")
    assert not advice.websockets({"flask-sock": "1"}, "gevent", 1, 2)
    assert not advice.websockets({"flask": "3"}, "gthread", 8, 2)


def test_a_uvicorn_without_wheels_is_named() -> None:
    installed = {"uvicorn": "0.54.0", "httptools": "0.9.0"}
    assert "no wheel of uvloop was found" in advice.slower(installed, "uvicorn")
    assert "httptools and uvloop" in advice.slower({}, "uvicorn")
    assert advice.slower({**installed, "uvloop": "0.1"}, "uvicorn") == ""
    assert advice.slower({}, "threads") == ""
