"""Dependencies: the file that decides, and a hash of everything that affects the installation."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.sources import Dependencies, SourceError, fetch
from ansible_collections.slipway.kit.plugins.module_utils.sources.requirements import local_path
from hypothesis import given
from hypothesis import strategies as st

UV = """
version = 1
[[package]]
name = "shop"
version = "0.1.0"
source = { editable = "." }
[[package]]
name = "flask"
source = { registry = "https://index.example/simple" }
wheels = [{ url = "https://x/flask.whl", hash = "sha256:00" }]
"""
PROJECT = '[project]\nname = "shop"\nversion = "1"\ndependencies = ["flask"]\n'
PYLOCK = """
lock-version = "1.0"
[[packages]]
name = "flask"
wheels = [{ url = "https://x/flask.whl", hashes = { sha256 = "00" } }]
"""


@pytest.fixture
def lock(tmp_path: Path):
    def detected(files: dict[str, str | bytes], requirements=None) -> Dependencies:
        root = tmp_path / "app"
        for old in sorted(root.rglob("*"), reverse=True):
            old.rmdir() if old.is_dir() else old.unlink()
        for name, content in {"app.py": "", **files}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content.encode() if isinstance(content, str) else content)
        tree = fetch({"path": "app"}, requirements=requirements, base=tmp_path, cache=tmp_path / "c", log=print)
        detected.warnings = tree.warnings
        return tree.lock

    return detected


def test_the_order(lock):
    files = {"uv.lock": UV, "pyproject.toml": PROJECT, "pylock.toml": PYLOCK, "requirements.txt": "flask\n"}
    for name in ("uv.lock", "pylock.toml", "requirements.txt", "pyproject.toml"):
        dependencies = lock(files)
        assert (dependencies.kind, dependencies.path) == (name, name)
        del files[name]
        if name == "uv.lock":
            assert dependencies.hashed
    dependencies = lock(files)
    assert (dependencies.kind, dependencies.path, dependencies.hashed, dependencies.local) == (
        "none",
        None,
        True,
        False,
    )


def test_a_choice_of_the_user(lock):
    files = {
        "requirements.txt": "a\n",
        "req/prod.txt": "b==1 --hash=sha256:00\n",
        "back/uv.lock": UV,
        "back/pyproject.toml": PROJECT,
    }
    dependencies = lock(files, "req/prod.txt")
    assert (dependencies.kind, dependencies.path, dependencies.hashed) == ("requirements.txt", "req/prod.txt", True)
    assert lock(files, "back/uv.lock").kind == "uv.lock"
    dependencies = lock(files, ["flask==3.1.3", "tenacity"])
    assert (dependencies.kind, dependencies.path, dependencies.hashed, dependencies.lines) == (
        "list",
        None,
        False,
        ("flask==3.1.3", "tenacity"),
    )
    assert lock(files, ["tenacity"]).hash != dependencies.hash
    assert lock(files, []).kind == "none"


@pytest.mark.parametrize(
    ("requirements", "message"),
    [
        ("missing.txt", r"missing\.txt is not among the files that are shipped"),
        ("../x.txt", "is not inside the source"),
        ("/etc/passwd", "is not inside the source"),
        (".", "is not inside the source"),
        ("conda.lock", "format that is not read"),
        (["-r x.txt"], "is no requirement"),
        (["a\n-r x"], "is no requirement"),
        ([""], "is no requirement"),
        ([3], "is no requirement"),
        (["../shop"], "which is not inside the source"),
    ],
)
def test_choices_that_cannot_be(lock, requirements, message):
    with pytest.raises(SourceError, match=message):
        lock({"conda.lock": ""}, requirements)


def test_includes_are_part_of_the_hash(lock):
    files = {
        "requirements.txt": "# all\n-r req/base.txt\nflask  # why not\n",
        "req/base.txt": "--requirement=more.txt\n-c ../constraints.txt\n-rself.txt\n",
        "req/more.txt": "django==5.0\n",
        "req/self.txt": "-r base.txt\n",
        "constraints.txt": "urllib3<3\n",
        "other.txt": "x",
    }
    before = lock(files)
    for name in files:
        after = lock({**files, name: files[name] + "# changed\n"})
        assert (after.hash == before.hash) == (name == "other.txt"), name
    assert not before.local
    assert lock({**files, "uv.toml": "no-index = true\n"}).hash != before.hash


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-r base.txt", r"requirements\.txt line 2 includes base\.txt, which is not among the files"),
        ("-c ../base.txt", r"line 2 includes \.\./base\.txt, which is not inside the source"),
        ("--constraint /etc/c.txt", "which is not inside the source"),
        ("-r https://example.com/r.txt", "which is no file of the source"),
        ("-r ${HOME}/r.txt", "which is no file of the source"),
        ("-e ../lib", r"asks for \.\./lib, which is not inside the source"),
        ("./../lib", "which is not inside the source"),
        ("lib @ file:///srv/lib", r"line 2 names lib by the path /srv/lib, .*: lib==<version>"),
        ("pkg_resources==0.0.0", r"line 2 names pkg-resources==0\.0\.0, which is no package .*; remove the line"),
        ("pywin32==306", "line 2 names pywin32, which is for Windows alone; remove it, or write"),
        ("~/lib", "which is not inside the source"),
        ("--find-links ../wheels", "which is not inside the source"),
    ],
)
def test_what_cannot_be_shipped_is_an_error(lock, line, message):
    with pytest.raises(SourceError, match=message):
        lock({"requirements.txt": f"flask\n{line}\n"})


@pytest.mark.parametrize(
    "line",
    [
        ".",
        "-e .",
        "-e.[dev]",
        "./lib",
        "lib/",
        "--editable ./lib",
        "lib @ file:./lib",
        "file:./lib",
        "wheels/a-1-py3-none-any.whl",
        "-f wheels",
        "-e lib",
        '.[a] ; python_version > "3"',
    ],
)
def test_local_projects_make_the_whole_tree_count(lock, line):
    files = {"requirements.txt": f"{line}\n", "lib/setup.py": "1", "wheels/a-1-py3-none-any.whl": "x"}
    before = lock(files)
    assert before.local
    assert lock({**files, "lib/setup.py": "2"}).hash != before.hash


@pytest.mark.parametrize(
    "line",
    [
        "flask",
        "flask>=3,<4",
        "a @ https://x/a.whl",
        "https://x/a.tar.gz",
        "-i https://x/simple",
        "--extra-index-url https://x/y",
        "-f https://x/",
        'flask[async]; sys_platform == "a/b"',
    ],
)
def test_other_requirements_do_not(lock, line):
    files = {"requirements.txt": f"{line}\n", "lib/setup.py": "1"}
    before = lock(files)
    assert not before.local
    assert lock({**files, "lib/setup.py": "2"}).hash == before.hash


@pytest.mark.parametrize(
    ("text", "hashed"),
    [
        ("a==1 --hash=sha256:00\n", True),
        ("a==1 \\\n    --hash=sha256:00 \\\n    --hash=sha256:01\nb==2 --hash sha256:00\n", True),
        ("a==1 --hash=sha256:00\nb==2\n", False),
        ("a==1 # --hash=sha256:00\n", False),
        ("-c c.txt\na==1 --hash=sha256:00\n", True),
        ("# nothing\n\n", True),
        ("-e .\n", False),
        ("\ufeff-c c.txt\r\na==1 --hash=sha256:00\r\n", True),
    ],
)
def test_hashed(lock, text, hashed):
    assert lock({"requirements.txt": text, "c.txt": "a<2\n"}).hashed is hashed


@pytest.mark.parametrize(
    ("files", "requirements", "expected"),
    [
        ({"requirements.txt": "a==1\n"}, None, "requirements.txt has no hashes, so what is installed may change"),
        ({"needs/prod.txt": "a==1\n"}, "needs/prod.txt", "needs/prod.txt has no hashes"),
        ({"pyproject.toml": PROJECT}, None, "lock them with: uv lock"),
        ({}, ["a==1"], "the list `requirements` has no hashes"),
        ({"requirements.txt": "a==1 --hash=sha256:00\n"}, None, ""),
        ({"requirements.txt": "# nothing\n"}, None, ""),
        ({"uv.lock": UV, "pyproject.toml": PROJECT}, None, ""),
        ({"pylock.toml": PYLOCK}, None, ""),
        ({}, [], ""),
        ({"app.py": "1"}, None, ""),
    ],
)
def test_what_no_lock_decides_is_said_with_its_remedy(lock, files, requirements, expected):
    warning = lock(files, requirements).unlocked()
    assert expected in warning and bool(expected) == bool(warning)
    assert "\n" not in warning and ("uv " in warning or not warning)


def test_uv_lock(lock):
    files = {"uv.lock": UV, "pyproject.toml": PROJECT}
    before = lock(files)
    assert (before.kind, before.hashed, before.local) == ("uv.lock", True, False)
    assert lock({**files, "app.py": "changed"}).hash == before.hash
    assert lock({**files, "pyproject.toml": PROJECT + "# x"}).hash != before.hash
    assert lock({**files, "uv.lock": UV + "# x"}).hash != before.hash
    with pytest.raises(SourceError, match=r"uv\.lock needs a pyproject\.toml next to it"):
        lock({"uv.lock": UV})
    with pytest.raises(SourceError, match=r"uv\.lock is no valid TOML"):
        lock({**files, "uv.lock": "<<<<<<< HEAD"})
    assert not lock({**files, "uv.lock": UV.replace(', hash = "sha256:00"', "")}).hashed
    member = UV + '[[package]]\nname = "lib"\nsource = { editable = "packages/lib" }\n'
    assert lock({**files, "uv.lock": member}).local
    with pytest.raises(SourceError, match=r"uv\.lock asks for \.\./lib, which is not inside"):
        lock({**files, "uv.lock": member.replace("packages/lib", "../lib")})


def test_pylock(lock):
    assert lock({"pylock.toml": PYLOCK}).hashed
    assert not lock({"pylock.toml": PYLOCK.replace(', hashes = { sha256 = "00" }', "")}).hashed
    local = PYLOCK + '[[packages]]\nname = "lib"\n[packages.directory]\npath = "./lib"\n'
    assert lock({"pylock.toml": local}).local
    with pytest.raises(SourceError, match="not inside the source"):
        lock({"pylock.toml": local.replace("./lib", "../lib")})
    assert lock({"pylock.prod.toml": PYLOCK}, "pylock.prod.toml").kind == "pylock.toml"


def test_pyproject(lock):
    dependencies = lock({"pyproject.toml": PROJECT})
    assert (dependencies.kind, dependencies.hashed, dependencies.local) == ("pyproject.toml", False, False)
    assert lock({"pyproject.toml": PROJECT.replace('dependencies = ["flask"]', 'dynamic = ["dependencies"]')}).local
    assert lock({"pyproject.toml": PROJECT + '[tool.uv.sources]\nlib = { path = "lib" }\n'}).local
    assert lock({"pyproject.toml": PROJECT.replace('"flask"', '"lib @ file:./lib"')}).local
    assert lock({"pyproject.toml": "[tool.ruff]\n"}).kind == "none"
    assert lock({"pyproject.toml": "tool = 3\n"}).kind == "none"
    with pytest.raises(SourceError, match=r"no \[project\] table"):
        lock({"pyproject.toml": "[tool.ruff]\n"}, "pyproject.toml")
    with pytest.raises(SourceError, match="not inside the source"):
        lock({"pyproject.toml": PROJECT + '[tool.uv.sources]\nlib = { path = "../lib" }\n'})


@pytest.mark.parametrize(
    "files",
    [{"Pipfile": ""}, {"setup.py": ""}, {"pyproject.toml": "[tool.poetry.dependencies]\nflask='^3'\n"}],
)
def test_files_of_other_tools_are_named(lock, files):
    assert lock(files).kind == "none"
    assert "is not read, so nothing is installed from it; write what it asks for with: " in lock.warnings[0]


def test_bytes_that_are_no_text(lock):
    with pytest.raises(SourceError, match=r"requirements\.txt is not in UTF-8"):
        lock({"requirements.txt": b"\xff\xfef\0l\0"})
    with pytest.raises(SourceError, match="no valid TOML"):
        lock({"pyproject.toml": b"\xff"})


MONO = {"backend/app.py": "", "libs/pricing/setup.py": ""}


@pytest.fixture
def below(tmp_path: Path):
    """The dependencies of an app in a folder of its source."""

    def detected(files: dict[str, str], folder: str = "backend", **options) -> Dependencies:
        for name, content in {**MONO, **files}.items():
            (tmp_path / "mono" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "mono" / name).write_text(content)
        source = {"path": "mono", "folder": folder}
        options = {"requirements": None, **options}
        tree = fetch(source, base=tmp_path, cache=tmp_path / "c", log=print, **options)
        detected.warnings = tree.warnings
        return tree.lock

    return detected


def test_the_folder_of_an_app_comes_first(below):
    dependencies = below(
        {"backend/requirements.txt": "flask==3.1.3\n../libs/pricing\n", "requirements.txt": "django\n"}
    )
    assert (dependencies.path, dependencies.folder, dependencies.local) == ("backend/requirements.txt", "backend", True)
    assert dependencies.versions == {"flask": "3.1.3"}
    assert below({}, requirements="requirements.txt").path == "backend/requirements.txt"
    with pytest.raises(SourceError, match="`folder` front is not in it"):
        below({}, "front")
    with pytest.raises(SourceError, match=r"\.\./\.\./other, which is not inside"):
        below({"backend/requirements.txt": "../../other\n"})


def test_the_whole_source_comes_second(below):
    dependencies = below({"requirements.txt": "./libs/pricing\n"})
    assert (dependencies.path, dependencies.folder, dependencies.local) == ("requirements.txt", "", True)


def test_a_member_of_a_workspace_takes_its_lock(below):
    project = '[project]\nname = "Shop.web"\ndependencies = ["pricing"]\n'
    member = '\n[[package]]\nname = "shop-web"\nversion = "1"\nsource = { virtual = "backend" }\n'
    dependencies = below({"backend/pyproject.toml": project, "uv.lock": UV + member, "pyproject.toml": PROJECT})
    assert (dependencies.path, dependencies.member, dependencies.folder) == ("uv.lock", "shop-web", "")
    assert dependencies.hash != below({"backend/pyproject.toml": project + "# x"}).hash
    dependencies = below({"uv.lock": UV})
    assert (dependencies.path, dependencies.member) == ("backend/pyproject.toml", "")


def test_constraints(lock, below, tmp_path):
    files = {"requirements.txt": "flask\n", "limits.txt": "urllib3<3\n"}
    plain = lock(files)
    root = tmp_path / "app"

    def limited(constraints):
        return fetch(
            {"path": "app"}, requirements=None, constraints=constraints, base=tmp_path, cache=tmp_path / "c", log=print
        ).lock

    assert limited("limits.txt").constraints == ("limits.txt",)
    assert limited(["urllib3<3"]).constraints == ("", "urllib3<3")
    hashes = {plain.hash, limited("limits.txt").hash, limited(["urllib3<3"]).hash, limited(["urllib3<2"]).hash}
    assert len(hashes) == 4
    (root / "limits.txt").write_text("urllib3<2\n")
    assert limited("limits.txt").hash not in hashes
    with pytest.raises(SourceError, match=r"`constraints` gone\.txt is not among the files"):
        limited("gone.txt")
    lock({"uv.lock": UV, "pyproject.toml": PROJECT})
    with pytest.raises(SourceError, match=r"`constraints` can change nothing beside uv\.lock"):
        limited(["urllib3<3"])


def test_files_that_are_named_otherwise(lock):
    assert lock({"requirements/production.txt": "-r base.txt\n", "requirements/base.txt": "a==1\n"}).path == (
        "requirements/production.txt"
    )
    metadata = '[project]\nname = "shop"\nversion = "1"\n'
    assert lock({"requirements/base.txt": "a==1\n", "pyproject.toml": metadata}).path == "requirements/base.txt"
    assert lock({"deploy/requirements-live.txt": "a==1\n"}).kind == "none"
    assert "say so: `requirements: deploy/requirements-live.txt`" in lock.warnings[0]


def test_where_a_dependency_is_added(lock):
    assert lock({"requirements.txt": "a\n"}).place(package=False) == "requirements.txt"
    assert "beside `package`" in lock({"requirements.txt": "a\n"}).place(package=True)
    assert "lock again (uv lock)" in lock({"uv.lock": UV, "pyproject.toml": PROJECT}).place(package=False)
    assert "lock again (poetry lock)" in lock({"poetry.lock": ""}).place(package=False)
    assert lock({}, ["a"]).place(package=False) == "the app's list `requirements`"
    assert lock({}).place(package=False) == "a requirements.txt in the source"


@given(st.text())
def test_local_path_takes_any_text(text):
    path = local_path(text)
    assert path is None or isinstance(path, str)
