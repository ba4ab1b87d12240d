"""Renders whole inventories once; the tests then judge them file by file."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.slipway.kit.plugins.module_utils import rendering
from ansible_collections.slipway.kit.plugins.module_utils.contract import names
from ansible_collections.slipway.kit.plugins.module_utils.model import artefacts, resolve, settings
from ansible_collections.slipway.kit.plugins.module_utils.model.types import Host

from tests.authority import Authority, install

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
INVENTORIES = ("staging", "production", "systemd", "supervisor")
"""The two examples, and every key of docs/example-apps.yml under either process manager."""


def key_of(app: str) -> str:
    """The key of an app on the host of `nginx_below`."""
    return hashlib.sha256(app.encode()).hexdigest()[:32]


def program(name: str) -> str:
    """A program of the system. A missing one is a fault of the machine, never a reason to skip a test."""
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert path, f"{name} is not installed here: the tests of the rendered files need it"
    return path


def every_key(folder: Path, manager: str) -> Path:
    """An inventory with every key."""
    (folder / "group_vars/web").mkdir(parents=True)
    (folder / "hosts.yml").write_text("web:\n  hosts:\n    web1:\n")
    variables = yaml.safe_load((ROOT / "docs/example-apps.yml").read_text(encoding="utf-8"))
    variables["process_manager"] = manager
    variables["vault_apps"] = {"shop": {"secrets": {"VAULTED": "hunter2"}}}
    variables["apps"]["shop"]["secrets"]["PLAIN"] = "hunter2"
    if manager == "supervisor":  # each manager gets only its own words
        variables["apps"]["shop"]["unit_extra"] = "priority=10\n"
        del variables["apps"]["shop"]["limits"]["cpu"]
    variables["apps"]["live"] = {  # and an app that speaks ASGI, below another path
        "module": "live:app",
        "source": {"git": "ssh://git@example.com/live.git", "version": "feature/live-basket"},
        "interface": "asgi",
        "mount": "/live",
        **{key: variables["apps"]["shop"][key] for key in ("domains", "primary", "tls", "hsts")},
    }
    (folder / "group_vars/web/apps.yml").write_text(yaml.safe_dump(variables))
    (folder.parent / "intranet").mkdir(exist_ok=True)  # the `path` of an app
    (folder / "hooks").mkdir()
    for name in ("announce", "alert"):
        (folder / f"hooks/{name}.yml").write_text("- ansible.builtin.debug: {msg: A deploy}\n")
    (folder / "files/error_pages").mkdir(parents=True)
    (folder / "files/error_pages/502.html").write_text("<p>Back soon</p>\n")
    (folder / "files/local_settings.py.j2").write_text(
        "{{ ansible_managed | comment }}\n\nPASSWORD = '{{ secrets.PLAIN }}'\n"
    )
    return folder


def render(inventory: Path, build: Path) -> dict[str, Path]:
    """Render an inventory; returns the tree of every host."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    result = subprocess.run(
        [BIN / "ansible-playbook", "-i", inventory, ROOT / "playbooks/render.yml", "-e", f"build={build}"],
        env={**environment, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    return {tree.name: tree for tree in (build / inventory.name).iterdir()}


def template(src: str, dest: str, values: Mapping[str, Any]) -> str:
    """One template, rendered as the actions do it."""
    loader = DataLoader()
    return rendering.render(Templar(loader=loader, variables={}), {}, loader, src, dest, values)


def nginx_below(top: Path, variables: Mapping[str, Any], texts: Mapping[str, str] | None = None) -> list[str]:
    """Write nginx's files of an unchecked inventory below a folder; returns the command of an nginx with them.

    `texts` are the files that no template makes, by their path on a host.
    """
    top.chmod(0o755)
    for folder in ("etc/nginx/modules-enabled", "etc/nginx/sites-enabled", "var/log/nginx", "run"):
        (top / folder).mkdir(parents=True, exist_ok=True)
    shutil.copy("/etc/nginx/mime.types", top / "etc/nginx")
    host = Host.assumed()
    host_settings, apps = settings.settings(variables, host), resolve.resolve_all(variables, host)
    entries = [
        *artefacts.nginx_base(host_settings, host),
        *artefacts.nginx_sites(host_settings, host, apps, {}, texts=texts or {}),
    ]
    rendered = rendering.signed(
        {
            entry["dest"]: template(entry["src"], entry["dest"], entry.get("vars", {}))
            for entry in entries
            if "src" in entry
        }
    )
    for entry in entries:
        target = top / entry["dest"].lstrip("/")
        if entry.get("state") == "directory":
            target.mkdir(parents=True, exist_ok=True)
        elif "src" in entry or "content" in entry:
            text = rendered[entry["dest"]] if "src" in entry else entry["content"]
            text = text.replace(names.RANDOM, key_of(target.stem))
            text = re.sub(r"(?<![\w/])/(etc|srv|run|var/log|var/lib)/", rf"{top}/\1/", text)
            if os.geteuid():
                text = re.sub(r"(?m)^user .*\n", "", text)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    return [program("nginx"), "-p", f"{top}", "-c", f"{top}/etc/nginx/nginx.conf", "-e", f"{top}/start.log"]


@pytest.fixture(scope="session")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One rendered host of every inventory."""
    folder = tmp_path_factory.mktemp("render")
    tree_by_manager = {}
    for name in INVENTORIES:
        example = ROOT / "inventories" / name
        inventory = example if example.is_dir() else every_key(folder / name, name)
        hosts = render(inventory, folder / "build")
        tree_by_manager[name] = hosts[sorted(hosts)[0]]
    return tree_by_manager


@pytest.fixture(params=INVENTORIES)
def tree(request: pytest.FixtureRequest, trees: dict[str, Path]) -> Path:
    return trees[request.param]


@pytest.fixture
def rooted(tree: Path) -> Iterator[Path]:
    """A copy of the tree whose files name paths of the copy, so that real programs read it in place."""
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as folder:  # short: a socket's path has 107 bytes
        copy = Path(folder, "h")
        shutil.copytree(tree, copy)
        for path in copy.rglob("*"):
            if path.is_file():
                text = path.read_text(encoding="utf-8")
                text = re.sub(r"(?<![\w/])/(etc|srv|run|opt|var/log|var/lib)/", rf"{copy}/\1/", text)
                path.write_text(text, encoding="utf-8")
        authority = Authority()
        for path in copy.glob("etc/nginx/conf.d/slipway-site-*.conf"):
            for name in set(re.findall(r"/etc/slipway/tls/([^/]+)/current/", path.read_text(encoding="utf-8"))):
                install(copy, name, authority.issue(name))
        yield copy
