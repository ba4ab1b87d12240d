"""Making a virtualenv, with the real uv: nothing in it leads to what it was built from."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.job import Code, Index, Job, Lock
from ansible_collections.slipway.kit.plugins.module_utils.host.build import installing, virtualenv

ROOT = Path(__file__).parents[5]
UV = str(ROOT / ".venv/bin/uv")
BACKEND = """
import zipfile, os
def build_wheel(folder, settings=None, metadata=None):
    name = "pricing-1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("pricing.py", open("pricing.py").read())
        wheel.writestr("pricing-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: pricing\\nVersion: 1\\n")
        wheel.writestr("pricing-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("pricing-1.dist-info/RECORD", "")
    return name
def build_editable(folder, settings=None, metadata=None):
    raise SystemExit("never linked")
def get_requires_for_build_wheel(settings=None): return []
def get_requires_for_build_editable(settings=None): return []
"""
PROJECT = """
[project]
name = "pricing"
version = "1"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
LIBRARY = {
    "libs/pricing/pyproject.toml": PROJECT,
    "libs/pricing/backend.py": BACKEND,
    "libs/pricing/pricing.py": "def price(n):\n    return n * 7\n",
}
OWN = '[project]\nname = "shop"\nversion = "1"\nrequires-python = ">=3.10"\ndependencies = ["pricing"]\n'
SOURCE = '[tool.uv.sources]\npricing = { path = "libs/pricing", editable = true }\n'


NONE = Job(
    variants={}, code=Code(), environment="", files={}, programs={}, python="", interpreter=None, uv="",
    lock=Lock(
        kind="none", file="", shown="", place="", hash="", folder="", member="", text="", complete=False, constraints=(),
        scm={}, hashed=False, local=False, lines=(),
    ),
    index=Index(url=None, extra=(), ca="", strategy=None, secrets=()), make=None, setup=None, deadline=60,
)  # fmt: skip


def install(tmp_path: Path, files: dict[str, str], **venv: object) -> Path:
    """Install as a build does; returns the site-packages."""
    code, path, cache = tmp_path / "releases/v1/code", tmp_path / "venvs/new", tmp_path / "venvs/.cache"
    for name, content in {**LIBRARY, **files}.items():
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text(content)
    cache.mkdir(parents=True)
    python = os.path.realpath(sys.executable)
    lock = replace(NONE.lock, **{"kind": "requirements.txt", "file": "requirements.txt", **venv})
    wanted = replace(NONE, lock=lock, python=python, uv=UV)
    index = Index(url=None, extra=(), ca="/nonexistent", strategy=None, secrets=())
    command = [UV, "pip", "install", "--quiet", "--offline", "--python", f"{path}/bin/python"]
    job = installing.job(
        path=str(path),
        code=str(code),
        folder=lock.folder,
        without=["secret.py"],
        copy=f"{cache}/v1",
        files=virtualenv._files(lock, str(cache)),
        environment=virtualenv._environment(index, str(cache), str(path)) | {"UV_OFFLINE": "1"},
        venv=[UV, "venv", "--quiet", "--no-project", "--python", python, str(path)],
        dependencies=virtualenv._dependencies(wanted, command, str(cache)),
        additions=[],
        packages=[],
        wheel=[],
        wheels={},
    )
    subprocess.run([sys.executable, "-I", "-S", installing.__file__], input=job, check=True)
    (site,) = path.glob("lib/python*/site-packages")
    return site


LOCK = """version = 1
requires-python = ">=3.10"
[[package]]
name = "pricing"
version = "1"
source = { editable = "libs/pricing" }
[[package]]
name = "shop"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "pricing" }]
[package.metadata]
requires-dist = [{ name = "pricing", editable = "libs/pricing" }]
"""
PYLOCK = """lock-version = "1.0"
created-by = "a test"
[[packages]]
name = "pricing"
version = "1"
directory = { path = "libs/pricing", editable = true }
"""


@pytest.mark.parametrize(
    ("files", "venv"),
    [
        ({"requirements.txt": "-e ./libs/pricing\n"}, {}),
        ({"requirements.txt": "pricing @ file:libs/pricing\n"}, {}),
        ({"deploy/all.txt": "-e libs/pricing\n"}, {"file": "deploy/all.txt"}),
        ({"backend/requirements.txt": "-e ../libs/pricing\n"}, {"file": "backend/requirements.txt", "folder": "backend"}),
        ({}, {"kind": "list", "lines": ["./libs/pricing"]}),
        ({}, {"kind": "poetry.lock", "text": "./libs/pricing\n", "complete": True}),
        ({"pyproject.toml": OWN + SOURCE}, {"kind": "pyproject.toml", "file": "pyproject.toml"}),
        ({"pyproject.toml": OWN + SOURCE, "uv.lock": LOCK}, {"kind": "uv.lock", "file": "uv.lock"}),
        ({"pylock.toml": PYLOCK}, {"kind": "pylock.toml", "file": "pylock.toml"}),
    ],
    ids=["editable", "file", "elsewhere", "folder", "list", "poetry", "pyproject", "uv", "pylock"],
)  # fmt: skip
def test_a_local_library_is_installed_and_not_linked(
    tmp_path: Path, files: dict[str, str], venv: dict[str, object]
) -> None:
    site = install(tmp_path, files, **venv)
    assert "return n * 7" in (site / "pricing.py").read_text()
    for file in site.rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        assert b"releases/v1" not in content, file
        assert b".cache/v1" not in content, file
    (library,) = [one for one in importlib.metadata.distributions(path=[str(site)]) if one.name == "pricing"]
    assert "direct_url.json" not in str(library.files)
    assert not (tmp_path / "venvs/.cache/v1").exists()


def test_wheels_are_optional(tmp_path: Path) -> None:
    """A package without a wheel for the interpreter is left out, and the others are installed."""
    index, venv, cache = tmp_path / "index", tmp_path / "venv", tmp_path / "cache"
    cache.mkdir()
    index.mkdir()
    build_wheel(index, "swift")
    (index / "odd-1.tar.gz").write_bytes(b"never opened")
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, venv], check=True)
    files = {}
    for name, file in (("swift", "swift-1-py3-none-any.whl"), ("odd", "odd-1.tar.gz")):
        digest = hashlib.sha256((index / file).read_bytes()).hexdigest()
        files[f"{name}==1"] = str(cache / name)
        (cache / name).write_text(f"{name}==1 --hash=sha256:{digest}\n")
    install = [UV, "pip", "install", "--quiet", "--offline", "--no-index", f"--find-links={index}", f"--python={venv}"]
    install += ["--no-deps", "--require-hashes", "--only-binary=:all:"]
    installing.add_wheels(install, files, str(venv), str(tmp_path), dict(os.environ))
    assert installing.lacking(["swift==1", "odd==1"], str(venv)) == ["odd==1"]


def test_a_wheel_with_another_hash_is_not_installed(tmp_path: Path) -> None:
    build_wheel(tmp_path, "swift")
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv"], check=True)
    (tmp_path / "list").write_text(f"swift==1 --hash=sha256:{'0' * 64}\n")
    install = [UV, "pip", "install", "--quiet", "--offline", "--no-index", f"--find-links={tmp_path}"]
    install += [f"--python={tmp_path / 'venv'}", "--require-hashes"]
    installing.add_wheels(
        install, {"swift==1": str(tmp_path / "list")}, str(tmp_path / "venv"), str(tmp_path), dict(os.environ)
    )
    assert installing.lacking(["swift==1"], str(tmp_path / "venv")) == ["swift==1"]


def build_wheel(folder: Path, name: str) -> None:
    """Write a wheel with one empty module."""
    with zipfile.ZipFile(folder / f"{name}-1-py3-none-any.whl", "w") as archive:
        about = f"{name}-1.dist-info"
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", "")
