"""What git ignores and an app still needs: it is named, and `include` adds it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.model import checks
from ansible_collections.slipway.kit.plugins.module_utils.sources import SourceError, Tree, fetch, worktree

from tests.patience import patience


def ship(root: Path, *include: str) -> Tree:
    source = {"path": str(root), **({"include": list(include)} if include else {})}
    return fetch(source, requirements=[], base=root, cache=root.parent / "cache", log=lambda text: None)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A work tree whose .gitignore leaves out settings, built files, a package, clutter and a secret."""
    return work_tree(
        tmp_path / "app",
        {
            ".gitignore": "local_settings.py\ndist/\n/private/\nnode_modules/\n.env\nvenv/\n*.log\n",
            "manage.py": "import os\n",
            "shop/__init__.py": "",
            "shop/settings.py": "DEBUG = False\ntry:\n    from .local_settings import *\nexcept ImportError:\n    pass\n",
            "shop/local_settings.py": "DEBUG = True\n",
            "shop/static/site.css": "",
            "shop/static/dist/app.js": "",
            "private/__init__.py": "",
            "private/keys.py": "",
            "node_modules/x/index.js": "",
            "node_modules/x/node_modules/y/index.js": "",
            "venv/pyvenv.cfg": "",
            "venv/lib/x.py": "",
            ".env": "KEY=canary",
            "debug.log": "",
        },
    )


def work_tree(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    return root


def warnings(tree: Tree, below: str = "", **entry: Any) -> list[str]:
    return tree.lacking({"module": "shop.wsgi:application", **entry}, below)


# ------------------------------------------------------------------------------------------------------------ the words
def test_what_nothing_points_to_is_not_named(root: Path) -> None:
    (root / "shop/settings.py").write_text("")
    assert warnings(ship(root), static={"/static/": "docs"}) == []


def test_an_ignored_module_that_is_imported_is_named(root: Path) -> None:
    assert warnings(ship(root)) == [
        "shop/settings.py imports shop/local_settings.py, which git ignores, so that it is not shipped; if the host "
        "needs it, name it in `source.include: [shop/local_settings.py]`"
    ]


@pytest.mark.parametrize(
    "line",
    ["import private.keys", "from private import keys", "from private.keys import KEY", "def f():\n    import private.keys"],
)  # fmt: skip
def test_each_way_to_import(root: Path, line: str) -> None:
    (root / "shop/settings.py").write_text(f"{line}\n")
    [one] = warnings(ship(root))
    assert "private/keys.py" in one and "private/" in one


@pytest.mark.parametrize("line", ["# import private", "x = 'private'", "import not_private", "private.keys(", ""])
def test_what_is_no_import(root: Path, line: str) -> None:
    (root / "shop/settings.py").write_text(f"{line}\n")
    assert warnings(ship(root)) == []


def test_the_module_itself(root: Path) -> None:
    [one, _settings] = warnings(ship(root), module="private.keys:app")
    assert one.startswith("`module` names private/keys.py, which git ignores, so that it is not shipped; if the host")


def test_a_folder_that_is_no_package(root: Path) -> None:
    """Python imports from those, too."""
    (root / "private/__init__.py").unlink()
    (root / "private/data/deep").mkdir(parents=True)
    (root / "private/data/deep/x.py").write_text("")
    (root / "shop/settings.py").write_text("import private.keys, private.data.deep.x\n")
    [one] = warnings(ship(root))
    assert one.startswith("shop/settings.py imports private/keys.py, which git ignores")


def test_what_the_kit_writes_itself_is_not_lacking(root: Path) -> None:
    assert warnings(ship(root), files={"shop/local_settings.py": "files/settings.py.j2"}) == []


def test_a_part_of_a_static_folder(root: Path) -> None:
    (root / "shop/settings.py").write_text("")
    assert warnings(ship(root), static={"/static/": "shop/static"}) == [
        "of the static folder shop/static (/static/) shop/static/dist/ is not shipped, since git ignores it; if the host "
        "needs it, name it in `source.include: [shop/static/dist]`"
    ]


def test_in_the_app_s_own_folder(tmp_path: Path) -> None:
    files = {
        ".gitignore": "local.py\n",
        "backend/src/app.py": "import local\n",
        "backend/src/local.py": "",
        "frontend/local.py": "",
        "frontend/app.py": "import local\n",
    }
    [one] = warnings(ship(work_tree(tmp_path / "app", files)), "backend", module="app")
    assert one.startswith("backend/src/app.py imports backend/src/local.py, which")


def test_a_line_names_few(tmp_path: Path) -> None:
    names = [f"local{number}" for number in range(20)]
    files = {".gitignore": "local*\n", "app.py": "".join(f"import {name}\n" for name in names)}
    [one] = warnings(ship(work_tree(tmp_path / "app", {**files, **{f"{name}.py": "" for name in names}})))
    assert one.startswith("app.py imports local") and ", and 19 more such imports, which git" in one
    assert len(one) < 300


# ----------------------------------------------------------------------------------------------------------- `include`
def test_what_is_named_is_shipped(root: Path) -> None:
    before = ship(root)
    tree = ship(root, "shop/local_settings.py", "shop/static/dist/", "node_modules")
    assert set(tree.files) - set(before.files) == {
        "shop/local_settings.py",
        "shop/static/dist/app.js",
        "node_modules/x/index.js",
        "node_modules/x/node_modules/y/index.js",
    }
    assert tree.hash != before.hash
    assert warnings(tree, static={"/static/": "shop/static"}) == []


def test_a_change_of_what_is_named_is_another_release(root: Path) -> None:
    before = ship(root, "shop/local_settings.py").hash
    (root / "shop/local_settings.py").write_text("DEBUG = None\n")
    assert ship(root, "shop/local_settings.py").hash != before


def test_some_things_are_left_out_all_the_same(root: Path) -> None:
    for name in (
        "private/.git/config",
        "private/venv/pyvenv.cfg",
        "private/venv/lib/x.py",
        "private/__pycache__/x.pyc",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    (root / "private/.env").write_text("KEY=canary")
    tree = ship(root, "private")
    assert [name for name in tree.files if name.startswith("private/")] == ["private/__init__.py", "private/keys.py"]
    assert any("private/.env is left out" in text for text in tree.warnings)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shop/statics", "names shop/statics, which is not there; build it, or correct the name"),
        (".env", "names .env, and such files hold secrets"),
        ("venv", "names venv, a virtualenv, which works only where it was made"),
        (".git", "names .git, which no release holds"),
        ("private/.git/config", "which no release holds"),
        ("empty", "names empty, a folder without files"),
        ("link/passwd", "names link/passwd, which is not there"),
    ],
)
def test_what_cannot_be_named(root: Path, name: str, message: str) -> None:
    (root / "empty").mkdir()
    (root / "private/.git").mkdir()
    (root / "private/.git/config").write_text("")
    (root / "link").symlink_to("/etc")
    with pytest.raises(SourceError) as caught:
        ship(root, name)
    assert message in str(caught.value)


