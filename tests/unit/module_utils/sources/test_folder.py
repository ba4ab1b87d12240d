"""Folders: the shipped files, one hash for one content, and the archive that the host gets."""

from __future__ import annotations

import io
import os
import random
import re
import tarfile

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.sources import SourceError, fetch, version_label
from ansible_collections.slipway.kit.plugins.module_utils.sources.files import Entry, Files, resolve
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.module_utils.sources.trees import git, ship, unpack, write


def test_a_plain_folder_leaves_clutter_behind(tmp_path):
    root = write(
        tmp_path / "app",
        {
            "app.py": "x",
            "shop/views.py": "x",
            "shop/env/__init__.py": "",  # a package that only shares the name
            ".gitignore": "x",
            "venv/bin/python": "x",
            "myenv/pyvenv.cfg": "x",
            "myenv/lib/a.py": "x",
            "env/lib/a.py": "x",
            "node_modules/a.js": "x",
            "__pycache__/app.pyc": "x",
            "shop/old.pyc": "x",
            ".git_is_not/config": "x",
            ".mypy_cache/x": "x",
            "shop/.DS_Store": "x",
        },
    )
    tree = ship(root)
    assert tree.files == [".git_is_not/config", ".gitignore", "app.py", "shop/env/__init__.py", "shop/views.py"]
    assert (tree.version, tree.revision, tree.warnings) == ("local", None, [])
    assert ship(root, version="2.0 beta/1").version == "2.0-beta-1"


def test_secret_files_are_left_out_with_a_warning(tmp_path):
    root = write(tmp_path / "app", {"app.py": "", ".env": "K=hunter2", "sub/.env.local": "K=2", ".env.example": "K="})
    tree = ship(root)
    assert tree.files == [".env.example", "app.py"]
    assert len(tree.warnings) == 2
    assert "/.env.local is left out" in tree.warnings[1].replace("sub", "")
    assert "hunter2" not in "".join(tree.warnings)


def test_a_work_tree_ships_what_git_would_commit(tmp_path):
    root = write(
        tmp_path / "app", {"app.py": "1", "gone.py": "", "ignored.log": "", "venv/x.py": "", ".gitignore": "*.log"}
    )
    write(root, {"node_modules/kept.js": "tracked on purpose"})
    git(root, "init", "-q")
    git(root, "add", "app.py", "gone.py", ".gitignore", "node_modules")
    git(root, "commit", "-qm", "x")
    (root / "gone.py").unlink()
    write(root, {"new.py": "", "new.pyc": "", "dir/sub.py": ""})
    assert ship(root).files == [".gitignore", "app.py", "dir/sub.py", "new.py", "node_modules/kept.js"]
    assert ship(root / "dir").files == ["sub.py"]


def test_a_folder_that_its_repository_ignores_ships_whole(tmp_path):
    root = write(tmp_path / "app", {"build/app.py": "", ".gitignore": "build/"})
    git(root, "init", "-q")
    assert ship(root / "build").files == ["app.py"]


def test_nested_repositories_and_submodules_are_part_of_a_work_tree(tmp_path):
    library = write(tmp_path / "library", {"lib.py": "", "lib.log": "", ".gitignore": "*.log"})
    git(library, "init", "-q")
    git(library, "add", ".")
    git(library, "commit", "-qm", "x")
    root = write(tmp_path / "app", {"app.py": ""})
    git(root, "init", "-q")
    git(root, "submodule", "--quiet", "add", str(library), "libs/one")
    git(root, "clone", "-q", str(library), "two")
    write(root / "libs/one", {"more.py": "", "x.log": ""})
    one, two = ["libs/one/.gitignore", "libs/one/lib.py", "libs/one/more.py"], ["two/.gitignore", "two/lib.py"]
    assert ship(root).files == [".gitmodules", "app.py", *one, *two]
    git(root, "submodule", "deinit", "-f", "libs/one")
    with pytest.raises(SourceError, match="nothing is there of the submodule libs/one: run `git submodule update"):
        ship(root)
    (root / ".gitmodules").unlink()  # and one that git tracks, and no file names
    tree = ship(root)
    assert tree.files == ["app.py", *two]
    assert "submodule libs/one is not checked out" in tree.warnings[0]


