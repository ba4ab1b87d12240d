"""The collection as users install it: only what they need, and it works without the clone that it was built from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import patience

from .command import ROOT, environment, write

APPS = """\
apps:
  shop:
    module: web:app
    source: {path: ../code}
    domains: [shop.example.com]
"""
SHIPPED = {
    *("CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md", "ansible.cfg", "FILES.json", "MANIFEST.json"),
    *("docs", "examples", "inventories", "meta", "playbooks", "plugins", "requirements", "roles", "templates"),
}
"""All entries in the folder of an installed collection."""


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder into which the collection was built and installed."""
    folder = tmp_path_factory.mktemp("collections")
    run(folder, "ansible-galaxy", "collection", "build", "--output-path", str(folder), cwd=ROOT)
    (archive,) = folder.glob("*.tar.gz")
    run(folder, "ansible-galaxy", "collection", "install", "--offline", "-p", str(folder), str(archive))
    return folder


def start(folder: Path, *command: str, config: Path | None = None, cwd: Path | None = None) -> tuple[int, str]:
    """Run a command that finds the kit only among the collections in `folder`; its status and output."""
    variables = {name: value for name, value in environment(folder).items() if name != "ANSIBLE_CONFIG"}
    result = subprocess.run(
        command,
        cwd=cwd or folder,
        env={
            **variables,
            **({"ANSIBLE_CONFIG": str(config)} if config else {}),
            "ANSIBLE_COLLECTIONS_PATH": str(folder),
            "HOME": str(folder),
            "PYTHONPATH": str(folder),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=patience(120),
        check=False,
    )
    return result.returncode, result.stdout


def run(folder: Path, *command: str, config: Path | None = None, cwd: Path | None = None) -> str:
    """The output of such a command, which has to succeed."""
    status, out = start(folder, *command, config=config, cwd=cwd)
    assert status == 0, out
    return out


def kit(collections: Path) -> Path:
    return collections / "ansible_collections/slipway/kit"


def inventory(folder: Path) -> Path:
    write(folder / "inventory", {"group_vars/web/apps.yml": APPS})
    (folder / "code").mkdir()
    (folder / "code/web.py").write_text("def app(environ, start_response): ...\n")
    return folder / "inventory"


def test_it_holds_what_users_need_and_nothing_else(collections: Path) -> None:
    assert {path.name for path in kit(collections).iterdir()} == SHIPPED
    files = {str(path.relative_to(kit(collections))) for path in kit(collections).rglob("*") if not path.is_dir()}
    strange = [name for name in files if "test" in Path(name).name or Path(name).name.startswith(".")]
    assert set(strange) <= {"examples/flask-shop/.gitignore"}
    assert {name for name in files if name.startswith("requirements/") and "/tools/" not in name} == {
        "requirements/controller.in",
        "requirements/controller.txt",
    }


def test_it_holds_every_module_of_the_kit(collections: Path) -> None:
    """Also those in folders whose names elsewhere mean something that is made: `build`."""
    for folder in ("plugins", "roles", "templates", "requirements/tools"):
        tracked = run(collections, "git", "-C", str(ROOT), "ls-files", "-z", folder).split("\0")
        assert [name for name in tracked if not (kit(collections) / name).exists()] == []


@pytest.mark.parametrize(
    "playbook", ["site", "deploy", "rollback", "releases", "remove", "harden", "audit", "preflight"]
)
def test_its_playbooks_find_their_roles(collections: Path, tmp_path: Path, playbook: str) -> None:
    out = run(
        collections, "ansible-playbook", "-i", str(inventory(tmp_path)), f"slipway.kit.{playbook}", "--syntax-check"
    )
    assert str(kit(collections) / f"playbooks/{playbook}.yml") in out


def test_it_renders_every_artefact(collections: Path, tmp_path: Path) -> None:
    build = tmp_path / "artefacts"
    command = ["ansible-playbook", "-i", str(inventory(tmp_path)), "slipway.kit.render", "-e", f"build={build}"]
    run(collections, *command, config=kit(collections) / "ansible.cfg")
    for host in ("web1", "web2"):
        written = {path.name for path in (build / "inventory" / host).rglob("*") if path.is_file()}
        assert {"shop.conf", "gunicorn.conf.py", "environment.json", "manifest.json"} <= written, sorted(written)


@pytest.mark.parametrize("playbook", ["site", "render"])
def test_without_its_settings_it_says_which_to_take_and_touches_no_host(
    collections: Path, tmp_path: Path, playbook: str
) -> None:
    status, out = start(collections, "ansible-playbook", "-i", str(inventory(tmp_path)), f"slipway.kit.{playbook}")
    assert status != 0
    assert f"Set ANSIBLE_CONFIG={kit(collections)}/ansible.cfg" in out
    assert not (collections / "touched").exists()


def test_its_lookup_finds_the_locks_of_tools(collections: Path) -> None:
    program = "from ansible_collections.slipway.kit.plugins.lookup import resolved; print(resolved.LOCKS)"
    locks = Path(run(collections, sys.executable, "-c", program).strip())
    assert locks.is_relative_to(kit(collections))
    assert {"uv.txt", "supervisor.txt"} <= {path.name for path in locks.iterdir()}