def test_a_link_that_leads_out_is_refused(root: Path) -> None:
    (root / "private/out").symlink_to("/etc/passwd")
    with pytest.raises(SourceError, match=r"private/out is a link to /etc/passwd, which is outside"):
        ship(root, "private")


def test_it_takes_clutter_in_where_there_is_no_git(root: Path) -> None:
    subprocess.run(["rm", "-r", str(root / ".git")], check=True)
    assert "node_modules/x/index.js" in ship(root, "node_modules").files
    assert "node_modules/x/index.js" not in ship(root).files


def test_it_belongs_to_a_folder() -> None:
    assert checks.source({"path": "x", "include": ["dist"]}) is None
    assert "goes with `path` only" in str(checks.source({"git": "x", "version": "v1", "include": ["dist"]}))


# ---------------------------------------------------------------------------------------------------- what git waits for
def test_a_pipe_as_ignore_file_is_named_at_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worktree, "FIRST", 0.5)
    os.mkfifo(root / "shop/static/.gitignore")
    begun = time.monotonic()
    with pytest.raises(
        SourceError, match=r"shop/static/\.gitignore is not a file, and git would wait for it; remove it"
    ):
        ship(root)
    assert time.monotonic() - begun < patience(20)


@pytest.mark.parametrize("forced", [False, True])
def test_a_source_within_an_ignored_folder_is_shipped(tmp_path: Path, forced: bool) -> None:
    """As a build's output is; git tracks of it only what a user has added with force."""
    root = work_tree(tmp_path / "app", {".gitignore": "/out/\n", "out/app/web.py": "", "out/app/more.py": ""})
    if forced:
        subprocess.run(["git", "-C", str(root), "add", "--force", "out/app/web.py"], check=True)
    tree = ship(root / "out/app")
    assert set(tree.files) == ({"web.py"} if forced else {"web.py", "more.py"})
