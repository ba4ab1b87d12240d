"""What releases a host has, and how they came there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.base.trees import size
from ansible_collections.slipway.kit.plugins.module_utils.host.system.history import history, lines

ONE, TWO, THREE = "v1-00000001", "v2-00000002", "v3-00000003"


@pytest.fixture
def host(tmp_path: Path) -> tuple[str, str]:
    """An app with three releases: the second is current, the third was never."""
    root = tmp_path / "srv/shop"
    for name, previous, when in (
        (ONE, None, "2026-01-01T00:00:00Z"),
        (TWO, ONE, "2026-01-02T00:00:00Z"),
        (THREE, None, ""),
    ):
        path = root / "releases" / name
        path.mkdir(parents=True)
        (path / "manifest.json").write_text(json.dumps({"version": name[:2]}))
        if when:
            (path / "activated.json").write_text(json.dumps({"previous": previous, "when": when, "verified": True}))
    (root / "releases" / THREE / "bad.json").write_text(json.dumps({"reason": "it hung"}))
    (root / "releases/v4-00000004").mkdir()  # an interrupted build
    (root / "releases/.staging-x").mkdir()
    (root / "current").symlink_to(f"releases/{TWO}")
    journal = tmp_path / "journal"
    events: list[Any] = [
        {"app": "shop", "to": ONE, "who": "ann", "outcome": "ok"},
        {"app": "shop", "to": TWO, "who": "bob", "outcome": "interrupted"},
        {"app": "blog", "to": TWO, "who": "eve", "outcome": "ok"},
        {"app": "shop", "to": None, "who": "eve", "outcome": "failed"},
        ["not", "ours"],
    ]
    journal.write_text("".join(json.dumps(one) + "\n" for one in events) + '{"app": "shop", "to": "v1-0000')
    return str(root), str(journal)


def test_the_releases_the_last_made_current_first(host: tuple[str, str]) -> None:
    releases = history(*host)
    assert [(one["id"], one["version"], one["who"]) for one in releases] == [
        (TWO, "v2", "bob"),
        (ONE, "v1", "ann"),
        (THREE, "v3", ""),
    ]
    assert [(one["current"], one["previous"], one["bad"]) for one in releases] == [
        (True, False, None),
        (False, True, None),
        (False, False, "it hung"),
    ]
    assert [one["when"] for one in releases] == ["2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", ""]


def test_an_app_that_is_not_there(tmp_path: Path) -> None:
    assert history(str(tmp_path / "srv/shop"), str(tmp_path / "journal")) == []


def test_a_line_that_was_cut_short_is_left_out(host: tuple[str, str]) -> None:
    assert len(lines(host[1])) == 4


def test_the_size_is_that_of_the_release_alone(tmp_path: Path) -> None:
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv/big").write_bytes(b"x" * 10000)
    release = tmp_path / "release"
    (release / "code").mkdir(parents=True)
    (release / "code/app.py").write_bytes(b"x" * 300)
    before = size(str(release))
    (release / "venv").symlink_to("../venv")
    assert before == 300
    assert size(str(release)) < 400
