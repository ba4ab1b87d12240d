"""Static files of a release, and of several releases at the same time."""

from __future__ import annotations

import grp
import os
import stat
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.files import assets
from ansible_collections.slipway.kit.plugins.module_utils.sources import served

GROUP = grp.getgrgid(os.getgid()).gr_name
FOLDERS = {"/static/": "app/static", "/shop/media/": "media"}


def release(
    root: Path, name: str, files: dict[str, str], links: dict[str, str] | None = None, laid_out: bool = True
) -> Path:
    """A release with code, and with the static files that nginx serves."""
    path = root / "releases" / name
    for folder in FOLDERS.values():
        (path / "code" / folder).mkdir(parents=True)
    for file, text in files.items():
        (path / "code" / file).parent.mkdir(parents=True, exist_ok=True)
        (path / "code" / file).write_text(text)
    for file, leads_to in (links or {}).items():
        (path / "code" / file).parent.mkdir(parents=True, exist_ok=True)
        (path / "code" / file).symlink_to(leads_to)
    if laid_out:
        assets.lay_out(str(path), FOLDERS, GROUP)
    return path


def old_release(root: Path, name: str, files: dict[str, str], links: dict[str, str] | None = None) -> Path:
    """The same in the layout of earlier versions of the kit: links to the folders."""
    path = release(root, name, files, links, laid_out=False)
    (path / "static/shop").mkdir(parents=True)
    (path / "static/static").symlink_to(path / "code/app/static")
    (path / "static/shop/media").symlink_to(path / "code/media")
    return path


