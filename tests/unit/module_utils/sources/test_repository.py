"""git: branches, tags and commits through the cached mirror, and what must not get through."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.sources import SourceError, Tree, fetch
from ansible_collections.slipway.kit.plugins.module_utils.sources.cache import current_run
from ansible_collections.slipway.kit.plugins.module_utils.sources.errors import masked

from tests.unit.module_utils.sources.trees import git


def commit(folder: Path, name: str, content: str) -> str:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", f"{name} {content}")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "shop.git"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "app.py", "one")
    git(folder, "tag", "v1.0")
    commit(folder, "app.py", "two")
    git(folder, "tag", "-a", "v2.0", "-m", "annotated")
    return folder


@pytest.fixture
def ship(tmp_path: Path, repository: Path):
    def fetched(version: object, url: str | Path = repository, run: str | None = None) -> Tree:
        source = {"git": str(url), "version": version}
        return fetch(
            source, requirements=None, base=tmp_path, cache=tmp_path / "cache", log=fetched.log.append, run=run
        )

    fetched.log = []
    return fetched


def test_tags_branches_and_commits(ship, repository):
    head = git(repository, "rev-parse", "HEAD")
    first = git(repository, "rev-parse", "HEAD~")
    git(repository, "branch", "release/1.x", first)
    for ref, sha, label in [
        ("v1.0", first, "v1.0"),
        ("v2.0", head, "v2.0"),
        ("main", head, "main"),
        ("release/1.x", first, "release-1.x"),
        ("refs/tags/v1.0", first, "v1.0"),
        (first, first, first[:12]),
        (first[:9], first, first[:9]),
    ]:
        tree = ship(ref)
        assert (tree.revision, tree.version, tree.files) == (sha, label, ["app.py"]), ref
        assert tree.read("app.py") == (b"one" if sha == first else b"two")


def test_relative_folders_and_file_urls(ship, repository):
    assert ship("v1.0", "shop.git").hash == ship("v1.0", f"file://{repository}").hash


def test_a_tag_goes_before_a_branch_of_its_name(ship, repository):
    git(repository, "branch", "v1.0", "main")
    assert ship("v1.0").read("app.py") == b"one"


def test_a_branch_named_like_a_commit_is_not_taken_for_it(ship, repository):
    first = git(repository, "rev-parse", "v1.0")
    git(repository, "update-ref", f"refs/heads/{first}", "main")
    assert ship(first).revision == first


def test_a_moved_branch_and_a_moved_tag_are_followed_in_the_next_run(ship, repository):
    before = ship("main", run="1").revision
    third = commit(repository, "app.py", "three")
    git(repository, "tag", "-f", "v1.0")
    assert ship("main", run="1").revision == before  # every host of a run gets the same
    assert ship("main", run="2").revision == third
    assert ship("v1.0", run="2").read("app.py") == b"three"
    git(repository, "checkout", "-q", "--orphan", "new")
    commit(repository, "app.py", "rewritten")
    git(repository, "branch", "-f", "main")
    assert ship("main", run="3").read("app.py") == b"rewritten"


def test_a_branch_that_became_a_folder_of_branches(ship, repository):
    git(repository, "branch", "feature")
    ship("feature")
    git(repository, "branch", "-D", "feature")
    git(repository, "branch", "feature/a")
    assert ship("feature/a").version == "feature-a"


def test_a_known_commit_needs_no_network(ship, repository, tmp_path):
    sha = ship("v1.0").revision
    repository.rename(tmp_path / "away")
    (tmp_path / "shop.git").mkdir()
    assert ship(sha).read("app.py") == b"one"
    with pytest.raises(SourceError, match=r"Cannot fetch .*shop\.git: fatal: "):
        ship("v1.0")


def test_a_commit_on_no_branch_is_asked_for_by_name(ship, repository):
    git(repository, "checkout", "-q", "--detach")
    lost = commit(repository, "app.py", "lost")
    git(repository, "checkout", "-q", "main")
    git(repository, "config", "uploadpack.allowAnySHA1InWant", "true")
    assert ship(lost).read("app.py") == b"lost"
    git(repository, "update-ref", "refs/pull/7/head", lost)
    assert ship("refs/pull/7/head").revision == lost


def test_an_unknown_ref_names_a_likely_one(ship):
    with pytest.raises(SourceError, match=r"has no branch, tag or commit v2\.O; did you mean v2\.0\?$"):
        ship("v2.O")
    with pytest.raises(SourceError, match="correct `version`, or push it"):
        ship("0" * 40)


def test_an_unreachable_repository(ship, tmp_path):
    with pytest.raises(SourceError, match="does not exist; correct `git`"):
        ship("main", tmp_path / "nothing")
    with pytest.raises(SourceError, match=r"Cannot fetch http://127\.0\.0\.1:9/x: fatal: unable to access .*connect"):
        ship("main", "http://127.0.0.1:9/x")
    with pytest.raises(SourceError, match="Cannot fetch") as caught:
        ship("main", "http://user:hunter2@127.0.0.1:9/x")
    assert "hunter2" not in str(caught.value)
    assert not any("hunter2" in line for line in ship.log)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "ref",
    [
        "-v",
        "--upload-pack=touch x",
        "a b",
        "a\nb",
        "a..b",
        "main~1",
        "main^",
        "a:b",
        "x@{1}",
        "/x",
        "x/",
        "a//b",
        "x.lock",
        "",
        1.0,
        None,
    ],
)
def test_refs_that_are_none_are_refused(ship, ref):
    with pytest.raises(SourceError, match="version"):
        ship(ref)
    assert ship.log == []


@pytest.mark.parametrize(
    "url",
    [
        "-oProxyCommand=touch owned",
        "--upload-pack=touch owned",
        "ext::sh -c touch% owned",
        "fd::3",
        "ftp://example.com/x",
        "EXT::sh",
        "ssh://-oProxyCommand=touch/x",
        "ssh://user@-oProxyCommand=touch/x",
        "-x@host:path",
        "user@-host:path",
        "https://example.com/a\nb",
        "https://example.com/\x1b[31m",
        "testgit::x",
    ],
)
def test_addresses_that_could_run_something_are_refused(ship, url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError) as caught:
        ship("main", url)
    assert not (tmp_path / "owned").exists()
    assert ship.log == []
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_an_address_rewritten_to_a_command_is_refused_by_git(ship, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.ext::sh -c touch% {tmp_path}/owned% .insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://example.com/")
    with pytest.raises(SourceError, match=r"Cannot fetch .*: fatal: transport 'ext' not allowed"):
        ship("main", "https://example.com/x")
    assert not (tmp_path / "owned").exists()


def submodule(repository: Path, url: str, content: Path, name: str = "libs/library") -> None:
    """Commit a submodule with this address, which is only looked at when it is fetched."""
    git(repository, "submodule", "--quiet", "add", str(content), name)
    git(repository, "config", "-f", ".gitmodules", f"submodule.{name}.url", url)
    commit(repository, "app.py", f"with {name} at {url}")


def made(folder: Path, name: str, content: str) -> Path:
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    commit(folder, name, content)
    return folder


def test_submodules_come_along(ship, repository, tmp_path):
    inner = made(repository / ".git/inner", "inner.py", "I")
    old = git(inner, "rev-parse", "HEAD")
    library = made(repository / ".git/library", "lib.py", "L")
    submodule(library, "../inner", inner, "in side")
    commit(inner, "inner.py", "newer")
    submodule(repository, "./.git/library", library)
    assert old != git(inner, "rev-parse", "HEAD")
    for url in (repository, f"file://{repository}"):
        tree = ship("main", url)
        assert tree.files == [
            ".gitmodules",
            "app.py",
            *(f"libs/library/{name}" for name in (".gitmodules", "app.py", "in side/inner.py", "lib.py")),
        ]
        assert tree.read("libs/library/in side/inner.py") == b"I"


@pytest.mark.parametrize("url", ["{0}/secret", "../secret", "file://{0}/secret", "file://{0}/%73ecret", "./.git/link"])
def test_a_submodule_of_this_machine_is_in_the_source(ship, repository, tmp_path, url):
    secret = made(tmp_path / "secret", "key", "hunter2")
    (repository / ".git/link").symlink_to(secret)
    submodule(repository, url.format(tmp_path), secret)
    with pytest.raises(
        SourceError, match=r"Cannot fetch the submodule libs/library of .* not inside the folder of the"
    ):
        ship("main")
    assert not list((tmp_path / "cache").rglob("key"))


def test_a_submodule_of_this_machine_runs_nothing(ship, repository, tmp_path):
    """It lacks an object, and its configuration says how to fetch it."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/owned\nexit 1\n")
    program.chmod(0o755)
    library = made(repository / ".git/library", "lib.py", "L")
    submodule(repository, "./.git/library", library)
    blob = git(library, "rev-parse", "HEAD:lib.py")
    (library / ".git/objects" / blob[:2] / blob[2:]).unlink()
    for key, value in {
        "core.repositoryformatversion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.url": str(tmp_path / "shop.git"),
        "remote.origin.promisor": "true",
        "remote.origin.uploadpack": str(program),
    }.items():
        git(library, "config", key, value)
    with pytest.raises(SourceError, match="Cannot fetch the submodule"):
        ship("main")
    assert not (tmp_path / "owned").exists()


