"""Dependencies in git repositories: the controller fetches them and puts them next to the code."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.sources import SourceError, Tree, fetch, vcs
from ansible_collections.slipway.kit.plugins.module_utils.sources.vcs import taken


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a library below libs/, and the tag v1. It stands for one on a server."""
    monkeypatch.setattr(vcs, "LOCAL", "none://")
    root = tmp_path / "tool"
    (root / "libs/tool").mkdir(parents=True)
    (root / "libs/tool/pyproject.toml").write_text('[project]\nname = "tool"\nversion = "1"\n')
    git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "one"], ["tag", "v1"]):
        subprocess.run([*git, *words], check=True)
    return root


def shipped(tmp_path: Path, files: dict[str, str], **options: object) -> Tree:
    for name, content in {"web.py": "", **files}.items():
        (tmp_path / "app" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "app" / name).write_text(content)
    options = {"requirements": None, **options}
    return fetch({"path": "app"}, base=tmp_path, cache=tmp_path / "cache", log=print, **options)


def place(tree: Tree) -> str:
    (path,) = [name for name in tree.files if name.endswith("tool/pyproject.toml")]
    return path.removesuffix("/pyproject.toml")


@pytest.mark.parametrize(
    "line",
    ["tool[x] @ git+{url}@v1#subdirectory=libs/tool ; python_version > '3'", "-e git+{url}@v1#egg=tool[x]&subdirectory=libs/tool"],
)  # fmt: skip
def test_a_requirement_becomes_a_folder_of_the_code(tmp_path: Path, repository: Path, line: str) -> None:
    line = line.format(url=f"file://{repository}")
    tree = shipped(tmp_path, {"requirements.txt": f"-r more.txt\n{line}\n", "more.txt": "-c c.txt\nflask==3.1.3\n", "c.txt": "a<2\n"})  # fmt: skip
    first, second, third = tree.lock.text.splitlines()
    assert (first, second) == ("-c c.txt", "flask==3.1.3")
    assert third.partition(" ;")[0] == f"tool[x] @ ./{place(tree)}"
    assert tree.lock.local
    assert tree.lock.repositories


def test_another_commit_is_another_virtualenv_and_other_code_is_not(tmp_path: Path, repository: Path) -> None:
    files = {"requirements.txt": f"git+file://{repository}\n"}
    before = shipped(tmp_path, files).lock.hash
    assert shipped(tmp_path, {**files, "web.py": "x = 1"}).lock.hash == before
    (repository / "new").write_text("x")
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["add", "-A"], ["commit", "-qm", "two"]):
        subprocess.run([*git, *words], check=True)
    assert shipped(tmp_path, files, run="next").lock.hash != before


def test_of_a_list_of_a_project_and_of_locks(tmp_path: Path, repository: Path) -> None:
    url = f"file://{repository}"
    commit = subprocess.check_output(["git", "-C", str(repository), "rev-parse", "HEAD"], text=True).strip()
    requirement = f"tool @ git+{url}@v1#subdirectory=libs/tool"
    tree = shipped(tmp_path, {}, requirements=[requirement])
    assert tree.lock.text == f"tool @ ./{place(tree)}\n"
    project = f'[project]\nname = "shop"\ndependencies = ["{requirement}"]\n'
    tree = shipped(tmp_path, {"pyproject.toml": project})
    assert tree.lock.text == f"tool @ ./{place(tree)}\n"
    lock = f"""
[[package]]
name = "shop"
source = {{ virtual = "." }}
dependencies = [{{ name = "tool", marker = "os_name == 'posix'" }}]
[[package]]
name = "tool"
version = "1"
source = {{ git = "{url}?subdirectory=libs%2Ftool&rev=v1#{commit}" }}
"""
    tree = shipped(tmp_path, {"uv.lock": lock})
    assert tree.lock.text == f'tool @ ./{place(tree)} ; os_name == "posix"\n'
    assert tree.lock.complete
    pipfile = {"default": {"tool": {"git": url, "ref": commit, "subdirectory": "libs/tool"}}}
    tree = shipped(tmp_path, {"Pipfile.lock": json.dumps(pipfile)}, requirements="Pipfile.lock")
    assert tree.lock.text == f"tool @ ./{place(tree)}\n"


def test_a_source_does_not_name_repositories_of_this_machine(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The inventory may: it is the operator's."""
    monkeypatch.undo()
    line = f"tool @ git+file://{repository}@v1#subdirectory=libs/tool"
    message = (
        f"requirements.txt asks for a repository. file://{repository} is on this machine and not part of the source"
    )
    with pytest.raises(SourceError, match=message):
        shipped(tmp_path, {"requirements.txt": f"{line}\n"})
    pipfile = {"default": {"tool": {"git": f"file://{repository}", "ref": "v1"}}}
    with pytest.raises(SourceError, match="is on this machine and not part of the source"):
        shipped(tmp_path, {"Pipfile.lock": json.dumps(pipfile)}, requirements="Pipfile.lock")
    (tmp_path / "app/requirements.txt").unlink()
    assert place(shipped(tmp_path, {}, requirements=[line]))


@pytest.mark.parametrize(
    ("line", "ref"),
    [
        ("tool @ git+ssh://git@git.example:2222/t/tool.git@0123abc", "0123abc"),
        ("git+ssh://git@git.example/t/tool.git", ""),
        ("git+https://user:word@git.example/t/tool@v1#egg=tool", "v1"),
    ],
)
def test_addresses(line: str, ref: str) -> None:
    requirement = taken(line, "backend")
    assert requirement is not None
    assert requirement[1].ref == ref
    assert requirement[1].url in line
    assert ("@ " if "tool @" in line or "egg=" in line else "") + "../.slipway/tool-" in requirement[0]


@pytest.mark.parametrize(
    "line", ["flask", "a @ https://x/a.whl", "git+ext::sh -c x", "git+file:///x#subdirectory=../../y"]
)
def test_what_is_none(line: str) -> None:
    assert taken(line, "") is None
