"""Pythons that a host lacks: the app's choice, the installation, and the removal."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import uv
from ansible_collections.slipway.kit.plugins.module_utils import indexes
from ansible_collections.slipway.kit.plugins.module_utils.contract import names
from ansible_collections.slipway.kit.plugins.module_utils.contract.errors import HostError
from ansible_collections.slipway.kit.plugins.module_utils.contract.job import Interpreter
from ansible_collections.slipway.kit.plugins.module_utils.host.build import disk, interpreters
from ansible_collections.slipway.kit.plugins.module_utils.host.process import confine
from ansible_collections.slipway.kit.plugins.module_utils.host.process.confine import Outcome
from ansible_collections.slipway.kit.plugins.module_utils.model import checks, resolve
from ansible_collections.slipway.kit.plugins.module_utils.model import interpreters as model
from ansible_collections.slipway.kit.plugins.module_utils.model.interpreters import NoInterpreter
from ansible_collections.slipway.kit.plugins.module_utils.model.types import Host

UV = uv.find_uv_bin()
HOST = {"/usr/bin/python3": "3.11.2", "/usr/bin/python3.12": "3.12.1"}
HASH = "9f" * 32


# ------------------------------------------------------------------------------------------------------------ the model
def choose(wanted: str | None, archives: dict[str, str] | None = None, on_host: dict[str, str] | None = None) -> Any:
    return model.choose(wanted, HOST if on_host is None else on_host, "/usr/bin/python3", archives or {})


def test_what_the_host_has_wins() -> None:
    assert choose("3.12", {"3.12.9": HASH}) == model.Interpreter("/usr/bin/python3.12", "3.12.1")
    assert choose(None).path == "/usr/bin/python3"


def test_what_it_lacks_is_installed_and_known_beforehand() -> None:
    version = model.KNOWN["3.13"]
    choice = choose("3.13")
    assert (choice.version, choice.folder) == (version, f"/opt/slipway/python/{version}")
    assert choice.path == f"/opt/slipway/python/{version}/python/bin/python3.13"


def test_an_archive_of_the_inventory_wins_over_uv_s_and_another_hash_is_another_interpreter() -> None:
    choice = choose("3.13", {"3.13.9": HASH, "3.13.10": HASH, "3.14.1": HASH})
    assert choice.folder == f"/opt/slipway/python/3.13.10-{HASH[:8]}"
    assert choose("3.13", {"3.13.10": "ab" * 32}).folder != choice.folder


@pytest.mark.parametrize(
    ("wanted", "on_host", "message"),
    [
        ("3.99", None, "python 3.99 is not on this host, which has 3.11.2 (/usr/bin/python3), 3.12.1 (/usr/bin/python3.12), and"),
        ("/opt/x/python", None, 'is not on this host; it has 3.11.2 (/usr/bin/python3), 3.12.1 (/usr/bin/python3.12). Put it there'),
        (None, {"/usr/bin/python3": "3.9.2"}, "too old: gunicorn 27 needs 3.10; this host has 3.9.2 (/usr/bin/python3). Write"),
    ],
)  # fmt: skip
def test_what_cannot_be(wanted: str | None, on_host: dict[str, str] | None, message: str) -> None:
    with pytest.raises(NoInterpreter) as caught:
        choose(wanted, on_host=on_host)
    assert message in str(caught.value)


def test_a_release_candidate_on_the_host_is_no_trouble() -> None:
    assert choose("3.16", on_host={"/usr/bin/python3.16": "3.16.0rc1"}).version == "3.16.0rc1"


def test_the_versions_are_those_of_the_kit_s_uv() -> None:
    """After an update of uv, a failure here names the versions to write into KNOWN."""
    asked = [UV, "python", "list", "--no-config", "--all-versions", "--only-downloads", "--output-format", "json"]
    listed = json.loads(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)
    newest: dict[str, str] = {}
    for one in listed:
        parts = one["version_parts"]
        full = f"{parts['major']}.{parts['minor']}.{parts['patch']}"
        if one["implementation"] == "cpython" and one["variant"] == "default" and one["version"] == full:
            newest.setdefault(f"{parts['major']}.{parts['minor']}", full)
    assert {minor: full for minor, full in newest.items() if int(minor[2:]) >= 10} == dict(
        reversed(model.KNOWN.items())
    )


def test_both_sides_have_the_same_folder() -> None:
    assert model.installed("3.13.1").path.startswith(f"{names.PYTHONS}/3.13.1/{interpreters.WHOLE}/")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"3.13": {"url": "https://x.test/p.tgz", "sha256": HASH}}, "must be a full one"),
        ({3.13: {"url": "https://x.test/p.tgz", "sha256": HASH}}, "must be a full one"),
        ({"3.9.1": {"url": "https://x.test/p.tgz", "sha256": HASH}}, "from 3.10 on"),
        ({"3.13.1": {"url": "https://x.test/p.tgz"}}, "must name `url` and `sha256` of 3.13.1"),
        ({"3.13.1": {"url": "ftp://x.test/p.tgz", "sha256": HASH}}, "with a `url` that is wrong: it must be a URL"),
        ({"3.13.1": {"url": "files/p.tgz", "sha256": HASH}}, "with a `url` that is wrong"),
        (
            {"3.13.1": {"url": "file:///p.tgz", "sha256": "x"}},
            "with a `sha256` that is wrong: it must be 64 hexadecimal",
        ),
    ],
)
def test_archives_that_are_wrong(value: Any, message: str) -> None:
    assert message in str(checks.python_archives(value))
    assert checks.python_archives({"3.13.1": {"url": "file:///srv/p.tgz", "sha256": HASH}}) is None


def test_a_patch_release_is_not_for_an_app_to_choose() -> None:
    assert str(checks.python("3.13.7")).startswith('must be a version of two numbers, "3.13"')


def test_credentials_hold_for_a_mirror_and_are_secrets() -> None:
    variables = {
        "python_mirror": "https://mirror.test/pbs",
        "python_archives": {"3.13.1": {"url": "https://other.test/p.tgz", "sha256": HASH}},
        "package_index_credentials": {"mirror.test": "me:canary-1", "other.test": "canary-2"},
    }
    index = indexes.find(variables, {}, {})
    assert index.python_mirror == "https://me:canary-1@mirror.test/pbs"
    assert index.python_archives == {"3.13.1": "https://canary-2@other.test/p.tgz"}
    assert set(index.secrets) == {"canary-1", "canary-2"}


def test_the_inventory_s_archives_reach_the_apps() -> None:
    entry = {"module": "shop", "source": {"path": "/x"}, "python": "3.13"}
    archives = {"3.13.1": {"url": "https://x.test/p.tgz", "sha256": HASH.upper()}}
    [app] = resolve.resolve_all({"apps": {"shop": entry}, "python_archives": archives}, Host.assumed(pythons=HOST))
    assert (app.python_version, app.python_folder) == ("3.13.1", f"/opt/slipway/python/3.13.1-{HASH[:8]}")


# ------------------------------------------------------------------------------------------------------------- the host
@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Run commands without a cell, which only root can have; returns those that ran."""
    commands: list[list[str]] = []

    def run(command: list[str], *_more: object, **_options: object) -> Outcome:
        commands.append(command)
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        return Outcome(result.returncode, result.stdout, result.stderr)

    monkeypatch.setattr(confine, "run", run)
    return commands


