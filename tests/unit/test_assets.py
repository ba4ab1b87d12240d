"""Static files of several releases side by side."""

from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.slipway.kit.plugins.module_utils.host import assets

FOLDERS = {"/static/": "app/static", "/shop/media/": "media"}


def release(root: Path, name: str, files: dict[str, str]) -> Path:
    path = root / "releases" / name
    for folder in FOLDERS.values():
        (path / "code" / folder).mkdir(parents=True)
    for file, text in files.items():
        (path / "code" / file).parent.mkdir(parents=True, exist_ok=True)
        (path / "code" / file).write_text(text)
    return path


def test_urls_lead_to_the_releases_folders(tmp_path: Path) -> None:
    path = release(tmp_path, "a", {"app/static/css/a.css": "a", "media/m.png": "m"})
    assert assets.lay_out(str(path), FOLDERS) == []
    assert (path / "static/static/css/a.css").read_text() == "a"
    assert (path / "static/shop/media/m.png").read_text() == "m"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = release(tmp_path, "a", {})
    assert assets.lay_out(str(path), {"/x/": "none"}) == ["none"]


def test_files_of_earlier_releases_stay_and_the_last_release_wins(tmp_path: Path) -> None:
    old = release(tmp_path, "a", {"app/static/a.1.css": "old", "app/static/same.css": "old"})
    new = release(tmp_path, "b", {"app/static/b.2.css": "new", "app/static/same.css": "new"})
    for path in (old, new):
        assets.publish(str(tmp_path), str(path), FOLDERS)
    there = tmp_path / "assets/static"
    assert {name.name: name.read_text() for name in there.iterdir()} == {
        "a.1.css": "old",
        "b.2.css": "new",
        "same.css": "new",
    }
    assert os.path.samefile(there / "b.2.css", new / "code/app/static/b.2.css")


def test_what_no_kept_release_has_is_unneeded(tmp_path: Path) -> None:
    old, new = release(tmp_path, "a", {"app/static/a.css": "old"}), release(tmp_path, "b", {"app/static/b.css": "new"})
    for path in (old, new):
        assets.publish(str(tmp_path), str(path), FOLDERS)
    assert assets.unneeded(str(tmp_path), [(str(old), FOLDERS), (str(new), FOLDERS)]) == []
    assert assets.unneeded(str(tmp_path), [(str(new), FOLDERS)]) == [str(tmp_path / "assets/static/a.css")]


def test_links_are_not_published(tmp_path: Path) -> None:
    path = release(tmp_path, "a", {})
    (path / "code/app/static/passwd").symlink_to("/etc/passwd")
    assets.publish(str(tmp_path), str(path), FOLDERS)
    assert not (tmp_path / "assets").exists()