def test_a_link_in_place_of_a_tracked_folder_is_not_followed(tmp_path):
    outside = write(tmp_path / "outside", {"passwd": "secret"})
    root = write(tmp_path / "app", {"conf/passwd": "mine", "app.py": ""})
    git(root, "init", "-q")
    git(root, "add", ".")
    (root / "conf/passwd").unlink()
    (root / "conf").rmdir()
    (root / "conf").symlink_to(outside)
    with pytest.raises(SourceError, match=r"conf is a link to .*outside"):
        ship(root)
    (root / "conf").unlink()
    write(root, {"new/passwd": "another"})
    (root / "conf").symlink_to("new")
    assert ship(root).files == ["app.py", "conf", "new/passwd"]


def test_a_repository_cannot_make_git_run_commands(tmp_path):
    root = write(tmp_path / "app", {"app.py": ""})
    git(root, "init", "-q")
    git(root, "config", "core.fsmonitor", f"touch {tmp_path}/owned; false")
    git(root, "config", "core.hooksPath", str(tmp_path))
    assert ship(root).files == ["app.py"]
    assert not (tmp_path / "owned").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give the files away")
def test_a_work_tree_of_another_user_is_read(tmp_path):
    root = write(tmp_path / "app", {"app.py": "", "x.log": "", ".gitignore": "*.log"})
    git(root, "init", "-q")
    for path in [root, *root.rglob("*")]:
        os.chown(path, 12345, 12345)
    assert ship(root).files == [".gitignore", "app.py"]


def test_git_variables_of_a_hook_do_not_lead_elsewhere(tmp_path, monkeypatch):
    root = write(tmp_path / "app", {"app.py": ""})
    git(root, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "nowhere/index"))
    assert ship(root).files == ["app.py"]


STRANGE = [
    b"new\nline.py",
    b"bad\xff\xfebytes",
    "snow\u2603 \U0001f600.txt".encode(),
    b"-rf",
    b" lead",
    b"tab\t",
    b"quo'\"te",
    b"a\\b",
]


@pytest.mark.parametrize("repository", [False, True])
def test_strange_names_arrive_as_they_are(tmp_path, repository):
    root = os.fsencode(tmp_path / "app")
    os.mkdir(root)
    os.mkdir(root + b"/dir\xff")
    names = sorted([*STRANGE, b"dir\xff/x" + b"y" * 200])
    for name in names:
        with open(os.path.join(root, name), "wb") as file:
            file.write(name)
    os.symlink(b"bad\xff\xfebytes", root + b"/link\n")
    if repository:
        git(tmp_path / "app", "init", "-q")
        git(tmp_path / "app", "add", "-A")
    tree = ship(tmp_path / "app")
    assert [os.fsencode(name) for name in tree.files] == sorted([*names, b"link\n"])
    members = unpack(tree, tmp_path)
    assert set(members) == {*names, b"link\n", b"dir\xff"}
    assert os.fsencode(members[b"link\n"].linkname) == b"bad\xff\xfebytes"
    assert os.fsencode(members[b"link\n"].name) == b"link\n"


def test_the_archive_holds_contents_and_tidy_modes(tmp_path):
    root = write(tmp_path / "app", {"run.sh": "#!", "a.py": "A" * 100000, "d/e/f.py": "F"})
    os.chmod(root / "run.sh", 0o4755)
    os.chmod(root / "a.py", 0o666)
    (root / "d/up").symlink_to("../a.py")
    (root / "dangling").symlink_to("not/there")
    tree = ship(root)
    members = unpack(tree, tmp_path)
    shown = {name.decode(): (m.type, oct(m.mode), m.uid, m.gid, m.uname, m.mtime) for name, m in members.items()}
    same = (0, 0, "root", 0)
    assert shown == {
        "a.py": (tarfile.REGTYPE, "0o644", *same),
        "d": (tarfile.DIRTYPE, "0o755", *same),
        "d/e": (tarfile.DIRTYPE, "0o755", *same),
        "d/e/f.py": (tarfile.REGTYPE, "0o644", *same),
        "d/up": (tarfile.SYMTYPE, "0o777", *same),
        "dangling": (tarfile.SYMTYPE, "0o777", *same),
        "run.sh": (tarfile.REGTYPE, "0o755", *same),
    }
    with tarfile.open(tmp_path / "tree.tar.gz") as tar:
        tar.extractall(tmp_path / "out", filter="data")
    assert (tmp_path / "out/d/up").read_text() == "A" * 100000