def wanted(tmp_path: Path, **changes: str) -> dict[str, str]:
    folder = tmp_path / "python/3.13.1"
    path = f"{folder}/{interpreters.WHOLE}/bin/python3.13"
    return {"folder": str(folder), "path": path, "version": "3.13.1", "mirror": "", "url": "", "sha256": "", **changes}


def archive(tmp_path: Path, version: str = "3.13.1") -> dict[str, str]:
    """An archive whose Python is a shell script that says `version`."""
    program = tmp_path / "python3.13"
    program.write_text(f"#!/bin/sh\necho {version}\n")
    program.chmod(0o777)
    packed = tmp_path / "p.tar.gz"
    with tarfile.open(packed, "w:gz") as out:
        out.add(program, "python/bin/python3.13")
    return {"url": packed.as_uri(), "sha256": hashlib.sha256(packed.read_bytes()).hexdigest()}


def ensure(interpreter: dict[str, str], program: str = UV) -> None:
    interpreters.ensure(Interpreter(**interpreter), program, "/nonexistent", 60, disk.watch)


def imitation(tmp_path: Path) -> str:
    """A stand-in for uv that unpacks the archive of the settings. It compiles nothing, since that takes a real Python."""
    program = tmp_path / "uv"
    program.write_text(
        "#!/usr/bin/python3\n"
        "import json, sys, tarfile\n"
        "folder = sys.argv[sys.argv.index('--install-dir') + 1]\n"
        "one = next(iter(json.load(open(f'{folder}/archive.json')).values()))\n"
        "place = f'{folder}/cpython-3.13.1-linux-x-gnu'\n"
        "import os; os.makedirs(f'{place}/bin')\n"
        "data = tarfile.open(one['url'][7:]).extractfile('python/bin/python3.13').read()\n"
        "open(f'{place}/bin/python3.13', 'wb').write(data); os.chmod(f'{place}/bin/python3.13', 0o777)\n"
        "open(f'{folder}/.lock', 'w'); os.chmod(f'{folder}/.lock', 0o666)\n"
    )
    program.chmod(0o755)
    return str(program)


