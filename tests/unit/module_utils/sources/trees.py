"""Folders and repositories for the tests of sources, and the trees that result from them."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

from ansible_collections.slipway.kit.plugins.module_utils.sources import Tree, fetch


def ship(root: Path, cache: Path | None = None, **source: str) -> Tree:
    cache = cache or root.parent / "cache"
    return fetch({"path": str(root), **source}, requirements=None, base=root, cache=cache, log=lambda text: None)


def git(folder: Path, *arguments: str) -> str:
    options = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "protocol.file.allow=always")
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    result = subprocess.run(
        ["git", *options, *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True
    )
    return result.stdout.strip()


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def unpack(tree: Tree, folder: Path) -> dict[bytes, tarfile.TarInfo]:
    archive = folder / "tree.tar.gz"
    tree.write_tar(archive)
    with tarfile.open(archive) as tar:
        return {os.fsencode(member.name): member for member in tar}
