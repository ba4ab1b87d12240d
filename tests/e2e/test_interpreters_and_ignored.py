"""What the preflight says about Pythons that are not available, and about files of a source that git leaves out."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.command import Run, play, write

APP = "apps:\n  shop:\n    module: shop:app\n    source: {path: ../shop%s}\n    domains: [shop.example.com]\n"
HASH = "9f" * 32


def faults(run: Run) -> list[str]:
    """The faults that a run tells, without their places."""
    assert (run.status, run.touched, run.err) == (2, False, ""), run
    assert "no host was touched" in run.lines[0]
    return [line.strip().partition(": ")[2] for line in run.lines[1:]]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The folder of an app, a git work tree with a built folder that is ignored."""
    for name, text in {"shop.py": "import secret_settings\n", ".gitignore": "dist/\n", "dist/site.css": ""}.items():
        (tmp_path / "shop" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "shop" / name).write_text(text)
    subprocess.run(["git", "init", "-q", str(tmp_path / "shop")], check=True)
    return tmp_path / "shop"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ('    python: "3.13.7"\n', "apps.shop.python is '3.13.7'; must be a version of two numbers, \"3.13\". The host's own Python"),
        ("    python: 3.13\n", "apps.shop.python must be text, not a number"),
        ('    python: "3.9"\n', "apps.shop.python is '3.9'; must be 3.10 or newer, since gunicorn 27 needs that"),
        ("python_mirror: mirror.example.com\n", "python_mirror is 'mirror.example.com'; must be a URL that starts with https://"),
        (f'python_archives: {{"3.13": {{url: "https://x.test/p.tgz", sha256: {HASH}}}}}\n', "python_archives has the version '3.13'; must be a full one"),
        ('python_archives: {"3.13.1": {url: "https://x.test/p.tgz"}}\n', "python_archives must name `url` and `sha256` of 3.13.1"),
    ],
)  # fmt: skip
def test_pythons(tmp_path: Path, shop: Path, written: str, message: str) -> None:
    [fault] = faults(play(write(tmp_path / "inventory", {"group_vars/web/apps.yml": f"{APP % ''}{written}"})))
    assert fault.startswith(message), fault


@pytest.mark.parametrize(
    ("source", "static", "message"),
    [
        (", include: [dust]", "", "`include` names dust, which is not there; build it, or correct the name."),
        (", include: [../x]", "", "must be a relative path inside the source, without `..`"),
        ("", "    static: {/static/: dist}\n", "since git ignores it (or it is empty); take it in by `source.include: [dist]`"),
    ],
)  # fmt: skip
def test_what_git_ignores(tmp_path: Path, shop: Path, source: str, static: str, message: str) -> None:
    [fault] = faults(play(write(tmp_path / "inventory", {"group_vars/web/apps.yml": f"{APP % source}{static}"})))
    assert message in fault, fault


def test_what_is_included_is_there(tmp_path: Path, shop: Path) -> None:
    text = APP % ", include: [dist]" + "    static: {/static/: dist}\n"
    run = play(write(tmp_path / "inventory", {"group_vars/web/apps.yml": text}), playbook="playbooks/preflight.yml")
    assert run.status == 0, run
