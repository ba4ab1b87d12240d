"""A static folder of which nothing is shipped: the message names the reason and the remedy."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.sources import fetch, served


@pytest.mark.parametrize(
    ("ignore", "built", "expected"),
    [
        ("dist/\n*.mo\n", True, "is 'web/dist', which is there but is not shipped, since git ignores it"),
        ("dist/\n", False, "it is built, and git ignores it; build it on the host by `build`"),
        ("**/dist\n", False, "it is built, and git ignores it"),
        ("*.mo\n", False, "which the source does not have; correct it"),
        ("*.mo\n", True, None),
    ],
)
def test_why_a_static_folder_is_not_shipped(tmp_path: Path, ignore: str, built: bool, expected: str | None) -> None:
    root = tmp_path / "app"
    (root / "web").mkdir(parents=True)
    (root / "app.py").write_text("")
    (root / ".gitignore").write_text(ignore)
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    if built:
        (root / "web/dist").mkdir()
        (root / "web/dist/site.css").write_text("")
    source = {"path": "app"}
    tree = fetch(source, requirements=[], base=tmp_path, cache=tmp_path / "cache", log=print)
    reason = served.missing(tree, "web/dist", source, tmp_path)
    assert (reason or "").count(expected or "") > 0 if expected else reason is None


def test_a_folder_of_the_source_that_the_apps_own_hides_is_reported(tmp_path: Path) -> None:
    root = tmp_path / "app/backend"
    (root / "shared/media").mkdir(parents=True)
    (root / "shared/media/logo.png").write_text("")
    tree = fetch({"path": "app"}, requirements=[], base=tmp_path, cache=tmp_path / "cache", log=print)
    assert "write ./shared/media to serve the source's" in served.shadowed(tree, "shared/media", "backend")
    assert served.shadowed(tree, "shared/media", "") == ""
    assert served.shadowed(tree, "shared/files", "backend") == ""
