"""Locks of Poetry, PDM and Pipenv: what of them is installed, under which conditions, and with which hashes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import tomllib
from ansible_collections.slipway.kit.plugins.module_utils.sources import SourceError, fetch, locks

from tests.patience import patience

ROOT = Path(__file__).parents[4]
HASH = "sha256:" + "0" * 64


def lines(text: str, project: str = "", read=locks.poetry) -> list[str]:
    return [line.replace(f" --hash={HASH}", "") for line in read(tomllib.loads(text), tomllib.loads(project)).lines]


def package(name: str, version: str = "1.0", more: str = "", below: str = "") -> str:
    return f"""
[[package]]
name = "{name}"
version = "{version}"
files = [{{file = "{name}.whl", hash = "{HASH}"}}]
{more}
{below}
"""


def test_poetry_2_says_groups_and_markers_of_each_package():
    lock = (
        package("Flask", "3.1.3", 'optional = false\ngroups = ["main"]')
        + package("colorama", "0.4.6", 'groups = ["main", "dev"]\nmarkers = {main = "sys_platform == \'win32\'"}')
        + package("pytest", "8.0", 'groups = ["dev"]')
        + package("psycopg", "3.2", 'optional = true\ngroups = ["main"]\nmarkers = "extra == \'pg\'"')
    )
    assert lines(lock) == ['colorama==0.4.6 ; sys_platform == "win32"', "flask==3.1.3"]


OLD = (
    package(
        "uvicorn",
        "0.30.0",
        "optional = false",
        """[package.dependencies]
click = ">=7.0"
colorama = {version = ">=0.4", optional = true, markers = "sys_platform == 'win32' and extra == 'standard'"}
httptools = {version = ">=0.5.0", optional = true, markers = "extra == 'standard'"}
watchfiles = {version = ">=0.1", optional = true, markers = "extra == 'reload'"}
typing-extensions = {version = ">=4.0", markers = "python_version < '3.11'"}
[package.extras]
standard = ["colorama (>=0.4) ; sys_platform == 'win32'", "httptools (>=0.5.0)"]
reload = ["watchfiles"]""",
    )
    + "".join(package(name) for name in ("click", "colorama", "httptools", "watchfiles", "typing-extensions", "black"))
    + package("numpy", "1.26.4")
    + package("numpy", "2.1.0")
)
PROJECT = """
[tool.poetry.dependencies]
python = "^3.10"
uvicorn = {version = "^0.30", extras = ["standard"]}
numpy = [{version = "^1.26", python = "<3.12"}, {version = "^2.1", python = ">=3.12"}]
black = {version = "^1", optional = true}
"""


def test_of_an_older_poetry_the_way_to_a_package_says_it():
    assert lines(OLD, PROJECT) == [
        "click==1.0",
        """colorama==1.0 ; sys_platform == "win32" and python_version >= "0\"""",
        """httptools==1.0 ; python_version >= "0\"""",
        """numpy==1.26.4 ; python_version < "3.12\"""",
        """numpy==2.1.0 ; python_version >= "3.12\"""",
        """typing-extensions==1.0 ; python_version < "3.11\"""",
        "uvicorn==0.30.0",
    ]


def test_circles_end_and_two_ways_are_joined():
    lock = (
        package("a", below="[package.dependencies]\nb = '*'")
        + package("b", below="[package.dependencies]\na = '*'\nc = {version = '*', markers = \"os_name == 'nt'\"}")
        + package("c")
    )
    project = "[tool.poetry.dependencies]\na = '*'\nc = {version = '*', platform = 'linux'}"
    assert lines(lock, project) == ["a==1.0", "b==1.0", 'c==1.0 ; os_name == "nt" or sys_platform == "linux"']


def chain(length: int) -> str:
    """A lock in which each package asks for the next one, under its own marker."""
    below = "[package.dependencies]\np{} = {{version = '*', markers = \"os_name == '{}'\"}}"
    return "".join(package(f"p{number}", below=below.format(number + 1, number)) for number in range(length))


def test_a_long_chain_of_markers_is_not_followed():
    project = "[tool.poetry.dependencies]\np0 = '*'"
    assert len(lines(chain(50), project)) == 50
    begun = time.monotonic()
    with pytest.raises(locks.LockError, match="under more than 50 conditions together"):
        lines(chain(3000), project)
    assert time.monotonic() - begun < patience(15), "it took minutes"


def test_what_poetry_takes_from_elsewhere():
    lock = (
        package("tool", "1.0", 'groups=["main"]', '[package.source]\ntype = "git"\nurl = "git@git.example:t/tool.git"\nreference = "main"\nresolved_reference = "0123abc"')
        + package("lib", "1.0", 'groups=["main"]', '[package.source]\ntype = "directory"\nurl = "libs/lib"')
        + package("own", "1.0", 'groups=["main"]', '[package.source]\ntype = "legacy"\nurl = "https://x.example/simple"\nreference = "x"')
    )  # fmt: skip
    lock_lines = locks.poetry(tomllib.loads(lock), {})
    assert [line.replace(f" --hash={HASH}", "") for line in lock_lines.lines] == [
        "--extra-index-url https://x.example/simple",
        "./libs/lib",
        "own==1.0",
        "tool @ git+ssh://git@git.example/t/tool.git@0123abc",
    ]
    assert (lock_lines.local, lock_lines.hashed) == (("./libs/lib",), False)


