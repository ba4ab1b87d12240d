"""Tools are installed by hash, from the lock that the kit ships, and no code of a source package runs."""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.lookup import resolved
from ansible_collections.slipway.kit.plugins.module_utils.contract.errors import HostError
from ansible_collections.slipway.kit.plugins.module_utils.model import tools
from ansible_collections.slipway.kit.plugins.modules import tool


@pytest.mark.parametrize(("name", "version"), [("uv", tools.UV), ("supervisor", tools.SUPERVISOR)])
def test_the_lock_is_of_the_model_s_version_and_has_hashes(name: str, version: str) -> None:
    text = resolved.lock(name)
    names = [line.split(" ")[0] for line in text.splitlines() if not line.startswith(" ")]
    assert names == [f"{name}=={version}"], "both install nothing beside themselves"
    assert (resolved.LOCKS / f"{name}.in").read_text().split() == names
    hashes = re.findall(r"--hash=sha256:[0-9a-f]{64}\b", text)
    # uv has a wheel for each kind of machine and C library.
    assert len(hashes) >= (15 if name == "uv" else 2)


def test_the_controller_s_uv_is_the_hosts() -> None:
    controller = (resolved.LOCKS.parent / "controller.txt").read_text()
    assert f"\nuv=={tools.UV} " in controller
    assert set(re.findall(r"sha256:\w+", resolved.lock("uv"))) <= set(re.findall(r"sha256:\w+", controller))


def wheel(folder: Path) -> str:
    """A wheel of the package `gadget`; returns its hash."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("gadget.py", "")
        archive.writestr("gadget-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: gadget\nVersion: 1.0\n")
        archive.writestr("gadget-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("gadget-1.0.dist-info/RECORD", "")
    return put(folder, "gadget-1.0-py3-none-any.whl", out.getvalue())


def source(folder: Path, mark: Path) -> str:
    """A source package whose build leaves a mark; returns its hash."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in (
            (
                "setup.py",
                f"open({str(mark)!r}, 'w')\nfrom setuptools import setup\nsetup(name='gadget', version='1.0')\n",
            ),
            ("PKG-INFO", "Metadata-Version: 2.1\nName: gadget\nVersion: 1.0\n"),
        ):
            entry = tarfile.TarInfo(f"gadget-1.0/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return put(folder, "gadget-1.0.tar.gz", out.getvalue())


def put(folder: Path, name: str, data: bytes) -> str:
    place = folder / "simple/gadget"
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_bytes(data)
    links = "".join(f'<a href="{path.name}">{path.name}</a>' for path in place.iterdir() if path.suffix != ".html")
    (place / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    return {"url": f"file://{tmp_path}/simple"}


@pytest.mark.real
def test_a_wheel_of_the_lock_is_installed(tmp_path: Path, index: dict[str, str]) -> None:
    path = tmp_path / "tool"
    tool.install("gadget", f"gadget==1.0 --hash=sha256:{wheel(tmp_path)}\n", str(path), index)
    assert (path / ".complete").exists()
    assert subprocess.run([path / "bin/python", "-c", "import gadget"], check=False).returncode == 0


@pytest.mark.real
def test_another_file_than_the_lock_s_is_refused(tmp_path: Path, index: dict[str, str]) -> None:
    digest = wheel(tmp_path)
    with pytest.raises(HostError) as caught:
        tool.install("gadget", f"gadget==1.0 --hash=sha256:{'0' * 64}\n", str(tmp_path / "tool"), index)
    assert str(caught.value) == (
        f"gadget was not installed: the package index gave a file with the hash sha256:{digest}, which is not in the kit's "
        "lock. Find out what changed it, the index or a proxy before it"
    )
    assert not (tmp_path / "tool").exists()


@pytest.mark.real
def test_a_source_package_is_never_built(tmp_path: Path, index: dict[str, str]) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(HostError, match="the package index has no wheel of it for this host"):
        tool.install("gadget", f"gadget==1.0 --hash=sha256:{source(tmp_path, mark)}\n", str(tmp_path / "tool"), index)
    assert not mark.exists()
    assert not (tmp_path / "tool").exists()


def test_pip_looks_for_few_versions_of_glibc(tmp_path: Path) -> None:
    """pip compares every file of an index page with every tag that it may take, so few tags make it quick."""
    code = "from packaging import tags; print(*{tag.platform for tag in tags.sys_tags()}, sep='\\n')"
    platforms = []
    for glibc in ("", tool.GLIBC):
        (tmp_path / "_manylinux.py").write_text(glibc)
        words = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"]
        platforms.append(set(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()))
    every, few = platforms
    assert few < every and len(few) < len(every) / 2
    assert {name for name in every if "_2_17_" in name or "manylinux2014" in name or name.startswith("linux_")} <= few
