"""A set of files is placed whole or not at all, whatever goes wrong and whenever."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.base import atomic
from ansible_collections.slipway.kit.plugins.module_utils.host.files import fileset, paths, planning, trial

from tests.patience import patience

ME = str(os.getuid())
GROUP = str(os.getgid())


@pytest.fixture
def undo(tmp_path: Path) -> str:
    return str(tmp_path / "undo")


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir()
    return folder


def item(dest: Path, text: str | None = None, **more: Any) -> dict[str, Any]:
    """An entry as the action sends it."""
    state = more.get("state", "file")
    entry = {
        "number": 0, "dest": str(dest), "state": state, "owner": ME, "group": GROUP,
        "mode": "0755" if state == "directory" else "0644", "diff": True, "recursive": False,
    }  # fmt: skip
    return {**entry, **({"text": text, "src": "a.j2"} if text is not None else {}), **more}


def tree(root: Path) -> dict[str, Any]:
    """Everything below a folder: kind, mode, owner and content of every path."""
    out: dict[str, Any] = {}
    for path in sorted(root.rglob("*")):
        info = path.lstat()
        body = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        out[str(path.relative_to(root))] = (stat.filemode(info.st_mode), info.st_uid, info.st_gid, body)
    return out


def place(undo: str, *items: dict[str, Any], validate: list[str] | None = None, **more: Any) -> fileset.Result:
    more.setdefault("keep", None)
    more.setdefault("check", False)
    wanted = fileset.Wanted(
        [dict(one, number=n) for n, one in enumerate(items)], validate or [], more.pop("commands", [])
    )
    return fileset.place(wanted, folder=undo, **more)


def everything(etc: Path) -> list[dict[str, Any]]:
    """A set that uses every state on a tree with entries of every kind."""
    (etc / "changed").write_text("old\n")
    (etc / "modes").write_text("same\n")
    (etc / "modes").chmod(0o600)
    (etc / "gone").write_text("precious\n")
    (etc / "link").symlink_to("old-target")
    (etc / "gone-link").symlink_to("nowhere")
    (etc / "full").mkdir(mode=0o711)
    (etc / "full" / "inner").write_text("inner\n")
    (etc / "linked").symlink_to("changed")
    return [
        item(etc / "changed", "new\n"),
        item(etc / "modes", "same\n"),
        item(etc / "gone", state="absent"),
        item(etc / "gone-link", state="absent"),
        item(etc / "link", state="link", target="new-target"),
        item(etc / "full", state="absent", recursive=True),
        item(etc / "linked", "a file now\n"),
        item(etc / "new" / "deep" / "file", "fresh\n", mode="0640"),
        item(etc / "new" / "deep", state="directory", mode="0750"),
        item(etc / "new", state="directory"),
    ]


def test_a_set_is_placed_and_a_second_time_nothing_changes(etc: Path, undo: str) -> None:
    entries = everything(etc)
    placed = place(undo, *entries)
    assert sorted(placed.paths) == sorted(entry["dest"] for entry in entries)
    assert tree(etc) == {
        "changed": ("-rw-r--r--", os.getuid(), os.getgid(), b"new\n"),
        "modes": ("-rw-r--r--", os.getuid(), os.getgid(), b"same\n"),
        "link": ("lrwxrwxrwx", os.getuid(), os.getgid(), "new-target"),
        "linked": ("-rw-r--r--", os.getuid(), os.getgid(), b"a file now\n"),
        "new": ("drwxr-xr-x", os.getuid(), os.getgid(), None),
        "new/deep": ("drwxr-x---", os.getuid(), os.getgid(), None),
        "new/deep/file": ("-rw-r-----", os.getuid(), os.getgid(), b"fresh\n"),
    }
    assert place(undo, *entries) == fileset.Result()
    assert os.listdir(undo) == [".lock"]


def test_a_failed_validation_puts_everything_back(etc: Path, undo: str) -> None:
    entries = everything(etc)
    before = tree(etc)
    script = f"grep -q fresh {etc}/new/deep/file && echo {etc}/changed: line 1 is bad >&2; exit 3"
    with pytest.raises(paths.RolledBack) as caught:
        place(undo, *entries, validate=["sh", "-c", script])
    assert "failed (status 3)" in str(caught.value)
    assert f"{etc}/changed: line 1 is bad" in str(caught.value)  # it saw the set in place
    assert f"{etc}/changed is made from template a.j2" in str(caught.value)
    assert tree(etc) == before
    assert os.listdir(undo) == [".lock"]


def test_a_failed_write_puts_everything_back(etc: Path, undo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = everything(etc)
    before = tree(etc)
    real = fileset.apply

    def fail(step: planning.Step, aside: str | None) -> None:
        if step.item["dest"].endswith("/linked"):
            raise OSError(28, "No space left on device")
        real(step, aside)

    monkeypatch.setattr(fileset, "apply", fail)
    with pytest.raises(paths.RolledBack, match=r"files\[6\] \(a.j2 -> .*/linked\): .*No space left"):
        place(undo, *entries)
    assert tree(etc) == before


@pytest.mark.parametrize("when", ["before the first write", "after the third", "while validating"])
def test_a_killed_call_is_undone_by_the_next(etc: Path, undo: str, when: str) -> None:
    entries = everything(etc)
    before = tree(etc)
    code = """