def test_pdm_with_and_without_its_groups():
    lock = (
        package("flask", "3.1", 'groups = ["default"]')
        + package("colorama", "1", 'groups = ["default"]\nmarker = "sys_platform == \\"win32\\""')
        + package("pytest", "8", 'groups = ["test"]')
    )
    assert lines(lock, read=locks.pdm) == ['colorama==1 ; sys_platform == "win32"', "flask==3.1"]
    lock = (
        package("uvicorn", "0.3", 'dependencies = ["click>=7"]')
        + package("uvicorn", "0.3", 'extras = ["standard"]\ndependencies = ["httptools", "uvicorn==0.3"]')
        + package("click", "8", "dependencies = [\"colorama; sys_platform == 'win32'\"]")
        + "".join(package(name) for name in ("colorama", "httptools", "pytest"))
    )
    project = '[project]\nname = "shop"\ndependencies = ["uvicorn[standard]>=0.3"]'
    assert lines(lock, project, locks.pdm) == [
        "click==8",
        'colorama==1.0 ; sys_platform == "win32"',
        "httptools==1.0",
        "uvicorn==0.3",
    ]


def test_pipenv():
    lock = {
        "_meta": {
            "sources": [
                {"url": "https://pypi.org/simple"},
                {"url": "https://x.example/simple"},
                {"url": "https://$U@y"},
            ]
        },
        "default": {
            "flask": {
                "version": "==3.1.3",
                "hashes": [HASH],
                "markers": "python_version >= '3.9'",
                "extras": ["async"],
            },
            "lib": {"path": "./lib", "editable": True},
            "tool": {"git": "https://git.example/tool.git", "ref": "0123abc"},
        },
        "develop": {"pytest": {"version": "==8", "hashes": [HASH]}},
    }
    assert locks.pipenv(lock).lines == (
        "--extra-index-url https://x.example/simple",
        f'flask==3.1.3 ; python_version >= "3.9" --hash={HASH}',
        "./lib",
        "tool @ git+https://git.example/tool.git@0123abc",
    )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("markers = 'os.system'", "has an invalid marker"),
        ("files = [{hash = 'sha256:0 --index-url http://x'}]", "has an invalid hash"),
        ("version = '1 --index-url http://x'", "has the invalid version"),
        ("name = 'a --index-url http://x'", "has no name"),
        ("source = {type = 'url', url = 'https://x --index-url=x'}", "comes from an address that cannot be used"),
    ],
)
def test_nothing_in_a_lock_becomes_an_option(more, message):
    entry = {"name": "a", "version": "1", "groups": ["main"], "files": [{"hash": HASH}], **tomllib.loads(more)}  # fmt: skip
    with pytest.raises(locks.LockError, match=message):
        locks.poetry({"package": [entry]}, {})


def test_a_lock_without_its_project_is_refused(tmp_path):
    (tmp_path / "poetry.lock").write_text(OLD)
    with pytest.raises(SourceError, match=r"poetry\.lock cannot be used: its pyproject\.toml has no dependencies"):
        fetch({"path": str(tmp_path)}, requirements=None, base=tmp_path, cache=tmp_path / "cache", log=print)


def wheel(folder: Path, name: str, version: str) -> str:
    """Make a wheel; returns its hash."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"version = {version!r}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def test_uv_installs_what_a_lock_comes_to(tmp_path):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    lock = {
        "default": {
            "first": {"version": "==1.0", "hashes": [HASH, wheel(wheels, "first", "1.0")]},
            "second": {"version": "==2.0", "hashes": [wheel(wheels, "second", "2.0")], "markers": "os_name == 'nt'"},
        }
    }
    wheel(wheels, "first", "1.1")
    app = tmp_path / "app"
    app.mkdir()
    (app / "Pipfile.lock").write_text(json.dumps(lock))
    fetched = fetch({"path": "app"}, requirements=None, base=tmp_path, cache=tmp_path / "cache", log=print).lock
    assert (fetched.kind, fetched.hashed, fetched.versions["first"]) == ("Pipfile.lock", True, "1.0")
    (tmp_path / "requirements.txt").write_text(fetched.text)
    target = tmp_path / "site"
    uv = [
        str(ROOT / ".venv/bin/uv"),
        "pip",
        "install",
        "--python",
        sys.executable,
        "--target",
        str(target),
        "--no-index",
    ]
    subprocess.run(
        [*uv, "--find-links", str(wheels), "--no-config", "--no-deps", "--require-hashes", "-r", str(tmp_path / "requirements.txt")],
        check=True,
    )  # fmt: skip
    assert (target / "first.py").read_text() == "version = '1.0'\n"
    assert not (target / "second.py").exists()


def test_versions_are_those_that_are_installed_in_any_case():
    lock = """
[[package]]
name = "shop"
source = { virtual = "." }
dependencies = [{ name = "flask" }, { name = "colorama", marker = "sys_platform == 'win32'" }]
[package.optional-dependencies]
old = [{ name = "gunicorn" }]
[package.dev-dependencies]
dev = [{ name = "gunicorn" }]
[[package]]
name = "flask"
version = "3.1.3"
source = { registry = "https://index.example/simple" }
[[package]]
name = "colorama"
version = "0.4"
source = { registry = "https://index.example/simple" }
[[package]]
name = "gunicorn"
version = "19.9.0"
source = { registry = "https://index.example/simple" }
"""
    assert locks.uv(tomllib.loads(lock), "shop").versions == {"flask": "3.1.3"}