def tree(top: Path) -> dict[str, str]:
    """Every file and link below a folder, with its text."""
    return {
        str(path.relative_to(top)): f"-> {path.readlink()}" if path.is_symlink() else path.read_text()
        for path in top.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_urls_lead_to_hard_links_of_the_release_s_files(tmp_path: Path) -> None:
    path = release(tmp_path, "a", {"app/static/css/a.css": "a", "media/m.png": "m", "app/secret.py": "s"})
    assert tree(path / "static") == {"static/css/a.css": "a", "shop/media/m.png": "m"}
    assert os.path.samefile(path / "static/static/css/a.css", path / "code/app/static/css/a.css")
    assert [one for one in (path / "static").rglob("*") if one.is_symlink()] == []


def test_nginx_s_group_alone_may_pass(tmp_path: Path) -> None:
    top = release(tmp_path, "a", {}) / "static"
    assert (stat.S_IMODE(top.stat().st_mode), top.stat().st_gid) == (0o750, os.getgid())


def test_an_app_without_static_folders_has_no_tree(tmp_path: Path) -> None:
    path = release(tmp_path, "a", {}, laid_out=False)
    assets.lay_out(str(path), {}, GROUP)
    assert not (path / "static").exists()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = release(tmp_path, "a", {}, laid_out=False)
    with pytest.raises(assets.StaticError, match="there is no folder none to serve"):
        assets.lay_out(str(path), {"/x/": "none"}, GROUP)


def test_dotfiles_are_left_out(tmp_path: Path) -> None:
    files = [
        ".env",
        ".git/config",
        "css/.git/config",
        "css/.x.css.swp",
        "..odd",
        ".well-known/security.txt",
        "a.css",
        ".well-knownx/a",
    ]
    path = release(tmp_path, "a", {f"app/static/{name}": name for name in files})
    assert sorted(tree(path / "static/static")) == [".well-known/security.txt", "a.css"]


INSIDE = {
    "beside it": ("app/static/link", "a.css", "a.css"),
    "below it": ("app/static/link", "css/b.css", "css/b.css"),
    "above it": ("app/static/css/link", "../a.css", "../a.css"),
    "a folder": ("app/static/link", "css", "css"),
    "the folder itself": ("app/static/link", ".", "."),
    "its own folder, from within": ("app/static/css/link", "..", ".."),
    "out and in again": ("app/static/link", "../static/a.css", "a.css"),
    "through the code and in again": ("app/static/css/link", "../../../app/static/a.css", "../a.css"),
    "nothing": ("app/static/link", "css/none", "css/none"),
}


@pytest.mark.parametrize("kind", INSIDE)
def test_a_link_that_stays_inside_is_made_again(tmp_path: Path, kind: str) -> None:
    link, leads_to, again = INSIDE[kind]
    path = release(tmp_path, "a", {"app/static/a.css": "a", "app/static/css/b.css": "b"}, {link: leads_to})
    published = tree(path / "static/static")
    assert published.pop(link.removeprefix("app/static/")) == f"-> {again}"
    assert published == {"a.css": "a", "css/b.css": "b"}


def test_a_link_to_a_link_leads_to_the_end_of_both(tmp_path: Path) -> None:
    links = {"app/static/one": "two", "app/static/two": "css/three", "app/static/css/three": "../a.css"}
    path = release(tmp_path, "a", {"app/static/a.css": "a"}, links)
    assert tree(path / "static/static") == {
        "a.css": "a",
        "one": "-> a.css",
        "two": "-> a.css",
        "css/three": "-> ../a.css",
    }


OUTSIDE = {
    "the folder above": {"app/static/link": ".."},
    "another folder of the code": {"app/static/link": "../settings.py"},
    "a neighbour that begins alike": {"app/static/link": "../static-private/key"},
    "an absolute path": {"app/static/link": "/etc/passwd"},
    "the root": {"app/static/link": "/"},
    "nothing, outside": {"app/static/link": "../none"},
    "a link to a link": {"app/static/link": "other", "app/static/other": "../settings.py"},
    "through a link that stays": {"app/static/link": "css/up/../settings.py", "app/static/css/up": ".."},
    "through a link out and back by name": {"app/static/link": "../out/settings.py", "app/out": "."},
    "deep below": {"app/static/css/deep/link": "../../../settings.py"},
    "another static folder": {"app/static/link": "../../media"},
    "the environment": {"app/static/link": "../../../environment.json"},
    "the process": {"app/static/link": "/proc/self/environ"},
}


@pytest.mark.parametrize("kind", OUTSIDE)
def test_a_link_that_leaves_its_folder_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    files = {"app/settings.py": "KEY", "app/static-private/key": "k", "app/static/css/b.css": "b", "media/m.png": "m"}
    path = release(tmp_path, "a", files, OUTSIDE[kind], laid_out=False)
    with pytest.raises(
        assets.StaticError,
        match=r"^app/static/\S+, in a static folder, is a link to .*, which leads out of that folder",
    ):
        assets.lay_out(str(path), FOLDERS, GROUP)


def early(links: dict[str, str]) -> str | None:
    """What the controller reports about it."""
    return served.fault({path.encode(): target.encode() for path, target in links.items()}, "app/static")


@pytest.mark.parametrize("kind", OUTSIDE)
def test_the_controller_refuses_it_before_any_host_is_touched(kind: str) -> None:
    assert "which leads out of that folder" in (early(OUTSIDE[kind]) or "")


@pytest.mark.parametrize("kind", INSIDE)
def test_the_controller_lets_pass_what_the_host_does(kind: str) -> None:
    link, leads_to, _again = INSIDE[kind]
    assert early({link: leads_to}) is None
    assert early({"app/static/.hidden/link": "/etc", "app/other": "/etc"}) is None


@pytest.mark.parametrize(
    "links", [{"app/static/a": "a"}, {"app/static/a": "b", "app/static/b": "./a"}, {"app/static/a": "a/x"}]
)
def test_a_circle_is_refused_by_name(tmp_path: Path, links: dict[str, str]) -> None:
    path = release(tmp_path, "a", {}, links, laid_out=False)
    with pytest.raises(
        assets.StaticError, match=r"^app/static/[ab], in a static folder, is a link to .*, which leads in a circle"
    ):
        assets.lay_out(str(path), FOLDERS, GROUP)


def test_a_link_to_a_dotfile_is_left_out(tmp_path: Path) -> None:
    path = release(tmp_path, "a", {"app/static/.env": "KEY"}, {"app/static/env": ".env"})
    assert tree(path / "static/static") == {}


def test_a_static_folder_may_be_a_link_within_the_code_only(tmp_path: Path) -> None:
    path = release(tmp_path, "a", {"build/dist/a.css": "a"}, {"public": "build/dist", "out": "/etc"}, laid_out=False)
    assets.lay_out(str(path), {"/static/": "public"}, GROUP)
    assert tree(path / "static") == {"static/a.css": "a"}
    (path / "static/static/a.css").unlink()
    with pytest.raises(assets.StaticError, match="the static folder out leads out of the source"):
        assets.lay_out(str(release(tmp_path, "b", {}, {"out": "/etc"}, laid_out=False)), {"/static/": "out"}, GROUP)


def test_what_is_no_file_is_left_out(tmp_path: Path) -> None:
    path = release(tmp_path, "a", {"app/static/a.css": "a"}, laid_out=False)
    os.mkfifo(path / "code/app/static/pipe")
    assets.lay_out(str(path), FOLDERS, GROUP)
    assert [one.name for one in (path / "static/static").iterdir()] == ["a.css"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_longer_prefix_has_its_place_to_itself(tmp_path: Path, order: int) -> None:
    files = {
        "app/static/a.css": "a",
        "app/static/admin/old.css": "old",
        "app/static/deep": "a file in the way",
        "vendor/admin.css": "new",
    }
    path = release(tmp_path, "a", files, {"app/static/own": "."}, laid_out=False)
    folders = {
        "/static/": "app/static",
        "/static/admin/": "vendor",
        "/static/deep/er/": "vendor",
        "/static/own/": "vendor",
    }
    assets.lay_out(str(path), dict(list(folders.items())[::order]), GROUP)
    assert tree(path / "static/static") == {
        "a.css": "a", "admin/admin.css": "new", "deep/er/admin.css": "new", "own/admin.css": "new"
    }  # fmt: skip


def test_files_of_earlier_releases_stay_and_the_last_release_wins(tmp_path: Path) -> None:
    old = release(tmp_path, "a", {"app/static/a.1.css": "old", "app/static/same.css": "old"})
    new = release(tmp_path, "b", {"app/static/b.2.css": "new", "app/static/same.css": "new"})
    for path in (old, new):
        assets.publish(str(tmp_path), str(path), FOLDERS)
    assert tree(tmp_path / "assets/static") == {"a.1.css": "old", "b.2.css": "new", "same.css": "new"}
    assert os.path.samefile(tmp_path / "assets/static/b.2.css", new / "code/app/static/b.2.css")


def test_a_compressed_copy_belongs_to_the_release_of_its_file(tmp_path: Path) -> None:
    old = release(tmp_path, "a", {"app/static/a.css": "old", "app/static/a.css.gz": "old", "app/static/b.css.gz": "b"})
    new = release(tmp_path, "b", {"app/static/a.css": "new"})
    for path in (old, new):
        assets.publish(str(tmp_path), str(path), FOLDERS)
    assert tree(tmp_path / "assets/static") == {"a.css": "new", "b.css.gz": "b"}


def test_what_is_a_file_once_and_a_folder_then_stays_what_it_was(tmp_path: Path) -> None:
    for name, files in (("a", ["x", "y/z"]), ("b", ["x/z", "y", "new"]), ("c", ["x", "y/z"])):
        assets.publish(
            str(tmp_path), str(release(tmp_path, name, {f"app/static/{file}": name for file in files})), FOLDERS
        )
    assert tree(tmp_path / "assets/static") == {"x": "c", "y/z": "c", "new": "b"}


def test_what_no_kept_release_has_is_unneeded(tmp_path: Path) -> None:
    old, new = release(tmp_path, "a", {"app/static/a.css": "old"}), release(tmp_path, "b", {"app/static/b.css": "new"})
    for path in (old, new):
        assets.publish(str(tmp_path), str(path), FOLDERS)
    assert assets.unneeded(str(tmp_path), [(str(old), FOLDERS), (str(new), FOLDERS)]) == []
    assert assets.unneeded(str(tmp_path), [(str(new), FOLDERS)]) == [str(tmp_path / "assets/static/a.css")]


def test_a_link_is_published_as_the_file_that_it_leads_to(tmp_path: Path) -> None:
    path = release(
        tmp_path, "a", {"app/static/css/a.css": "a"}, {"app/static/a.css": "css/a.css", "app/static/all": "css"}
    )
    assets.publish(str(tmp_path), str(path), FOLDERS)
    assert tree(tmp_path / "assets/static") == {"a.css": "a", "css/a.css": "a"}


def test_of_a_release_of_an_older_kit_nothing_is_published_that_is_outside_or_hidden(tmp_path: Path) -> None:
    links = {"app/static/passwd": "/etc/passwd", "app/static/settings": "../settings.py", "app/static/all": ".."}
    path = old_release(
        tmp_path, "a", {"app/settings.py": "KEY", "app/static/.env": "KEY", "app/static/a.css": "a"}, links
    )
    assets.publish(str(tmp_path), str(path), FOLDERS)
    assert tree(tmp_path / "assets") == {"static/a.css": "a"}


def test_what_an_older_kit_published_besides_is_unneeded(tmp_path: Path) -> None:
    path = old_release(tmp_path, "a", {"app/static/.env": "KEY", "app/static/a.css": "a"})
    (tmp_path / "assets/static").mkdir(parents=True)
    for name in (".env", "a.css"):
        os.link(path / "code/app/static" / name, tmp_path / "assets/static" / name)
    assert assets.unneeded(str(tmp_path), [(str(path), FOLDERS)]) == [str(tmp_path / "assets/static/.env")]