def borrow(repository: Path, secret: Path) -> None:
    """A commit of another repository, in this one's history."""
    (repository / ".git/objects/info/alternates").write_text(f"# a remark\n{secret}/.git/objects\n")


def borrow_relative(repository: Path, secret: Path) -> None:
    """git takes `..` as text: the link leads deeper, and what is before it does not count."""
    (repository / ".git/objects/deep/er/and/deeper").mkdir(parents=True)
    (repository / ".git/objects/a").symlink_to("deep/er/and/deeper")
    relative = os.path.relpath(secret / ".git/objects", repository / ".git/objects")
    (repository / ".git/objects/info/alternates").write_text(f"a/../{relative}\n")


def borrow_quoted(repository: Path, secret: Path) -> None:
    (repository / ".git/objects/info/alternates").write_text(f'"{secret}/.git/objects"\n')


def borrow_in_turn(repository: Path, secret: Path) -> None:
    first = repository / ".git/first/info"
    first.mkdir(parents=True)
    (first / "alternates").write_text(f"{secret}/.git/objects\n")
    (repository / ".git/objects/info/alternates").write_text("../first\n")


def borrow_by_http(repository: Path, secret: Path) -> None:
    borrow(repository, secret)
    (repository / ".git/objects/info/alternates").rename(repository / ".git/objects/info/http-alternates")