def test_one_is_installed_once(tmp_path: Path, asked: list[list[str]]) -> None:
    interpreter = wanted(tmp_path, **archive(tmp_path))
    ensure(interpreter, imitation(tmp_path))
    folder = Path(interpreter["folder"])
    assert sorted(path.name for path in folder.iterdir()) == ["cpython-3.13.1-linux-x-gnu", "python"]
    assert folder.stat().st_mode & 0o777 == 0o755
    assert Path(interpreter["path"]).stat().st_mode & 0o777 == 0o755, "nobody but its owner may write it"
    number = len(asked)
    ensure(interpreter, "/nonexistent")
    assert len(asked) == number, "what is there is not asked for"


def test_what_a_killed_run_left_is_no_interpreter(tmp_path: Path, asked: list[list[str]]) -> None:
    interpreter = wanted(tmp_path, **archive(tmp_path))
    Path(interpreter["folder"], "cpython-3.13.1-linux-x-gnu/bin").mkdir(parents=True)
    ensure(interpreter, imitation(tmp_path))
    assert os.path.exists(interpreter["path"])


def test_another_hash_is_refused_by_uv_itself_and_nothing_is_left(tmp_path: Path, asked: list[list[str]]) -> None:
    interpreter = wanted(tmp_path, **{**archive(tmp_path), "sha256": HASH})
    with pytest.raises(HostError, match=rf"has the SHA-256 \w+, and not {HASH}, which python_archives names"):
        ensure(interpreter)
    assert not (tmp_path / "python").exists()


@pytest.mark.parametrize("place", ["mirror", "url"])
def test_a_place_that_is_not_there_is_named_with_the_keys(tmp_path: Path, asked: list[list[str]], place: str) -> None:
    address = (tmp_path / "none.tar.gz").as_uri()
    interpreter = wanted(tmp_path, version="3.13.1", **{place: address})
    interpreter["sha256"] = HASH if place == "url" else ""
    with pytest.raises(HostError) as caught:
        ensure(interpreter)
    assert f"Python 3.13.1 could not be installed on this host: uv asked {address} (" in str(caught.value)
    assert "No such file" in str(caught.value)
    assert "python_mirror or python_archives, install python3.13 on the host, or leave out `python`" in str(
        caught.value
    )
    assert not (tmp_path / "python").exists()


def test_an_archive_of_another_version_is_named(tmp_path: Path, asked: list[list[str]]) -> None:
    interpreter = wanted(tmp_path, **archive(tmp_path, "3.13.0"))
    with pytest.raises(HostError, match=r"p\.tar\.gz holds Python 3\.13\.0, not 3\.13\.1; correct python_archives"):
        ensure(interpreter, imitation(tmp_path))
    assert not (tmp_path / "python").exists()


def test_passwords_are_in_no_process_list(tmp_path: Path, asked: list[list[str]]) -> None:
    interpreter = wanted(tmp_path, mirror="http://me:canary@127.0.0.1:9/x")
    with pytest.raises(HostError):
        ensure(interpreter, "/bin/false")
    assert "canary" not in str(asked)


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (Outcome(0, "", "", timed_out=True), "it was not there after 60 s; raise timeouts.build"),
        (Outcome(0, "", "", stopped="the disk is full"), "installed on this host: the disk is full"),
        (Outcome(0, "", ""), "releases.astral.sh and github.com holds no python/bin/python3.13"),
    ],
)
def test_what_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: Outcome, message: str) -> None:
    monkeypatch.setattr(confine, "run", lambda *_words, **_more: outcome)
    with pytest.raises(HostError, match=message):
        ensure(wanted(tmp_path))


def test_one_that_no_virtualenv_uses_is_removed(tmp_path: Path) -> None:
    for name in ("3.12.9", "3.13.1", "3.13.1-9f9f9f9f"):
        (tmp_path / f"opt/slipway/python/{name}/python/bin").mkdir(parents=True)
    for app, python in (("shop", "/usr/bin/python3"), ("blog", f"{names.PYTHONS}/3.13.1/python/bin/python3.13")):
        venv = tmp_path / f"srv/{app}/venvs/0/bin"
        venv.mkdir(parents=True)
        (venv / "python").symlink_to(python)
    gone = [f"{names.PYTHONS}/3.12.9", f"{names.PYTHONS}/3.13.1-9f9f9f9f"]
    assert interpreters.prune(check=True, root=str(tmp_path)) == gone
    assert interpreters.prune(root=str(tmp_path)) == gone
    assert os.listdir(tmp_path / "opt/slipway/python") == ["3.13.1"]
    assert interpreters.prune(root=str(tmp_path)) == []
    (tmp_path / "srv/blog/venvs/0/bin/python").unlink()
    assert interpreters.prune(root=str(tmp_path)) == [f"{names.PYTHONS}/3.13.1"]
    assert not (tmp_path / "opt/slipway/python").exists()
    assert interpreters.prune(root=str(tmp_path)) == []
