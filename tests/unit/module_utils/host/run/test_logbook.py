"""An app's lines: which belong together, when they were written, and that none is lost or doubled over a rotation."""

from __future__ import annotations

import gzip
import json
import os
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import log_lines
from ansible_collections.slipway.kit.plugins.module_utils.contract import queries
from ansible_collections.slipway.kit.plugins.module_utils.contract.errors import HostError
from ansible_collections.slipway.kit.plugins.module_utils.host.run import logbook, logfiles

from tests.patience import patience

TRACE = """\
[2026-01-02 03:04:05 +0000] [7] [ERROR] Error handling request /boom
Traceback (most recent call last):
  File "web.py", line 1, in app
    raise KeyError
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "web.py", line 2, in app
    raise ValueError
ValueError: y
after it
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    (tmp_path / "shop/releases").mkdir(parents=True)
    return tmp_path / "shop"


def read(root: Path, path: Path, **options: Any) -> dict[str, Any]:
    log = logfiles.Log("web", "", str(path), 0.0)
    settings = {"since": 0.0, "pattern": "", "follow": False, "cursors": None, "wait": 0.0, **options}
    return logbook.read(str(root), [log], **settings)


def old(path: Path) -> None:
    """Nothing was written for some seconds: the last entry is whole."""
    os.utime(path, (time.time() - 5, time.time() - 5))


def test_a_traceback_stays_together() -> None:
    first, second = logbook.group(TRACE.encode(), 0)
    assert first.lines[-1] == "ValueError: y" and len(first.lines) == 12 and second.lines == ["after it"]
    assert first.at == 1767323045.0 and second.offset == TRACE.index("after")


def test_lines_without_a_time_are_separate() -> None:
    entries = list(logbook.group(b"one\ntwo\n  more of two\nTraceback (most recent call last):\n  x\nE: y\nthree\n", 0))
    assert [entry.lines[0] for entry in entries] == ["one", "two", "three"]


def test_a_traceback_belongs_to_the_line_before_it_without_a_time_too() -> None:
    """As `logging` writes it by default. One that follows without a word is another one."""
    trace = "Traceback (most recent call last):\n  x\nE: y\n"
    text = f"Internal Server Error: /boom [request id-1]\n{trace}{trace}next\n"
    entries = [entry.lines for entry in logbook.group(text.encode(), 0)]
    assert [lines[0] for lines in entries] == [
        "Internal Server Error: /boom [request id-1]",
        trace.splitlines()[0],
        "next",
    ]
    assert entries[0][1:] == entries[1] == trace.splitlines()


@pytest.mark.parametrize(
    ("line", "when"),
    [
        ("[2026-01-02 03:04:05 +0000] [7] [INFO] x", 1767323045.0),
        ("2026-01-02T03:04:05.250Z x", 1767323045.25),
        ("2026-01-02T05:04:05+02:00 x", 1767323045.0),
        ('{"level": "info", "timestamp": "2026-01-02T03:04:05Z"}', 1767323045.0),
        ('{"ts": 1767323045.5}', 1767323045.5),
        ("2026-13-02 03:04:05", None),
        ("no time", None),
        ('{"time": {"time": 1}}', None),
        ("{" * 100_000, None),
    ],
)
def test_the_time_of_a_line(line: str, when: float | None) -> None:
    assert logbook.moment(line) == when


def test_a_time_that_cannot_be_is_not_believed() -> None:
    """An app could hide lines from `since` by it, or move the lines around it."""
    entries = [
        logbook.Entry(["x"], stamp, 0) for stamp in (1000.0, 915_000_000.0, 1010.0, 2_000_000_000.0, 900.0, 1020.0)
    ]
    logbook.doubt(entries, 1000, 1020)
    assert [entry.at for entry in entries] == [1000, None, 1010, None, None, 1020]
    logbook.fill(entries, 1000, 1020, later=False, now=2000)
    assert [round(entry.at or 0) for entry in entries] == [1000, 1005, 1010, 1013, 1017, 1020]


def test_lines_without_a_time_are_between_their_neighbours(root: Path) -> None:
    path = root / "log"
    path.write_text("[2026-01-02 03:04:05 +0000] a\nb\nc\n[2026-01-02 03:04:08 +0000] d\n")
    times = [entry["at"] // 1000 - 1767323045 for entry in read(root, path)["entries"]]
    assert times == [0, 1, 2, 3]


def test_since_and_grep_reach_into_what_was_rotated(root: Path) -> None:
    path = root / "log"
    with gzip.open(f"{path}.2.gz", "wt") as packed:
        packed.write("[2026-01-02 03:04:01 +0000] packed\n")
    Path(f"{path}.1").write_text("[2026-01-02 03:04:05 +0000] moved\n")
    path.write_text("[2026-01-02 03:04:09 +0000] last\nwithout end")
    texts = [entry["text"].split()[-1] for entry in read(root, path)["entries"]]
    assert texts == ["packed", "moved", "last", "end"]
    assert [entry["text"][-5:] for entry in read(root, path, since=1767323044.0, pattern="moved$")["entries"]] == [
        "moved"
    ]


def test_following_over_rotations_loses_and_doubles_nothing(root: Path) -> None:
    path = root / "log"
    path.write_text("0\n")
    seen: list[str] = []
    cursors = None
    writer = path.open("a")
    for number in range(1, 40):
        writer.write(f"{number}\n")
        writer.flush()
        if number % 5 == 0:  # moved; the writer still adds to it before it opens the new one
            for other in range(8, 0, -1):
                if Path(f"{path}.{other}").exists():
                    os.rename(f"{path}.{other}", f"{path}.{other + 1}")
            path.rename(f"{path}.1")
            answer = read(root, path, follow=True, cursors=cursors)
            seen += [entry["text"] for entry in answer["entries"]]
            cursors = json.loads(answer["cursors"])
            writer.write(f"late {number}\n")
            writer.close()
            writer = path.open("a")
        answer = read(root, path, follow=True, cursors=cursors)
        seen += [entry["text"] for entry in answer["entries"]]
        cursors = json.loads(answer["cursors"])
    writer.close()
    for each in root.glob("log*"):
        old(each)
    seen += [entry["text"] for entry in read(root, path, follow=True, cursors=cursors)["entries"]]
    wanted = [*map(str, range(40)), *(f"late {number}" for number in range(5, 40, 5))]
    assert sorted(seen) == sorted(wanted)


def test_a_file_that_was_away_for_a_moment_is_not_read_again(root: Path) -> None:
    """Its release is just being removed, for example; its log may stay."""
    path, aside = root / "log", root / "aside"
    path.write_text("one\ntwo\n")
    old(path)
    cursors = json.loads(read(root, path, follow=True)["cursors"])
    path.rename(aside)
    for _ in range(2):
        answer = read(root, path, follow=True, cursors=cursors)
        assert answer["entries"] == []
        cursors = json.loads(answer["cursors"])
    other = logfiles.Log("web", "", str(root / "other"), 0.0)
    cursors = json.loads(logbook.read(str(root), [other], 0.0, "", True, cursors, 0.0)["cursors"])
    aside.rename(path)
    with path.open("a") as log:
        log.write("three\n")
    old(path)
    assert [entry["text"] for entry in read(root, path, follow=True, cursors=cursors)["entries"]] == ["three"]


def test_cursors_of_files_that_are_away_do_not_pile_up() -> None:
    cursors: logfiles.Cursors = {}
    for number in range(500):
        cursors = logfiles.remembered({"log": {str(number): (1, "")}, f"log {number}": {"1": (1, "")}}, cursors)
    assert len(cursors) <= logfiles.LOGS and len(cursors["log"]) == logfiles.FILES + 1 and "499" in cursors["log"]


def test_a_flood_is_read_in_several_calls_and_whole(root: Path) -> None:
    path = root / "log"
    path.write_text("first\n")
    old(path)
    cursors = json.loads(read(root, path, follow=True)["cursors"])
    path.write_text("first\n" + "".join(f"{number} {'x' * 900}\n" for number in range(12_000)))
    old(path)
    seen: list[str] = []
    for _ in range(20):
        answer = read(root, path, follow=True, cursors=cursors)
        assert len(answer["entries"]) <= logbook.ENTRIES and answer["left_out"] == 0
        seen += [entry["text"].split()[0] for entry in answer["entries"]]
        cursors = json.loads(answer["cursors"])
    assert seen == list(map(str, range(12_000)))


def test_logrotates_names_are_read_beside_those_of_a_rotation_by_size(root: Path) -> None:
    path = root / "log"
    for number, suffix in enumerate(("-20260101-1767222000.gz", "-20260102-1767308400", ".2", ".1", "")):
        text = f"[2026-01-02 03:04:0{number} +0000] {number}\n"
        file = Path(f"{path}{suffix}")
        file.write_bytes(gzip.compress(text.encode()) if suffix.endswith(".gz") else text.encode())
        os.utime(file, (time.time() - 90 + number, time.time() - 90 + number))
    Path(f"{path}-no-rotation").write_text("no\n")
    assert [entry["text"][-1] for entry in read(root, path)["entries"]] == list("01234")


def test_a_line_that_a_rotation_by_size_has_cut_is_one(root: Path) -> None:
    path = root / "log"
    for suffix, text in ((".2", "one\ntwo, "), (".1", "and more, "), ("", "and its end\nthree\n")):
        Path(f"{path}{suffix}").write_text(text)
        os.utime(f"{path}{suffix}", (time.time() - 50 + len(text), time.time() - 50 + len(text)))
    assert [entry["text"] for entry in read(root, path)["entries"]] == ["one", "two, and more, and its end", "three"]


@pytest.mark.parametrize("longer", [False, True])
def test_a_new_file_with_the_inode_of_a_removed_one_is_read_whole(root: Path, longer: bool) -> None:
    """The file stays, so that its inode does: what it holds is another log's."""
    path = root / "log"
    path.write_text("".join(f"old {number}\n" for number in range(9)))
    old(path)
    cursors = json.loads(read(root, path, follow=True)["cursors"])
    wanted = [f"new {number}" for number in range(20 if longer else 3)]
    with path.open("r+") as handle:
        handle.truncate(0)
        handle.write("".join(f"{line}\n" for line in wanted))
    old(path)
    assert logfiles.grown([logfiles.Log("web", "", str(path), 0.0)], cursors)
    answer = read(root, path, follow=True, cursors=cursors)
    assert [entry["text"] for entry in answer["entries"]] == wanted
    assert read(root, path, follow=True, cursors=json.loads(answer["cursors"]))["entries"] == []