def test_hash_and_archive_ignore_time_umask_and_place(tmp_path):
    files = {"a.py": "1", "b/c.py": "2", "run": "3"}
    one, two = write(tmp_path / "one", files), tmp_path / "other/two"
    os.chmod(one / "run", 0o755)
    old = os.umask(0o077)
    try:
        write(two, dict(reversed(files.items())))
        os.chmod(two / "run", 0o700)
    finally:
        os.umask(old)
    os.utime(two / "a.py", (1, 1))
    (two / "empty").mkdir()
    first, second = ship(one), ship(two)
    assert first.hash == second.hash
    first.write_tar(tmp_path / "1")
    second.write_tar(tmp_path / "2")
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    assert (tmp_path / "1").read_bytes()[4:8] == bytes(4)  # gzip's own time (RFC 1952)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "a.py").write_text("2"),
        lambda root: (root / "a.py").rename(root / "b.py"),
        lambda root: (root / "a.py").chmod(0o755),
        lambda root: (root / "new").write_text(""),
        lambda root: ((root / "link").unlink(), (root / "link").symlink_to("b.py")),
        lambda root: ((root / "link").unlink(), (root / "link").write_text("a.py")),
    ],
)
def test_every_change_changes_the_hash(tmp_path, change):
    root = write(tmp_path / "app", {"a.py": "1"})
    (root / "link").symlink_to("a.py")
    before = ship(root).hash
    assert ship(root).hash == before
    change(root)
    assert ship(root).hash != before


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "sub/../../outside", "sub/loop/../x"])
def test_links_that_leave_the_source_are_refused(tmp_path, target):
    root = write(tmp_path / "app", {"sub/a.py": ""})
    (root / "sub/loop").symlink_to("..")  # inside; but its own parent is not
    (root / "evil").symlink_to(target)
    with pytest.raises(SourceError, match=r"evil is a link to .*, which is outside of the source"):
        ship(root)


def test_links_that_stay_are_kept(tmp_path):
    root = write(tmp_path / "app", {"sub/a.py": "", "requirements/prod.txt": "flask==3.1.3\n"})
    (root / "sub/loop").symlink_to("..")
    (root / "self").symlink_to("self")
    (root / "requirements.txt").symlink_to("sub/loop/requirements/prod.txt")
    tree = ship(root)
    assert "self" in tree.files
    assert tree.read("requirements.txt") == b"flask==3.1.3\n"
    assert tree.lock.kind == "requirements.txt"


def test_a_fifo_is_left_out_and_hangs_nothing(tmp_path):
    root = write(tmp_path / "app", {"a.py": ""})
    os.mkfifo(root / "pipe")
    tree = ship(root)
    assert tree.files == ["a.py"]
    assert "pipe is neither a file" in tree.warnings[0]


def test_a_file_that_changes_after_it_was_hashed_is_noticed(tmp_path):
    root = write(tmp_path / "app", {"a.py": "12", "b.py": "b"})
    for change in ("13", "123", "1"):
        (root / "a.py").write_text("12")
        tree = ship(root)
        (root / "a.py").write_text(change)
        with pytest.raises(SourceError, match=r"a\.py changed while"):
            tree.write_tar(tmp_path / "tree")
        with pytest.raises(SourceError, match=r"a\.py changed while"):
            tree.read("a.py")
    assert not list(tmp_path.glob("*tree*"))


def test_folders_that_are_missing_empty_or_files(tmp_path):
    with pytest.raises(SourceError, match=r"app does not exist; correct `path`"):
        ship(tmp_path / "app")
    (tmp_path / "app").mkdir()
    with pytest.raises(SourceError, match="no files to ship"):
        ship(tmp_path / "app")
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="file is not a folder"):
        ship(tmp_path / "file", tmp_path / "cache")