def link_objects(repository: Path, secret: Path) -> None:
    os.rename(repository / ".git/objects", repository / ".git/old")
    (repository / ".git/objects").symlink_to(secret / ".git/objects")


def link_some_objects(repository: Path, secret: Path) -> None:
    blob = git(secret, "rev-parse", "HEAD:key")
    place = repository / ".git/objects" / blob[:2]
    place.mkdir(exist_ok=True)
    (place / blob[2:]).symlink_to(secret / ".git/objects" / blob[:2] / blob[2:])


def link_repository(repository: Path, secret: Path) -> None:
    os.rename(repository / ".git", repository / "old")
    (repository / ".git").symlink_to(secret / ".git")


def name_repository(repository: Path, secret: Path) -> None:
    os.rename(repository / ".git", repository / "old")
    (repository / ".git").write_text(f"gitdir: {secret}/.git\n")


def share_repository(repository: Path, secret: Path) -> None:
    (repository / ".git/commondir").write_text(f"{secret}/.git\n")


WAYS_OUT = [
    borrow,
    borrow_relative,
    borrow_quoted,
    borrow_in_turn,
    borrow_by_http,
    link_objects,
    link_some_objects,
    link_repository,
    name_repository,
    share_repository,
]


@pytest.mark.parametrize("way", WAYS_OUT, ids=lambda way: way.__name__)
@pytest.mark.parametrize("where", ["source", "submodule"])
def test_a_repository_of_this_machine_reads_nothing_outside(ship, repository, tmp_path, way, where):
    secret = made(tmp_path / "secret", "key", "hunter2")
    stolen = git(secret, "rev-parse", "HEAD")
    at = repository
    if where == "submodule":
        at = made(repository / ".git/library", "lib.py", "L")
        submodule(repository, "./.git/library", at)
        if way is borrow_relative:
            (tmp_path / "shop.git/secret").symlink_to(secret)
    if way not in (link_objects, link_repository, name_repository, share_repository):
        (at / ".git/refs/heads/stolen").write_text(f"{stolen}\n")
    way(at, secret)
    with pytest.raises(
        SourceError, match=r"The git repository .* is refused: git would read .* which is not inside"
    ) as caught:
        ship("main" if where == "submodule" else "stolen" if (at / ".git/refs/heads/stolen").exists() else "main")
    elsewhere = way in (link_repository, name_repository, share_repository)
    assert ("name the repository that it belongs to, or make a clone" in str(caught.value)) == elsewhere
    assert ("make a full clone without `--shared`" in str(caught.value)) != elsewhere
    assert not list((tmp_path / "cache").rglob("key"))


def test_a_repository_beside_the_one_that_is_named_is_not_taken(ship, repository, tmp_path):
    """git tries other names, too."""
    (tmp_path / "shop").mkdir()
    with pytest.raises(SourceError, match="Cannot fetch"):
        ship("main", tmp_path / "shop")
    made(repository / ".git/.git", "other", "")
    assert ship("main").files == ["app.py"]


def test_a_repository_may_borrow_from_within(ship, repository):
    os.rename(repository / ".git/objects", repository / ".git/old")
    (repository / ".git/objects/info").mkdir(parents=True)
    (repository / ".git/objects/info/alternates").write_text("../old\n")
    assert ship("main").files == ["app.py"]