def test_one_look_says_which_files_it_has_not_read_whole(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logbook, "LIMIT", 200)
    path = root / "log"
    lines = [f"[2026-01-02 03:{number:02}:05 +0000] line\n" for number in range(60)]
    path.write_text("".join(lines))
    Path(f"{path}.2.gz").write_bytes(gzip.compress("".join(lines).encode()))
    size, limit = path.stat().st_size, 200
    answer = read(root, path)
    assert answer["unread"] == [
        {"path": f"{path}.2.gz", "bytes": size - limit}, {"path": str(path), "bytes": size - limit}
    ]  # fmt: skip
    [text] = [line for line in log_lines.left_out("one", answer) if line.endswith("sudo less " + str(path))]
    assert f"the first {size - limit} bytes of {path} were not read" in text
    # What was not read is older than what was asked for.
    assert read(root, path, since=1767326200.0)["unread"] == []


def test_timers_have_one_log_for_all_releases(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for release in ("v1-0123abcd", "v2-0123abcd"):
        (root / "releases" / release).mkdir()
        (root / "releases" / release / "manifest.json").write_text("{}")
    timer = SimpleNamespace(name="clean", log="/var/log/slipway/shop/timer.clean.log")
    made = SimpleNamespace(programs=(), timers=(timer,))
    monkeypatch.setattr(logfiles.releases, "manifest_or_none", lambda _root, _id: made)
    assert [(log.source, log.path) for log in logfiles.logs(str(root), ())] == [("timer.clean", timer.log)]


def test_bad_releases_that_are_removed_have_logs(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, bad = "v2-00000002", "v1-00000001"
    (root / "releases" / kept).mkdir()
    (root / "releases" / kept / "manifest.json").write_text("{}")
    (root / "bad-releases.json").write_text(json.dumps({bad: {"reason": "rolled back", "when": ""}}))
    for name in (kept, bad, f"{bad}.worker.2", "v0-00000000", "timer.clean"):
        (root / f"{name}.log").touch()
    (root / f"{bad}.log-20260101-1767225600.gz").touch()
    made = SimpleNamespace(programs=[SimpleNamespace(name="web", log=f"{root}/{kept}.log")], timers=())
    monkeypatch.setattr(logfiles.releases, "manifest_or_none", lambda _root, _id: made)
    assert sorted((log.release_id, log.source, os.path.basename(log.path)) for log in logfiles.logs(str(root), ())) == [
        (bad, "web", f"{bad}.log"), (bad, "worker.2", f"{bad}.worker.2.log"), (kept, "web", f"{kept}.log")
    ]  # fmt: skip


SOURCES = ("web", "worker.1", "worker.2", "timer.1", "timer.clean", "nginx", "nginx error")


@pytest.mark.parametrize(
    ("program", "sources"),
    [
        ("", SOURCES),
        ("web", ("web",)),
        ("worker", ("worker.1", "worker.2")),
        ("worker.2", ("worker.2",)),
        ("timer", ("timer.1",)),
        ("clean", ("timer.clean",)),
        ("timer.clean", ("timer.clean",)),
        ("nginx", ("nginx", "nginx error")),
    ],
)
def test_the_logs_of_one_program(program: str, sources: tuple[str, ...]) -> None:
    every = [logfiles.Log(source, "", f"/log/{source}", 0.0) for source in SOURCES]
    assert tuple(log.source for log in logfiles.of_program(every, program)) == sources


@pytest.mark.parametrize(
    ("program", "hint"), [("wroker", "did you mean worker?"), ("x", "there are: nginx, nginx error, ")]
)
def test_a_program_without_a_log(program: str, hint: str) -> None:
    every = [logfiles.Log(source, "", f"/log/{source}", 0.0) for source in SOURCES]
    with pytest.raises(HostError, match=f"no program {program} of the app has a log on this host; {hint}"):
        logfiles.of_program(every, program)


def follow(root: Path, logs: list[logfiles.Log], cursors: Any) -> tuple[list[str], Any]:
    """The texts of one answer to who follows logs, and the cursors for the next call."""
    answer = logbook.read(str(root), logs, 0.0, "", True, cursors, 0.0)
    return [entry["text"] for entry in answer["entries"]], json.loads(answer["cursors"])


def test_a_rotation_while_the_files_are_opened_hides_none(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files have been listed, and one is moved before it is opened: each of them in turn."""
    path = root / "log"
    for moved in range(3):
        for each in root.glob("log*"):
            each.unlink()
        for number, name in enumerate(("log.2", "log.1", "log")):
            (root / name).write_text(f"{number}\n")
            old(root / name)
        logs = [logfiles.Log("web", "", str(path), 0.0)]
        _, cursors = follow(root, logs, None)
        opened = os.open
        count = 0

        def rotating(name: str, flags: int, *others: Any, **named: Any) -> int:
            nonlocal count
            if str(name).startswith(str(path)):
                if count == moved:  # noqa: B023 (called in this round only)
                    for end in ("log.2", "log.1", "log"):
                        number = int(end.partition(".")[2] or 0)
                        (root / end).rename(root / f"log.{number + 1}")
                    path.write_text("3\n")
                    old(path)
                count += 1
            return opened(name, flags, *others, **named)  # noqa: B023

        with monkeypatch.context() as patch:
            patch.setattr(os, "open", rotating)
            first, cursors = follow(root, logs, cursors)
        second, _ = follow(root, logs, cursors)
        assert count and first + second == ["3"], moved


def test_what_takes_much_room_in_an_answer_comes_in_several(root: Path) -> None:
    path = root / "log"
    character = "\u6f22"
    path.write_text("".join(f"{number} {character * 1000}\n" for number in range(1500)), encoding="utf-8")
    old(path)
    assert read(root, path)["left_out"] > 0
    seen: list[str] = []
    cursors: Any = {}
    for _ in range(10):
        texts, cursors = follow(root, [logfiles.Log("web", "", str(path), 0.0)], cursors)
        seen += [text.split()[0] for text in texts]
    assert seen == list(map(str, range(1500)))


def test_a_flooded_log_does_not_hold_up_the_others(root: Path) -> None:
    (root / "a").write_text("x\n" * 30_000)
    (root / "b").write_text("the other\n")
    old(root / "a")
    old(root / "b")
    texts, _ = follow(root, [logfiles.Log(name, "", str(root / name), 0.0) for name in "ab"], {})
    assert "the other" in texts


def test_a_traceback_that_is_not_read_to_its_end_stays_together(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = root / "log"
    path.write_text(f"{'x' * 100}\n" * 2 + TRACE)
    old(path)
    seen: list[str] = []
    cursors: Any = {}
    for limit in (350, len(TRACE), len(TRACE)):
        monkeypatch.setattr(logbook, "LIMIT", limit)
        texts, cursors = follow(root, [logfiles.Log("web", "", str(path), 0.0)], cursors)
        seen += texts
    assert [text.split()[0] for text in seen[2:]] == ["[2026-01-02", "after"]


def test_a_release_that_is_removed_meanwhile_has_no_logs(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its manifest was just read, and is then gone."""
    (root / "releases/20260102T030405Z-abc").mkdir(parents=True)
    monkeypatch.setattr(logfiles.names, "RELEASE", re.compile(".*"))
    monkeypatch.setattr(
        logfiles.releases, "manifest_or_none", lambda _root, _id: SimpleNamespace(programs=(), timers=())
    )
    assert logfiles.logs(str(root), []) == []


def test_the_end_of_a_moved_file_is_shown_without_a_newline(root: Path) -> None:
    path = root / "log"
    path.write_text("first\ncut")
    old(path)
    logs = [logfiles.Log("web", "", str(path), 0.0)]
    texts, cursors = follow(root, logs, {})
    assert texts == ["first"]
    path.rename(root / "log.1")
    path.write_text("last\n")
    old(path)
    texts, cursors = follow(root, logs, cursors)
    assert texts == ["cut", "last"]
    assert follow(root, logs, cursors)[0] == []


def test_one_look_shows_the_last_entries_and_says_how_many_are_left_out(root: Path) -> None:
    path = root / "log"
    path.write_text("".join(f"{number}\n" for number in range(logbook.ENTRIES + 7)))
    answer = read(root, path)
    assert answer["left_out"] == 7 and answer["entries"][-1]["text"] == str(logbook.ENTRIES + 6)


def test_a_link_in_the_place_of_a_log_is_not_followed(root: Path) -> None:
    (root / "secret").write_text("secret\n")
    (root / "log").symlink_to(root / "secret")
    assert read(root, root / "log")["entries"] == []


def test_lines_of_other_apps_of_a_site_are_left_out() -> None:
    log = logfiles.Log("nginx error", "", "/x", 0.0, "/shop")
    assert logbook._about(log, '2026/01/02 [error] 7#7: x, request: "GET /shop/a HTTP/1.1"')
    assert not logbook._about(log, '2026/01/02 [error] 7#7: x, request: "GET /blog HTTP/1.1"')
    assert logbook._about(log, "2026/01/02 [error] without a request")


def test_a_query_s_secrets_are_hidden_in_nginx_s_lines(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    path.write_text('2026/01/02 03:04:05 [error] 1#1: *1 no live upstreams, request: "GET /?token=hunter2 HTTP/1.1"\n')
    old(path)
    for source, shown in (("nginx error", "token=*** HTTP"), ("nginx", "token=*** HTTP")):
        answer = logbook.read(str(root), [logbook.Log(source, "", str(path), 0.0)], 0.0, "", False, None, 0.0)
        assert shown in answer["entries"][0]["text"], source
        assert "hunter2" not in answer["entries"][0]["text"]


@pytest.mark.parametrize(
    "text",
    [
        "?" + "token" * 20_000,
        "?token=" + "?token" * 20_000,
        "&;?=" * 20_000,
        "?a=" + '"' * 100_000,
        "?key=" + '"x' * 50_000,
    ],
)
def test_hiding_takes_a_time_in_proportion(text: str) -> None:
    begin = time.monotonic()
    queries.masked(text)
    assert time.monotonic() - begin < patience(1)


@pytest.mark.parametrize("line", [b"a\n", b"\n", b"2026-01-02 03:04:05 x\n"])
def test_an_app_that_writes_many_short_lines_does_not_hide_its_log(root: Path, tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(line * (logbook.LIMIT // len(line)) + b"the end\n")
    old(path)
    answer = read(root, path)
    assert answer["entries"][-1]["text"].endswith("the end") or line == b"\n"
    assert answer["unread"] and answer["unread"][0]["bytes"] == path.stat().st_size - len(line) * (
        logbook.LINES - 1
    ) - len(b"the end\n")


def test_lines_beyond_those_of_one_call_are_for_the_next(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logbook, "LINES", 3)
    path = tmp_path / "log"
    path.write_text("0\n")
    old(path)
    answer = read(root, path, follow=True)
    moved = path.rename(tmp_path / "log.1")
    with moved.open("a") as file:
        file.writelines(f"{number}\n" for number in range(1, 10))
    path.write_text("10\n11\n")
    texts = [entry["text"] for entry in answer["entries"]]
    for _ in range(12):
        old(path)
        old(moved)
        answer = read(root, path, follow=True, cursors=json.loads(answer["cursors"]))
        texts += [entry["text"] for entry in answer["entries"]]
    assert texts == [str(number) for number in range(12)]


def test_half_a_secret_where_an_entry_is_cut(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hides:
        secrets = ("KEY",)

    release = root / "releases/v1-01234567"
    release.mkdir()
    (release / "environment.json").write_text(json.dumps({"KEY": "correct horse"}))
    monkeypatch.setattr(logbook.releases, "manifest_or_none", lambda *_: Hides)
    path = tmp_path / "log"
    path.write_text("x" * (logbook.LONGEST - 8) + "correct horse\n")
    old(path)
    (entry,) = read(root, path)["entries"]
    assert entry["text"].endswith("x$KEY")


NESTED = '{"time":[' + ",".join(["[" * 400 + "]" * 400] * 10_000) + "]}"
"""A line of 8 MB, whose value takes half a gigabyte."""


def test_a_line_that_no_logger_writes_costs_no_memory(root: Path) -> None:
    path = root / "log"
    path.write_text(f"[2026-01-02 03:04:05 +0000] one\n{NESTED}\n[2026-01-02 03:04:06 +0000] two\n")
    begun = time.process_time()
    assert logbook.moment(NESTED) is None
    assert time.process_time() - begun < patience(0.1)
    assert {entry["text"][:31] for entry in read(root, path)["entries"]} >= {"[2026-01-02 03:04:06 +0000] two"}


@pytest.mark.parametrize("fault", [MemoryError, RecursionError, ValueError])
def test_a_fault_in_one_file_leaves_out_that_file_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
) -> None:
    def broken(data: bytes, begin: int, access_log: bool = False) -> Any:
        if b"bad" in data:
            raise fault
        return group(data, begin, access_log)

    group = logbook.group
    monkeypatch.setattr(logbook, "group", broken)
    good, bad = root / "good", root / "bad"
    good.write_text("good\n")
    bad.write_text("bad\n")
    every = [logfiles.Log("web", "", str(path), 0.0) for path in (bad, good)]
    answer = logbook.read(str(root), every, 0.0, "", False, None, 0.0)
    assert [entry["text"] for entry in answer["entries"]] == ["good"]
    assert answer["unread"] == [{"path": str(bad), "bytes": 4}]
    followed = logbook.read(str(root), every, 0.0, "", True, json.loads(answer["cursors"]), 0.0)
    assert followed["entries"] == [] and followed["unread"] == []


def test_a_compressed_file_that_takes_too_long_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logbook, "UNPACKING", -1.0)
    path = root / "log"
    path.write_text("[2026-01-02 03:04:05 +0000] now\n")
    Path(f"{path}.2.gz").write_bytes(gzip.compress(b"before\n"))
    answer = read(root, path)
    assert [entry["text"] for entry in answer["entries"]] == ["[2026-01-02 03:04:05 +0000] now"]
    assert [one["path"] for one in answer["unread"]] == [f"{path}.2.gz"]