import json, os, signal, sys
from ansible_collections.slipway.kit.plugins.module_utils.host.files import fileset, paths, planning, trial
when, undo, items = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
real, count = fileset.apply, 0
def apply(step, aside):
    global count
    if count == {"before the first write": 0, "after the third": 3}.get(when):
        os.kill(os.getpid(), signal.SIGKILL)
    count += 1
    real(step, aside)
fileset.apply = apply
fileset.place(fileset.Wanted(items, ["sh", "-c", "kill -9 $PPID"]), None, False, undo)
"""
    killed = subprocess.run(
        [sys.executable, "-c", code, when, undo, json.dumps(entries)], env={**os.environ, "PYTHONPATH": "collections"}
    )
    assert killed.returncode == -signal.SIGKILL
    journal = next(Path(undo).glob("open-*.json"))
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    (etc / (atomic.PART + "litter")).write_text("half")
    result = place(undo, item(etc / "changed", "old\n"))
    assert result.paths == []
    assert bool(result.recovered) == (when != "before the first write")
    assert tree(etc) == before
    assert os.listdir(undo) == [".lock"]


def test_what_was_kept_is_put_back_by_its_name(etc: Path, undo: str) -> None:
    entries = everything(etc)
    before = tree(etc)
    place(undo, *entries, keep="sites")
    assert fileset.restore("sites", True, undo).paths  # check mode reports and does nothing
    assert tree(etc) != before
    restored = fileset.restore("sites", False, undo)
    assert sorted(restored.paths) == sorted(entry["dest"] for entry in entries)
    assert tree(etc) == before
    assert os.listdir(undo) == [".lock"]
    assert fileset.restore("sites", False, undo).paths == []


def test_what_was_kept_is_forgotten_by_its_name(etc: Path, undo: str) -> None:
    place(undo, *everything(etc), keep="sites")
    after = {name: value for name, value in tree(etc).items() if not name.startswith(".")}
    fileset.forget("sites", False, undo)
    assert tree(etc) == after  # the folder set aside is gone too
    assert fileset.restore("sites", False, undo).paths == []
    assert fileset.forget("sites", False, undo).paths == []


class Daemon:
    """Reads a file on request, and refuses one in which it finds `bad`; `seen` is what it has read."""

    def __init__(self, etc: Path) -> None:
        self.conf, self._seen = etc / "conf", etc.parent / "seen"
        self.conf.write_text("old\n")
        script = f"cat {self.conf} >> {self._seen}; ! grep -q bad {self.conf}"
        self.commands = [["sh", "-c", script]]

    @property
    def seen(self) -> list[str]:
        return self._seen.read_text().split() if self._seen.exists() else []


def test_a_daemon_reads_what_changed_and_nothing_else(etc: Path, undo: str) -> None:
    daemon = Daemon(etc)
    place(undo, item(daemon.conf, "new\n"), commands=daemon.commands)
    place(undo, item(daemon.conf, "new\n"), commands=daemon.commands)
    place(undo, item(daemon.conf, "newer\n"), commands=daemon.commands, check=True)
    with pytest.raises(paths.RolledBack, match="false failed"):
        place(undo, item(daemon.conf, "unread\n"), commands=daemon.commands, validate=["false"])
    assert daemon.seen == ["new"]


def test_what_a_daemon_refuses_is_put_back_and_read_again(etc: Path, undo: str) -> None:
    daemon = Daemon(etc)
    with pytest.raises(paths.RolledBack, match=r"sh -c .* failed"):
        place(undo, item(daemon.conf, "bad\n"), commands=daemon.commands)
    assert daemon.seen == ["bad", "old"]
    assert daemon.conf.read_text() == "old\n"
    assert os.listdir(undo) == [".lock"]


def test_a_daemon_reads_what_was_kept_and_is_put_back(etc: Path, undo: str) -> None:
    daemon = Daemon(etc)
    place(undo, item(daemon.conf, "new\n"), commands=daemon.commands, keep="sites")
    place(undo, item(daemon.conf, "newer\n"), commands=daemon.commands, keep="sites")
    fileset.restore("sites", False, undo)
    assert daemon.seen == ["new", "newer", "old"]


def test_after_a_death_nobody_knows_what_the_daemon_has_read(etc: Path, undo: str) -> None:
    """The next call of any kind makes the daemon read the restored files."""
    daemon = Daemon(etc)
    code = """
