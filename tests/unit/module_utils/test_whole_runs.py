"""A run that would leave out steps is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import whole_runs

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"tags": ["nginx", "host"]}, "--tags nginx,host"),
        ({"tags": ["never"]}, "--tags never"),
        ({"tags": ["all"], "skip_tags": ["always"]}, "--skip-tags always"),
        ({"skip_tags": ["nginx"]}, "--skip-tags nginx"),
        ({"start_at_task": "Configure nginx"}, "--start-at-task 'Configure nginx'"),
    ],
)
def test_a_part_of_a_run_is_refused(options: dict[str, Any], option: str) -> None:
    assert str(whole_runs.refusal(options)).startswith(
        f"{option} would leave out steps that belong together, and no host"
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tags": ["all"]},
        {"tags": ["all"], "skip_tags": [], "start_at_task": None},
        {"skip_tags": ["molecule-notest", "notest"]},
    ],
)
def test_a_whole_run_is_not(options: dict[str, Any]) -> None:
    assert whole_runs.refusal(options) is None


def test_other_playbooks_are_not_ours(tmp_path: Path) -> None:
    assert whole_runs.is_ours(f"{ROOT}/site.yml:3")
    assert whole_runs.is_ours(f"{ROOT}/collections/ansible_collections/slipway/kit/playbooks/deploy.yml:3")
    assert not whole_runs.is_ours(f"{tmp_path}/site.yml:3")
    assert not whole_runs.is_ours("")


def test_the_playbooks_of_a_run() -> None:
    def names(*paths: str) -> list[str]:
        return whole_runs.playbooks({"args": paths})

    site, logs = str(ROOT / "site.yml"), str(ROOT / "playbooks/logs.yml")
    assert names(site, logs) == ["site.yml", "logs.yml"]
    assert names("slipway.kit.site") == ["site.yml"]
    assert names(site, "/elsewhere/site.yml") == names(str(ROOT / "playbooks/rollout.yml")) == names() == []