def test_folders_that_cannot_be_looked_at(tmp_path):
    with pytest.raises(SourceError, match="File name too long"):
        ship(tmp_path / ("x" * 300))
    with pytest.raises(SourceError, match="user who does not exist"):
        fetch({"path": "~nobody-here/x"}, requirements=None, base=tmp_path, cache=tmp_path / "c", log=print)


def test_a_cache_inside_the_source_is_not_shipped(tmp_path):
    root = write(tmp_path / "app", {"a.py": "", "kept/cache/x": ""})
    write(root, {"my/cache/x": ""})
    assert ship(root, root / "my/cache").files == ["a.py", "kept/cache/x"]


def test_sources_that_name_no_kind_or_two(tmp_path):
    for source in (
        {},
        {"path": "x", "git": "y"},
        {"path": 3},
        {"path": "a\nb"},
        {"path": "x", "version": 1.0},
        {"path": ""},
    ):
        with pytest.raises(SourceError, match="source"):
            fetch(source, requirements=None, base=tmp_path, cache=tmp_path / "c", log=print)


names = st.lists(
    st.binary(min_size=1, max_size=4)
    .map(lambda b: b.replace(b"/", b"_").replace(b"\0", b"0"))
    .filter(lambda b: b not in (b".", b"..")),
    min_size=1,
    max_size=3,
).map(b"/".join)


@given(
    st.dictionaries(names, st.tuples(st.sampled_from([b"f", b"x", b"l"]), st.binary(max_size=8)), max_size=5),
    st.randoms(),
)
@settings(max_examples=200, deadline=None)
def test_the_hash_tells_any_two_sets_of_files_apart(content: dict[bytes, tuple[bytes, bytes]], chance: random.Random):
    def build(items) -> Files:
        return Files(
            tuple(Entry(p, k, b"" if k == b"l" else d, target=d if k == b"l" else b"") for p, (k, d) in items), None
        )

    files = build(sorted(content.items()))
    assert build(sorted(content.items())).hash == files.hash
    if content:
        name = chance.choice(sorted(content))
        kind, data = content[name]
        for other in (
            {name: (kind, data + b"f")},
            {name: (b"x" if kind == b"f" else b"f", data)},
            {name + b"1": (kind, data)},
        ):
            changed = {**{k: v for k, v in content.items() if k != name}, **other}
            if changed != content:
                assert build(sorted(changed.items())).hash != files.hash


@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "c", "d"]),
        st.lists(st.sampled_from(["a", "b", "c", "d", "..", "."]), min_size=1, max_size=5),
    )
)
@settings(max_examples=150, deadline=None)
def test_resolving_agrees_with_the_kernel(tmp_path_factory, links: dict[str, list[str]]):
    """A link that counts as inside never reaches a file above the tree, and one that does counts as outside."""
    top = tmp_path_factory.mktemp("links")
    root = top / "root"
    root.mkdir()
    made = {name.encode(): "/".join(parts).encode() for name, parts in links.items()}
    for name, target in made.items():
        os.symlink(target, os.path.join(os.fsencode(root), name))
    for name in made:
        inside = resolve(made, name) is not None
        try:
            real = os.path.realpath(os.path.join(os.fsencode(root), name), strict=True)
        except OSError:
            continue  # leads nowhere
        if not (real + b"/").startswith(os.fsencode(root) + b"/"):
            assert not inside


@given(st.text(max_size=60))
def test_labels_fit_into_unit_names_and_paths(text):
    assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,38}[A-Za-z0-9])?", version_label(text))


@given(st.dictionaries(names, st.binary(max_size=2000), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_any_folder_comes_back_from_the_archive(tmp_path_factory, content):
    top = tmp_path_factory.mktemp("round")
    root = os.fsencode(top / "app")
    clutter = (b"*", b".", b"~", b"__")
    content = {f: d for f, d in content.items() if not any(p in f for p in clutter)}
    written = {}
    for name, data in content.items():
        try:
            os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
            with open(os.path.join(root, name), "wb") as file:
                file.write(data)
        except OSError:  # a name that is also a folder's
            continue
        written[name] = data
    if not written:
        return
    tree = ship(top / "app")
    tree.write_tar(top / "tar")
    with tarfile.open(top / "tar") as tar:
        back = {os.fsencode(m.name): (tar.extractfile(m) or io.BytesIO()).read() for m in tar if m.isreg()}
    assert back == written
