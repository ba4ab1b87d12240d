"""A run that would leave out a step, or Ansible's settings, is refused by the first task that notices."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.command import QUICK, ROOT, environment, play, write
from tests.patience import patience

APPS = "apps:\n  shop:\n    module: shop:app\n    source: {path: ../shop}\n    domains: [shop.example.com]\n"


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/shop.py").write_text("app = None\n")
    return write(tmp_path / "inventory", {"group_vars/web/apps.yml": APPS})


@pytest.mark.parametrize(
    "playbook",
    ["site.yml", "playbooks/deploy.yml", "playbooks/rollback.yml", "playbooks/harden.yml", "playbooks/render.yml"],
)
def test_tags_are_refused(inventory: Path, playbook: str) -> None:
    run = play(inventory, "--tags", "nginx", playbook=playbook)
    assert run.status == 2
    assert not run.touched
    assert run.lines[0].startswith("--tags nginx would leave out steps that belong together, and no host was touched")


PARTS = (("--skip-tags", "always"), ("--skip-tags", "nginx"), ("--start-at-task", "Configure nginx"), ("--tags", "x"))


@pytest.mark.parametrize("options", PARTS, ids=" ".join)
@pytest.mark.parametrize("playbook", ["site.yml", "playbooks/setup.yml", "playbooks/status.yml"])
def test_a_part_of_a_playbook_is_refused(inventory: Path, playbook: str, options: tuple[str, ...]) -> None:
    run = play(inventory, *options, playbook=playbook)
    assert run.status == 2, run
    assert not run.touched
    (line,) = run.lines
    assert line.startswith(options[0]) and "would leave out steps that belong together, and no host was touched" in line


@pytest.mark.parametrize("options", PARTS[:3], ids=" ".join)
def test_a_playbook_that_is_not_the_kit_s_may_run_in_part(
    inventory: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    task = {"name": "Configure nginx", "ansible.builtin.debug": {"msg": "It ran"}, "tags": ["mine"]}
    (tmp_path / "mine.yml").write_text(json.dumps([{"hosts": "localhost", "connection": "local", "tasks": [task]}]))
    run = play(inventory, *options, playbook=str(tmp_path / "mine.yml"))
    assert run.status == 0 and "It ran" in run.out, run


def test_a_step_that_is_left_out_is_missed(inventory: Path) -> None:
    """Also where Ansible prints the run in another way than the kit's."""
    run = play(inventory, "--skip-tags", "always", playbook="playbooks/deploy.yml", ANSIBLE_STDOUT_CALLBACK="default")
    assert run.status == 2
    assert not run.touched
    assert "this run has left out the check of the inventory" in run.out + run.err, run


@pytest.mark.parametrize("playbook", ["site.yml", "playbooks/deploy.yml"])
def test_a_checkout_that_everybody_may_write_in(inventory: Path, tmp_path: Path, playbook: str) -> None:
    """Ansible ignores its ansible.cfg then: no collection path, no any_errors_fatal."""
    kit = tmp_path / "kit"
    shutil.copytree(ROOT, kit, symlinks=True, ignore=shutil.ignore_patterns(".git", ".cache", "__pycache__", ".venv"))
    kit.chmod(0o777)
    settings = {name: value for name, value in environment(tmp_path).items() if name != "ANSIBLE_CONFIG"}
    command = ["ansible-playbook", "-i", str(inventory), playbook]

    def run(**more: str) -> str:
        return subprocess.run(
            command,
            cwd=kit,
            env={**settings, **more},
            capture_output=True,
            text=True,
            timeout=patience(QUICK * 2),
            check=False,
        ).stdout

    assert f"Run chmod o-w {kit}, or set ANSIBLE_CONFIG={kit}/ansible.cfg" in run()
    assert not (tmp_path / "touched").exists()
    assert "UNREACHABLE" in run(ANSIBLE_CONFIG=str(kit / "ansible.cfg"))


@pytest.mark.parametrize(
    "locale", [{"LC_ALL": "C"}, {"LC_ALL": "xx_YY.UTF-8"}, {"LC_ALL": "", "LANG": ""}, {"LANG": "C"}]
)
def test_make_works_in_any_locale(inventory: Path, tmp_path: Path, locale: dict[str, str]) -> None:
    kept = {
        name: value for name, value in environment(tmp_path).items() if not name.startswith(("LC_", "LANG", "ANSIBLE_"))
    }
    result = subprocess.run(
        ["make", "-o", ".venv/controller", "releases", f"INVENTORY={inventory}", f"ANSIBLE=ansible-playbook -i {inventory}"],
        cwd=ROOT, env={**kept, **locale}, capture_output=True, text=True, timeout=patience(QUICK * 2), check=False,
    )  # fmt: skip
    assert result.stdout.count("does not answer: ") == 2, result.stdout + result.stderr
    assert "Ansible " not in result.stderr