import json, os, signal, sys
from ansible_collections.slipway.kit.plugins.module_utils.host.files import fileset, paths, planning, trial
undo, items, commands = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
real = fileset.validated
def validated(command, steps):
    real(command, steps)
    os.kill(os.getpid(), signal.SIGKILL)
fileset.validated = validated
fileset.place(fileset.Wanted(items, [], commands), None, False, undo)
"""
    words = [undo, json.dumps([item(daemon.conf, "new\n")]), json.dumps(daemon.commands)]
    result = subprocess.run([sys.executable, "-c", code, *words], env={**os.environ, "PYTHONPATH": "collections"})
    assert result.returncode == -signal.SIGKILL
    assert daemon.seen == ["new"]
    place(undo, item(etc / "another", "x\n"))
    assert daemon.seen == ["new", "old"]


def test_the_oldest_state_kept_is_the_one_to_go_back_to(etc: Path, undo: str) -> None:
    (etc / "a").write_text("one\n")
    place(undo, item(etc / "a", "two\n"), keep="sites")
    place(undo, item(etc / "a", "three\n"), item(etc / "b", "b\n"), keep="sites")
    place(undo, item(etc / "a", "three\n"), keep="sites")  # a run without changes keeps the saved files
    fileset.restore("sites", False, undo)
    assert tree(etc) == {"a": ("-rw-r--r--", os.getuid(), os.getgid(), b"one\n")}


def test_check_mode_writes_nothing_and_reports_all(etc: Path, undo: str) -> None:
    entries = [
        *everything(etc),
        item(etc / "no" / "such" / "folder", "x\n", owner="no-such-user", group="no-such-group"),
    ]
    before = tree(etc)
    placed = place(undo, *entries, check=True, validate=["false"])
    assert sorted(placed.paths) == sorted(entry["dest"] for entry in entries)
    assert tree(etc) == before
    assert not os.path.exists(undo)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"dest": "no/folder", "text": "x"}, "no is not there: add it to the set"),
        ({"dest": "full", "text": "x"}, "there is a directory, where a file shall be"),
        ({"dest": "full", "state": "link", "target": "x"}, "a link cannot replace"),
        ({"dest": "file", "state": "directory"}, "there is a file, where a directory shall be"),
        ({"dest": "full", "state": "absent"}, "recursive: true"),
        ({"dest": "pipe", "text": "x"}, "device, pipe or socket"),
        ({"dest": "new", "text": "x", "owner": "no-such-user"}, "there is no user no-such-user on this host"),
        ({"dest": "new", "text": "x", "group": "no-such-group"}, "there is no group no-such-group on this host"),
    ],
)
def test_what_cannot_be_placed_is_said_before_anything_is_written(
    etc: Path, undo: str, entry: dict[str, Any], message: str
) -> None:
    (etc / "full").mkdir()
    (etc / "full" / "inner").write_text("x")
    (etc / "file").write_text("x")
    os.mkfifo(etc / "pipe")
    before = tree(etc / "full")
    with pytest.raises(paths.Refused, match=r"^files\[1\] \(.*") as caught:
        place(undo, item(etc / "first", "x"), item(etc / entry.pop("dest"), **entry))
    assert message in str(caught.value)
    assert tree(etc / "full") == before
    assert not (etc / "first").exists()


def test_a_folder_may_go_with_the_files_that_the_set_removes(etc: Path, undo: str) -> None:
    (etc / "d").mkdir()
    (etc / "d" / "f").write_text("x")
    before = tree(etc)
    entries = [item(etc / "d", state="absent"), item(etc / "d" / "f", state="absent")]
    with pytest.raises(paths.RolledBack):
        place(undo, *entries, validate=["false"])
    assert tree(etc) == before
    place(undo, *entries)
    assert tree(etc) == {}


def test_a_set_that_contradicts_itself_is_refused(etc: Path, undo: str) -> None:
    (etc / "d").mkdir()
    with pytest.raises(paths.Refused, match="removes a folder above it"):
        place(undo, item(etc / "d", state="absent", recursive=True), item(etc / "d" / "f", "x"))


def test_secrets_are_in_no_diff(etc: Path, undo: str) -> None:
    (etc / "s").write_text("hunter1\n")
    placed = place(undo, item(etc / "s", "hunter2\n", diff=False), item(etc / "t", "hunter3\n", diff=False))
    assert "hunter" not in json.dumps(placed.diffs)
    assert placed.diffs[0]["before"] != placed.diffs[0]["after"]


def test_diffs_show_content_modes_and_links(etc: Path, undo: str) -> None:
    shown = json.dumps(place(undo, *everything(etc), check=True).diffs)
    for part in ("old\\n", "new\\n", "mode 0600 -> 0644", "link to old-target", "link to new-target", "new folder"):
        assert part in shown


def test_a_reader_never_meets_a_half_written_file(etc: Path, undo: str) -> None:
    path = etc / "f"
    path.write_text("old\n")
    with path.open() as reader:
        place(undo, item(path, "new\n"))
        assert reader.read() == "old\n"  # the old file was replaced, not truncated
    assert path.read_text() == "new\n"


def test_a_missing_validator_is_a_failure_like_any_other(etc: Path, undo: str) -> None:
    with pytest.raises(paths.RolledBack, match="no-such-command could not be run"):
        place(undo, item(etc / "f", "x"), validate=["no-such-command"])
    assert tree(etc) == {}


@pytest.mark.parametrize("name", ["../x", "", ".hidden", "a b"])
def test_a_name_to_keep_is_a_plain_name(etc: Path, undo: str, name: str) -> None:
    with pytest.raises(paths.Refused, match="cannot name"):
        fileset.restore(name, False, undo)


def test_a_broken_journal_is_named_and_nothing_is_written(etc: Path, undo: str) -> None:
    Path(undo).mkdir()
    Path(undo, "open-1.json").write_text("{")
    with pytest.raises(paths.Refused, match=r"open-1\.json cannot be read"):
        place(undo, item(etc / "f", "x"))
    assert tree(etc) == {}


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
def test_nginx_itself_judges_the_real_tree(etc: Path, undo: str) -> None:
    (etc / "conf.d").mkdir()
    main = f"pid {etc}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{ include {etc}/conf.d/*.conf; }}\n"
    site = etc / "conf.d" / "site.conf"
    command = ["nginx", "-t", "-q", "-c", str(etc / "nginx.conf")]
    good = item(site, f"server {{ listen unix:{etc}/s; }}\n")
    place(undo, item(etc / "nginx.conf", main), good, validate=command)
    before = tree(etc)
    with pytest.raises(paths.RolledBack) as caught:
        place(undo, item(site, "server { listen unix:/x; nonsense on; }\n"), validate=command)
    assert 'unknown directive "nonsense"' in str(caught.value)
    assert f"{site} is made from template a.j2" in str(caught.value)
    assert tree(etc) == before


# -------------------------------------------------------------------------------------------------------------- prove
def tried(undo: str, etc: Path, seconds: float, *commands: list[str]) -> bool:
    """Change a file and put it on trial; going back leaves a trace next to it."""
    (etc / "sshd").write_text("old\n")
    place(undo, item(etc / "sshd", "new\n"), keep="ssh")
    return trial.prove("ssh", list(commands), [["false"], ["touch", str(etc / "undone")]], seconds, undo)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + patience(10)
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.05)


def test_what_nobody_proves_goes_back_by_itself(undo: str, etc: Path) -> None:
    assert tried(undo, etc, 0.5, ["touch", str(etc / "applied")])
    assert (etc / "sshd").read_text() == "new\n"
    assert (etc / "applied").exists()
    wait_for(etc / "undone")
    assert (etc / "sshd").read_text() == "old\n"
    assert not fileset.forget("ssh", False, undo).forgotten


def test_what_is_proved_stays(undo: str, etc: Path) -> None:
    assert tried(undo, etc, 1.0)
    assert watchers()
    assert fileset.forget("ssh", False, undo).forgotten
    deadline = time.monotonic() + patience(10)
    while watchers():
        assert time.monotonic() < deadline, "the watching process goes on"
        time.sleep(0.05)
    assert (etc / "sshd").read_text() == "new\n"
    assert not (etc / "undone").exists()


def test_what_cannot_be_applied_goes_back_at_once(undo: str, etc: Path) -> None:
    with pytest.raises(paths.RolledBack, match="false failed"):
        tried(undo, etc, 60, ["false"])
    assert (etc / "sshd").read_text() == "old\n"
    assert (etc / "undone").exists()


def test_nothing_changed_is_nothing_to_prove(undo: str, etc: Path) -> None:
    (etc / "sshd").write_text("same\n")
    place(undo, item(etc / "sshd", "same\n"), keep="ssh")
    assert not trial.prove("ssh", [["touch", str(etc / "applied")]], [], 60, undo)
    assert not (etc / "applied").exists()


def watchers() -> list[str]:
    """The processes that watch over a trial: forked from this one, in their own session."""
    mine = Path("/proc/self/cmdline").read_bytes()
    pids = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            same = process.joinpath("cmdline").read_bytes() == mine and process.name != str(os.getpid())
            session = process.joinpath("stat").read_text().rpartition(")")[2].split()[3]
            environ = process.joinpath("environ").read_bytes()
        except OSError:
            continue
        if same and session != str(os.getsid(0)) and environ == Path("/proc/self/environ").read_bytes():
            pids.append(process.name)
    return pids


def test_random_digits_are_the_host_s_own_and_stay(etc: Path, undo: str) -> None:
    """The controller never knows them. They end where a later kit changes the text around them."""
    path = etc / "visit.conf"

    def run(text: str) -> bool:
        return place(undo, item(path, text, mode="0600", diff=False, random=True)).changed

    assert run("a @random@ b\n")
    first = path.read_text()
    assert re.fullmatch(r"a [0-9a-f]{32} b\n", first)
    assert not run("a @random@ b\n")
    assert run("new: @random@\n")
    assert re.fullmatch(r"new: [0-9a-f]{32}\n", path.read_text()) and first[2:34] not in path.read_text()
    path.write_text("damaged\n")
    assert run("a @random@ b\n")
    assert re.fullmatch(r"a [0-9a-f]{32} b\n", path.read_text()) and path.read_text() != first
    plain = etc / "plain.conf"
    place(undo, item(plain, "a @random@ b\n"))
    assert plain.read_text() == "a @random@ b\n"