def test_repositories_that_borrow_in_a_circle(ship, repository):
    (repository / ".git/objects/info/alternates").write_text("../objects\n")
    with pytest.raises(SourceError, match="more than 5 repositories borrow objects from one another"):
        ship("main")


def test_a_repository_from_elsewhere_cannot_pull_in_one_of_this_machine(ship, repository, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    git(secret, "init", "-q")
    commit(secret, "key", "hunter2")
    git(repository, "submodule", "--quiet", "add", str(secret), "stolen")
    commit(repository, "app.py", "x")
    git(repository, "update-server-info")
    server = subprocess.Popen(
        ["python3", "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(repository / ".git")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        port = server.stdout.readline().split(" port ")[1].split()[0]
        with pytest.raises(SourceError, match=r"Cannot fetch the submodule stolen of .*: .*/secret is on this machine"):
            ship("main", f"http://127.0.0.1:{port}/")
        assert ship("v1.0", f"http://127.0.0.1:{port}/").read("app.py") == b"one"
    finally:
        server.kill()
        server.wait()
    assert not list((tmp_path / "cache").rglob("key"))


def test_hooks_filters_and_line_ends_of_this_machine_do_not_matter(ship, repository, tmp_path, monkeypatch):
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {tmp_path}/owned\n")
    (hooks / "post-checkout").chmod(0o755)
    settings = tmp_path / "gitconfig"
    settings.write_text(f"[core]\n hooksPath = {hooks}\n autocrlf = true\n eol = crlf\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    (repository / "lines.txt").write_text("a\nb\n")
    as_it_is = ("-c", "core.autocrlf=false", "-c", "core.hooksPath=/dev/null")
    git(repository, *as_it_is, "add", "lines.txt")
    git(repository, *as_it_is, "commit", "-qm", "x")
    assert not (tmp_path / "owned").exists()
    assert ship("main").read("lines.txt") == b"a\nb\n"
    assert not (tmp_path / "owned").exists()


def test_a_committed_link_out_of_the_tree_is_refused(ship, repository):
    (repository / "evil").symlink_to("/etc/passwd")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "x")
    with pytest.raises(SourceError, match="evil is a link to /etc/passwd, which is outside"):
        ship("main")


def test_executables_links_and_strange_names_survive(ship, repository):
    top = os.fsencode(repository)
    with open(top + b"/bad\xff\nname", "wb") as file:
        file.write(b"b")
    (repository / "run").write_text("#!")
    (repository / "run").chmod(0o755)
    (repository / "to").symlink_to("app.py")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "x")
    tree = ship("main")
    assert [os.fsencode(name) for name in tree.files] == [b"app.py", b"bad\xff\nname", b"run", b"to"]
    assert [entry.kind for entry in tree.entries] == [b"f", b"f", b"x", b"l"]


def test_locks_left_by_a_killed_git_do_not_stop_the_next(ship, repository, tmp_path):
    ship("main")
    (mirror,) = (tmp_path / "cache/git").iterdir()
    for name in ("packed-refs.lock", "config.lock", "refs/heads/main.lock"):
        (mirror / name).parent.mkdir(parents=True, exist_ok=True)
        (mirror / name).write_text("")
    third = commit(repository, "app.py", "three")
    assert ship("main").revision == third


def _worker(repository: Path, tmp: Path, results) -> None:
    lines: list[str] = []
    tree = fetch(
        {"git": str(repository), "version": "main"}, requirements=None, base=tmp, cache=tmp / "cache", log=lines.append
    )
    results.put((tree.hash, tree.revision, lines, current_run()))


def test_processes_of_one_run_fetch_once_and_get_the_same(repository, tmp_path):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    workers = [context.Process(target=_worker, args=(repository, tmp_path, results)) for _ in range(5)]
    for worker in workers:
        worker.start()
    answers = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert len({(tree, revision) for tree, revision, _, _ in answers}) == 1
    assert sum(line.startswith("fetching") for _, _, lines, _ in answers for line in lines) == 1
    assert len({run for *_, run in answers}) == 1
    assert current_run() is None


def test_old_trees_are_removed_from_the_cache(ship, tmp_path):
    ship("v1.0")
    (old,) = (tmp_path / "cache/trees").iterdir()
    os.utime(old, (time.time() - 30 * 86400,) * 2)
    tree = ship("v2.0")
    assert not old.exists()
    assert ship("v1.0").read("app.py") == b"one"
    assert tree.root is not None
    assert tree.root.exists()
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


def test_passwords_are_hidden():
    assert masked("https://me:pw@h/x and http://token@h") == "https://***@h/x and http://***@h"
    assert masked("ssh://git:pw@h/x ssh://git@h/x") == "ssh://git:***@h/x ssh://git@h/x"
