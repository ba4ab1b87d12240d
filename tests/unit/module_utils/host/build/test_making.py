"""Real runs of `build`, `files` and `hooks.setup` on a release, on this machine, as this user."""

from __future__ import annotations

import base64
import errno
import json
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.base import acl
from ansible_collections.slipway.kit.plugins.module_utils.host.build import making, placed, setup
from ansible_collections.slipway.kit.plugins.module_utils.host.build.errors import BuildError, Lacking

from tests.unit.module_utils.host.build.test_building import build, job, left, site  # noqa: F401 # a fixture

V1 = "releases/v1-00000000"


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces the parts of a build that depend on the machine."""
    monkeypatch.setattr(setup.names, "SETUP", str(tmp_path / "setup"))
    monkeypatch.setattr(acl, "let_in", lambda folder, user: None)
    monkeypatch.setattr(acl, "shut_out", lambda folder, mode: None)


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def to_make(*commands: str, **more: Any) -> dict[str, Any]:
    environment = {"GREETING": "Ahoy", "TOKEN": "unset-while-building"}
    return {
        "digest": "d1",
        "commands": [["sh", "-c", command] for command in commands],
        "environment": json.dumps(environment),
        "files": {},
        "unset": ["TOKEN"],
        **more,
    }


def packed(folder: Path, **texts: str) -> Path:
    """An archive of a good app with more files."""
    shutil.copytree(Path(__file__).parents[4] / "fixtures/apps/good_wsgi", folder)
    for name, text in texts.items():
        (folder / name.replace("__", ".")).write_text(text)
    archive = folder.with_suffix(".tar")
    subprocess.run(["tar", "-C", folder, "--mtime=@0", "-cf", archive, "."], check=True)
    return archive


def test_what_is_made_belongs_to_the_release(site: Path) -> None:  # noqa: F811
    commands = [
        "mkdir -p static/admin && echo css > static/admin/site.css && umask 0 && chmod 7777 static/admin/site.css",
        'echo "$GREETING $TOKEN $HOME" > seen; echo changed >> kept.txt; rm gone.txt; mkdir __pycache__; touch __pycache__/x.pyc',
    ]
    archive = packed(site / "source", kept__txt="kept", gone__txt="gone", same__txt="same")
    wanted = job(site, make=to_make(*commands), static={"/static/": "static"}, code={"archive": str(archive)})
    manifest = json.loads(wanted["variants"]["wsgi"]["manifest.json"])
    wanted["variants"]["wsgi"]["manifest.json"] = json.dumps({**manifest, "build": "d1"})
    build(wanted)
    path = site / V1
    made = path / "code/static/admin/site.css"
    assert (path / "static/static/admin/site.css").samefile(made)
    assert stat.S_IMODE(made.stat().st_mode) == 0o755
    assert time_of(made) > 0 and time_of(path / "code/same.txt") > 0
    greeting, token, home = (path / "code/seen").read_text().split()
    assert (greeting, token) == ("Ahoy", "unset-while-building")
    assert not Path(home).exists()
    assert json.loads((path / "altered.json").read_text()) == {"altered": ["gone.txt", "kept.txt"]}
    assert not (path / "code/__pycache__/x.pyc").exists()
    assert not (path / ".taken").exists()
    assert not (site / "venvs/.cache").exists()
    assert {one.stat().st_uid for one in path.rglob("*") if not one.is_symlink()} == {os.getuid()}
    assert json.loads((path / "manifest.json").read_text())["build"] == "d1"


def time_of(path: Path) -> float:
    return path.stat().st_mtime


def test_no_build_writes_through_to_a_release_before(site: Path) -> None:  # noqa: F811
    before = site / "releases/v0-00000000/code"
    before.mkdir(parents=True)
    (before / "kept.txt").write_text("kept")
    (before / "same.txt").write_text("same")
    wanted = job(site, make=to_make("echo more >> kept.txt"))
    wanted["code"] |= {"like": str(before), "keep": ["kept.txt", "same.txt"]}
    build(wanted)
    assert (before / "kept.txt").read_text() == "kept"
    assert (site / V1 / "code/kept.txt").read_text() == "keptmore\n"
    assert (site / V1 / "code/same.txt").samefile(before / "same.txt"), "what is alike is one file again"


@pytest.mark.parametrize(
    ("command", "message", "output"),
    [
        (
            'echo out; echo "no such table, $TOKEN" >&2; exit 3',
            "failed with status 3; it got stand-ins for these secrets: TOKEN. One that it needs has to be in `build_secrets`",
            "no such table",
        ),
        ("echo Unknown command >&2; exit 3", "failed with status 3$", "Unknown command"),
        (
            "printf \"PermissionError: [Errno 13] Permission denied: '/srv/x'\\n\\nThe above exception was the direct cause of the following "
            'exception:\\n\\nValueError: Unable\\n"; exit 1',
            "it began with PermissionError: .*; `build` may write the release's own code and nothing else, neither shared/ nor home/ of the app$",
            "ValueError: Unable",
        ),
        ("sleep 30", "was not done within 1 s", ""),
        ("ln -s /etc/passwd link", "the link link leads out of it", ""),
        ("mkfifo pipe", "pipe is neither a file nor a folder nor a link", ""),
    ],
)
def test_a_build_that_fails_leaves_nothing(
    site: Path,  # noqa: F811
    command: str,
    message: str,
    output: str,
) -> None:
    with pytest.raises(BuildError) as caught:
        build(job(site, make=to_make(command), build=1 if "sleep" in command else 60))
    assert re.search(message, str(caught.value))
    assert output in caught.value.output
    assert left(site) == []
    assert os.listdir(site / "venvs") == ["done"]


def test_a_command_that_is_not_there(site: Path) -> None:  # noqa: F811
    with pytest.raises(BuildError, match=r"neither the virtualenv nor the host has nowhere\. .*`source\.build`"):
        build(job(site, make=to_make(commands=[["nowhere", "ci"]])))


def test_what_a_build_altered_is_never_taken_for_the_sources(site: Path) -> None:  # noqa: F811
    before = site / "releases/v0-00000000/code"
    before.mkdir(parents=True)
    (before / "kept.txt").write_text("changed by a build")
    (before.parent / "altered.json").write_text('{"altered": ["kept.txt"]}')
    wanted = job(site)
    wanted["code"] |= {"like": str(before), "keep": ["kept.txt"]}
    with pytest.raises(Lacking, match=r"another kept\.txt than its source"):
        build(wanted)


def test_the_same_is_not_made_twice(site: Path) -> None:  # noqa: F811
    old = {"id": "v0-00000000", "path": str(site / "releases/v0-00000000"), "log": str(site.parent / "log/v0.log")}
    build(job(site, make=to_make("echo one > made.txt; echo >> web.py"), **old))
    before = Path(old["path"]) / "code"
    build(job(site, make=to_make("exit 1"), code={"from": str(before)}))
    path = site / V1
    assert (path / "code/made.txt").samefile(before / "made.txt")
    assert (path / "altered.json").samefile(before.parent / "altered.json")


def test_what_names_its_own_release_is_no_other_ones(site: Path) -> None:  # noqa: F811
    wanted = job(site, make=to_make("pwd > made.txt"))
    for texts in wanted["variants"].values():
        texts["manifest.json"] = json.dumps({**json.loads(texts["manifest.json"]), "build": "d1"})
    build(wanted)
    assert json.loads((site / V1 / "manifest.json").read_text())["build"] == "d1-bound"


def test_files_are_placed_for_the_app_alone(site: Path) -> None:  # noqa: F811
    """`build` sees them with stand-ins. A file of the source, or of an earlier release, stays unchanged."""
    before = site / "releases/v0-00000000/code"
    before.mkdir(parents=True)
    (before / "kept.txt").write_text("kept")
    contents = {"web.ini": "password = hunter2", "kept.txt": "mine", "new/a/b.txt": "deep"}
    shown = {**contents, "web.ini": "password = unset-while-building"}
    make = to_make("cat web.ini new/a/b.txt > seen", files={name: base64_of(text) for name, text in shown.items()})
    wanted = job(site, make=make, files={name: base64_of(text) for name, text in contents.items()})
    wanted["code"] |= {"like": str(before), "keep": ["kept.txt"]}
    build(wanted)
    code = site / V1 / "code"
    assert {name: (code / name).read_text() for name in contents} == contents
    assert {stat.S_IMODE((code / name).stat().st_mode) for name in contents} == {0o640}
    assert (code / "seen").read_text() == "password = unset-while-buildingdeep"
    assert (before / "kept.txt").read_text() == "kept"
    assert json.loads((site / V1 / "altered.json").read_text()) == {"altered": ["kept.txt"]}


def test_what_a_build_puts_back_is_no_file_of_the_sources(site: Path) -> None:  # noqa: F811
    """Otherwise the next build would get the file with the secrets as a part of the source."""
    make = to_make("printf kept > kept.txt", files={"kept.txt": base64_of("password = unset-while-building")})
    archive = packed(site / "source", kept__txt="kept")
    files = {"kept.txt": base64_of("password = hunter2")}
    build(job(site, make=make, files=files, code={"archive": str(archive)}))
    assert (site / V1 / "code/kept.txt").read_text() == "password = hunter2"
    assert json.loads((site / V1 / "altered.json").read_text()) == {"altered": ["kept.txt"]}


def test_what_was_placed_before_is_no_file_of_the_sources(site: Path) -> None:  # noqa: F811
    before = site / "releases/v0-00000000/code"
    before.mkdir(parents=True)
    (before / "kept.txt").write_text("password = hunter2")
    (before.parent / "manifest.json").write_text('{"placed": ["kept.txt"]}')
    wanted = job(site)
    wanted["code"] |= {"like": str(before), "keep": ["kept.txt"]}
    with pytest.raises(Lacking, match=r"another kept\.txt than its source"):
        build(wanted)


def test_files_alone_leave_the_code_linked(site: Path) -> None:  # noqa: F811
    before = site / "releases/v0-00000000/code"
    before.mkdir(parents=True)
    for name in ("kept.txt", "same.txt"):
        (before / name).write_text(name)
    wanted = job(site, files={"kept.txt": base64_of("mine")})
    wanted["code"] |= {"like": str(before), "keep": ["kept.txt", "same.txt"]}
    build(wanted)
    code = site / V1 / "code"
    assert (code / "same.txt").samefile(before / "same.txt")
    assert ((code / "kept.txt").read_text(), (before / "kept.txt").read_text()) == ("mine", "kept.txt")


@pytest.mark.parametrize("way", ["folder", "link", "file"])
def test_nothing_is_placed_through_what_is_in_the_way(tmp_path: Path, way: str) -> None:
    (tmp_path / "outside").mkdir()
    code = tmp_path / "code"
    code.mkdir()
    if way == "folder":
        (code / "a/b").mkdir(parents=True)
    elif way == "link":
        (code / "a").symlink_to("../outside")
    else:
        (code / "a").write_text("")
    with pytest.raises(placed.PlaceError, match="`files` cannot place a/b"):
        placed.place(str(code), {"a/b": base64_of("x")}, os.getuid(), os.getgid())
    assert not list((tmp_path / "outside").iterdir())


def test_bytecode_of_placed_files_is_not_made(site: Path) -> None:  # noqa: F811
    build(job(site, files={"secret.py": base64_of("KEY = 'hunter2'")}))
    names = {path.name.partition(".")[0] for path in (site / V1 / "code/__pycache__").iterdir()}
    assert names == {"web"}


def test_an_app_is_set_up_once(site: Path) -> None:  # noqa: F811
    note = site.parent / "note"
    wanted = {"commands": [["sh", "-c", f"echo $GREETING >> {note}"]], "timeout": 10}
    unit = {"unit": "[Service]\n"}
    for number in range(2):
        name = {
            "id": f"v{number}-00000000",
            "path": str(site / f"releases/v{number}-00000000"),
            "log": str(site.parent / f"log/v{number}.log"),
        }
        fields = job(site, setup=wanted, **name)
        fields["variants"] = {kind: {**files, **unit} for kind, files in fields["variants"].items()}
        build(fields)
    assert note.read_text() == "Ahoy\n"
    assert setup.forget("site") and not setup.forget("site")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("echo why; exit 4", "failed with status 4"),
        ("echo no such table: users; exit 1", "setup runs before the hook migrate"),
        ("sleep 9", "killed"),
    ],
)
def test_a_set_up_that_fails_is_not_remembered(site: Path, command: str, message: str) -> None:  # noqa: F811
    timeout = 0.5 if "sleep" in command else 10
    with pytest.raises(BuildError, match=message) as caught:
        build(job(site, setup={"commands": [["sh", "-c", command]], "timeout": timeout}))
    output = command.removeprefix("echo ").partition(";")[0]
    assert caught.value.output.strip() == ("" if "sleep" in command else output)
    assert not setup.forget("site")
    assert left(site) == []


def test_a_file_system_without_access_lists(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    with pytest.raises(acl.NoAccessLists, match="has no access lists"):
        acl.let_in(str(tmp_path), 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed")
def test_one_more_user_is_let_in_and_out_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    for above in tmp_path.parents[:3]:  # pytest's own; there is one more where tests run in parallel
        if above != Path(tempfile.gettempdir()):
            above.chmod(0o755)
    folder = tmp_path / "venv"
    folder.mkdir()
    (folder / "python").write_text("")
    folder.chmod(0o750)
    tmp_path.chmod(0o755)
    nobody, games = (pwd.getpwnam(name).pw_uid for name in ("nobody", "games"))

    def may(user: int) -> bool:
        argv = ["setpriv", f"--reuid={user}", "--regid=65534", "--clear-groups", "cat", folder / "python"]
        return subprocess.run(argv, stderr=subprocess.DEVNULL, check=False).returncode == 0

    assert (may(nobody), may(games)) == (False, False)
    try:
        acl.let_in(str(folder), nobody)
    except acl.NoAccessLists:
        pytest.skip("this file system has no access lists")
    assert (may(nobody), may(games)) == (True, False)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    acl.shut_out(str(folder), 0o750)
    acl.shut_out(str(folder), 0o750)
    assert (may(nobody), stat.S_IMODE(folder.stat().st_mode)) == (False, 0o750)


def test_marks_tell_contents_programs_and_links_apart(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "folder").mkdir()
    (tmp_path / "c").symlink_to("folder")
    before = making.marks(str(tmp_path))
    assert set(before) == {"a", "b", "c"}
    (tmp_path / "a").chmod(0o755)
    assert making.marks(str(tmp_path))["a"] != before["a"]
