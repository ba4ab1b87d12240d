"""Real runs of the launcher: the command itself reports what it sees."""

from __future__ import annotations

import grp
import json
import os
import pwd
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.patience import patience
from tests.real.conftest import until

LAUNCHER = Path(__file__).parents[4] / "plugins/module_utils/programs/launcher.py"
DUMP = [
    "/usr/bin/python3",
    "-Ic",
    "import json,os;print(json.dumps({k.decode('latin-1'):v.decode('latin-1') for k,v in os.environb.items()}))",
]
BASE = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "PYTHONUNBUFFERED"}
ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="needs root to become another user")


def write(path: Path, entries: object) -> Path:
    """Write ENTRIES the way a deploy writes environment.json."""
    path.write_text(json.dumps(entries, ensure_ascii=True), encoding="ascii")
    return path


def launch(*arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["/usr/bin/python3", "-I", str(LAUNCHER), *map(str, arguments)],
        env={"CALLER": "must not survive", **(env or {})},
        capture_output=True,
        timeout=30,
        check=False,
    )


def seen(tmp: Path, entries: dict[str, str], *options: str, env: dict[str, str] | None = None) -> dict[bytes, bytes]:
    """Return the environment that a launched command finds, in bytes."""
    result = launch(*options, write(tmp / "environment.json", entries), "--", *DUMP, env=env)
    assert result.returncode == 0, result.stderr.decode()
    return {k.encode("latin-1"): v.encode("latin-1") for k, v in json.loads(result.stdout).items()}


def raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ==\n-----END PRIVATE KEY-----\n"
NASTY = [
    "", " ", "  edges  ", "\t", "\n", "\r", "\r\n", "a\nb\n\n", "trailing\\", "\\", "\\\\", "\\n", "$", "$$", "$HOME",
    "${HOME}", "$(id)", "`id`", "%", "%%", "%n", "%(ENV_HOME)s", '"', "'", "\"'", '"quoted"', "'quoted'", "a\"b'c",
    "#", "a #b", ";", "a ;b", "a,b", "a=b", "=", "!", "*", "~", "{}", "{{ x }}", "é", "ünïcödé ☃ 🚢", "\ufeffbom",
    "line\u2028separator", "\x01\x02\x1b[31m\x7f", "\udcff\udc80", "mixed \udcfe é", PEM, "x" * 100_000,
    '{"json": "in\\njson"}', "postgres://u:p%40ss@h/db?a=b&c=d",
]  # fmt: skip


def test_nasty_values_arrive_to_the_byte(tmp_path: Path) -> None:
    entries = {f"V{number}": value for number, value in enumerate(NASTY)}
    got = seen(tmp_path, entries)
    assert {k: v for k, v in got.items() if k.startswith(b"V")} == {raw(k): raw(v) for k, v in entries.items()}


# Every byte sequence without NUL can be a value; text is the usual case, with its odd characters.
VALUES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    st.text(alphabet="\"'\\$`%#;, \n\r\t=", max_size=20),
    st.binary(max_size=300).map(lambda b: b.replace(b"\0", b"\xff").decode("utf-8", "surrogateescape")),
)
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0="), min_size=1, max_size=20)


# The base sets these itself; everything else must come from the file. LC_ALL and PYTHON* would change how the
# dumping interpreter starts (an unusable PYTHONHOME), not what it is given, and -I keeps it indifferent.
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=st.dictionaries(NAMES, VALUES, min_size=1, max_size=40))
def test_any_environment_arrives_to_the_byte(tmp_path: Path, entries: dict[str, str]) -> None:
    got = seen(tmp_path, entries)
    wanted = {raw(k): raw(v) for k, v in entries.items()}
    assert {k: v for k, v in got.items() if k in wanted} == wanted
    assert set(got) - set(wanted) <= {name.encode() for name in BASE} | {b"LC_CTYPE"}


def test_base_environment_is_fixed_and_the_callers_is_gone(tmp_path: Path) -> None:
    got = seen(tmp_path, {"A": "1"}, "--venv", "/srv/x/venv")
    me = pwd.getpwuid(os.getuid())
    assert got == {
        b"PATH": b"/srv/x/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        b"VIRTUAL_ENV": b"/srv/x/venv",
        b"HOME": me.pw_dir.encode(),
        b"USER": me.pw_name.encode(),
        b"LOGNAME": me.pw_name.encode(),
        b"LANG": b"C.UTF-8",
        b"PYTHONUNBUFFERED": b"1",
        b"A": b"1",
    }


def test_the_apps_own_values_win_over_the_base(tmp_path: Path) -> None:
    got = seen(tmp_path, {"LANG": "de_DE.UTF-8", "HOME": "/elsewhere"})
    assert (got[b"LANG"], got[b"HOME"]) == (b"de_DE.UTF-8", b"/elsewhere")


def test_notify_socket_of_the_manager_is_kept(tmp_path: Path) -> None:
    assert seen(tmp_path, {}, env={"NOTIFY_SOCKET": "/run/notify"})[b"NOTIFY_SOCKET"] == b"/run/notify"


def test_notify_socket_of_a_stranger_is_dropped(tmp_path: Path) -> None:
    me = pwd.getpwuid(os.getuid()).pw_name
    assert b"NOTIFY_SOCKET" not in seen(tmp_path, {}, "--user", me, env={"NOTIFY_SOCKET": "/run/notify"})


@pytest.mark.parametrize("locale", ["C", "POSIX", "de_DE.ISO-8859-1", ""])
def test_arguments_and_values_do_not_depend_on_the_locale(tmp_path: Path, locale: str) -> None:
    file = write(tmp_path / "environment.json", {"Ä": "é\udcff"})
    code = "import os,sys;print(os.environb['Ä'.encode()], os.fsencode(sys.argv[1]))"
    result = launch(file, "--", "/usr/bin/python3", "-Ic", code, "ö", env={"LC_ALL": locale})
    assert result.stdout.decode().strip() == f"{raw('é' + chr(0xDCFF))!r} {raw('ö')!r}"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"A=B": "x"}', "cannot name"),
        ('{"": "x"}', "cannot name"),
        ('{"A\\u0000B": "x"}', "cannot name"),
        ('{"A": "x\\u0000y"}', "holds a NUL byte"),
        ('{"A": "\\ud800"}', "half a character"),
        ('{"A": 5}', "not a string"),
        ('{"A": null}', "not a string"),
        ('["A"]', "no JSON object"),
        ('{"A": "hunter2', "line 1"),
        ('{"A": "é"}', "not ASCII"),
        (json.dumps({"A": "x" * 140_000 * (os.sysconf("SC_PAGESIZE") // 4096)}), "at most"),
    ],
)
def test_what_no_process_can_hold_is_refused(tmp_path: Path, content: str, says: str) -> None:
    file = tmp_path / "environment.json"
    file.write_text(content, encoding="utf-8")
    result = launch(file, "--", "/bin/echo", "started")
    assert (result.returncode, result.stdout) == (78, b"")
    text = result.stderr.decode()
    assert says in text
    assert text.count("\n") == 1
    assert "hunter2" not in text


def test_the_longest_value_that_linux_takes_is_not_refused(tmp_path: Path) -> None:
    longest = 32 * os.sysconf("SC_PAGESIZE") - 1 - len("A=")
    assert len(seen(tmp_path, {"A": "x" * longest})[b"A"]) == longest


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "expected an environment file"),
        (["{file}"], "expected an environment file"),
        (["{file}", "--"], "expected an environment file"),
        (["{file}", "/bin/true", "x"], "expected an environment file"),
        (["--colour", "red", "{file}", "--", "/bin/true"], "unknown option"),
        (["--limit", "stack=1", "{file}", "--", "/bin/true"], "NAME=N"),
        (["--limit", "nofile=many", "{file}", "--", "/bin/true"], "NAME=N"),
        (["--limit", "nofile=-1", "{file}", "--", "/bin/true"], "NAME=N"),
        (["--umask", "9", "{file}", "--", "/bin/true"], "octal"),
        (["--umask", "7777", "{file}", "--", "/bin/true"], "octal"),
        (["--socket", "/run/x", "{file}", "--", "/bin/true"], "belong together"),
        (["--socket", "/run/x", "--socket-group", "daemon", "{file}", "--", "/bin/true"], "needs --user"),
        (["--socket-mode", "0760", "{file}", "--", "/bin/true"], "needs --socket"),
        (
            ["--user", "nobody", "--socket", "/x", "--socket-group", "g", "--socket-mode", "rw", "{file}", "--", "x"],
            "--socket-mode 'rw' is not an octal number",
        ),
        (["--log", "/", "{file}", "--", "/bin/true"], "cannot write to the log's pipe"),
        (["--user", "no-such-user", "{file}", "--", "/bin/true"], "no user"),
        (["--chdir", "/no/such/folder", "{file}", "--", "/bin/true"], "cannot enter"),
        (["/no/such/file.json", "--", "/bin/true"], "cannot read"),
    ],
)
def test_a_wrong_call_is_refused_in_one_sentence(tmp_path: Path, arguments: list[str], says: str) -> None:
    file = write(tmp_path / "environment.json", {})
    result = launch(*(argument.format(file=file) for argument in arguments))
    assert result.returncode == 78
    assert says in result.stderr.decode()
    assert result.stderr.count(b"\n") == 1


def test_exit_codes_of_the_command_and_of_a_missing_one(tmp_path: Path) -> None:
    file = write(tmp_path / "environment.json", {})
    assert launch(file, "--", "/bin/sh", "-c", "exit 3").returncode == 3
    assert launch(file, "--", "/no/such/command").returncode == 127
    assert launch(file, "--", "no-such-command").returncode == 127
    assert launch(file, "--", str(file)).returncode == 126


def test_the_command_is_found_along_the_apps_own_path(tmp_path: Path) -> None:
    tool = tmp_path / "venv" / "bin" / "sl-tool"
    tool.parent.mkdir(parents=True)
    tool.write_text("#!/bin/sh\necho found\n")
    tool.chmod(0o755)
    file = write(tmp_path / "environment.json", {})
    assert launch("--venv", tmp_path / "venv", file, "--", "sl-tool").stdout == b"found\n"


def test_it_replaces_itself(tmp_path: Path) -> None:
    file = write(tmp_path / "environment.json", {})
    command = ["/usr/bin/python3", "-I", str(LAUNCHER), str(file), "--", "/bin/sh", "-c", "echo $$"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert int(process.stdout.read()) == process.pid


def test_pipes_in_hooks_end(tmp_path: Path) -> None:
    """An ignored SIGPIPE would survive exec, and `yes | head` would print an error instead of ending."""
    file = write(tmp_path / "environment.json", {})
    result = launch(file, "--", "/bin/bash", "-c", "yes | head -1; echo ${PIPESTATUS[0]}")
    assert result.stdout == b"y\n141\n"


def test_umask_directory_and_limits(tmp_path: Path) -> None:
    file = write(tmp_path / "environment.json", {})
    code = "import os;from resource import *;print(oct(os.umask(0)),os.getcwd(),*map(getrlimit,(RLIMIT_NOFILE,RLIMIT_CORE)))"
    result = launch(
        "--umask", "0027", "--chdir", tmp_path, "--limit", "nofile=300", "--limit", "core=0",
        file, "--", "/usr/bin/python3", "-Ic", code,
    )  # fmt: skip
    assert result.stdout.decode().strip() == f"0o27 {tmp_path} (300, 300) (0, 0)"


def test_a_limit_over_the_hosts_own_takes_the_hosts(tmp_path: Path) -> None:
    file = write(tmp_path / "environment.json", {})
    inner = "import resource as r;print(r.getrlimit(r.RLIMIT_NOFILE))"
    # nr_open bounds even root, so this is refused to everyone.
    result = launch("--limit", f"nofile={2**62}", file, "--", "/usr/bin/python3", "-Ic", inner)
    soft, hard = eval(result.stdout)
    assert soft == hard < 2**62
    assert b"this host allows no more" in result.stderr


@needs_root
class TestAsRoot:
    """Supervisor, hooks and the import probe rely on it."""

    REPORT = (
        "import json,os;s=open('/proc/self/status').read();"
        "f=lambda k:s.split(k+':')[1].split('\\n')[0].split();"
        "print(json.dumps({'ids':[os.getresuid(),os.getresgid()],'groups':os.getgroups(),"
        "'nnp':f('NoNewPrivs'),'caps':f('CapEff')+f('CapPrm'),'home':os.environ['HOME']}))"
    )

    @pytest.fixture
    def shared(self) -> Iterator[Path]:
        """A folder that `nobody` can enter, unlike pytest's own."""
        with tempfile.TemporaryDirectory(prefix="slipway-test-") as name:
            folder = Path(name)
            folder.chmod(0o755)
            yield folder

    def launcher(self, folder: Path) -> Path:
        copy = folder / "exec"
        copy.write_bytes(LAUNCHER.read_bytes())
        copy.chmod(0o755)
        return copy

    def test_user_is_dropped_to_for_good(self, shared: Path) -> None:
        file = write(shared / "environment.json", {"SECRET": "x"})
        file.chmod(0o600)
        nobody = pwd.getpwnam("nobody")
        result = subprocess.run(
            [self.launcher(shared), "--user", "nobody", file, "--", "/usr/bin/python3", "-Ic", self.REPORT],
            capture_output=True, check=True,
        )  # fmt: skip
        report = json.loads(result.stdout)
        assert report["ids"] == [[nobody.pw_uid] * 3, [nobody.pw_gid] * 3]
        assert set(report["groups"]) == set(os.getgrouplist("nobody", nobody.pw_gid))
        assert report["nnp"] == ["1"]
        assert report["caps"] == ["0" * 16, "0" * 16]
        assert report["home"] == nobody.pw_dir

    def test_a_setuid_program_gives_nothing_back(self, shared: Path) -> None:
        copy = shared / "id"
        copy.write_bytes(Path("/usr/bin/id").read_bytes())
        copy.chmod(0o4755)
        file = write(shared / "environment.json", {})
        result = launch("--user", "nobody", file, "--", str(copy), "-u")
        assert int(result.stdout) == pwd.getpwnam("nobody").pw_uid

    PASSED = (
        "import json,os,socket,time\n"
        "passed = socket.socket(fileno=3)\n"
        "print(json.dumps([os.environ['LISTEN_PID'] == str(os.getpid()), os.environ['LISTEN_FDS'],"
        " passed.getsockname(), passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)]))"
    )

    def test_a_socket_is_made_and_passed_on(self, shared: Path) -> None:
        file = write(shared / "environment.json", {"LISTEN_FDS": "7"})
        where, numbers = shared / "run" / "shop" / "v1" / "app.sock", set()
        for mode in ([], ["--socket-mode", "0760"]):  # a second start finds the previous socket
            command = ["--user", "nobody", "--umask", "0077", "--socket", where, "--socket-group", "daemon", *mode]
            result = launch(*command, file, "--", "/usr/bin/python3", "-Ic", self.PASSED)
            assert json.loads(result.stdout) == [True, "1", str(where), 1], result.stderr
            status = where.stat()
            assert (status.st_uid, status.st_gid) == (0, grp.getgrnam("daemon").gr_gid)
            assert status.st_mode & 0o7777 == (0o760 if mode else 0o660)
            numbers.add(status.st_ino)
            for parent in (where.parent, where.parent.parent, where.parent.parent.parent):
                assert (parent.stat().st_mode & 0o7777, parent.stat().st_uid) == (0o755, 0)
        assert len(numbers) == 1

    def test_requests_wait_in_the_same_socket_while_nothing_runs(self, shared: Path) -> None:
        """And the process that keeps the socket ends when the instance is removed."""
        file = write(shared / "environment.json", {})
        where = shared / "run" / "app.sock"
        command = [
            "--user",
            "nobody",
            "--socket",
            where,
            "--socket-group",
            "daemon",
            file,
            "--",
            "/usr/bin/python3",
            "-Ic",
        ]
        assert launch(*command, "").returncode == 0
        number = where.stat().st_ino
        keeper = (where.parent / "keeper").stat()
        assert (keeper.st_uid, keeper.st_mode & 0o7777) == (0, 0o600)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(patience(5))
            client.connect(str(where))  # nothing runs
            client.sendall(b"ping")
            answer = "import socket; it = socket.socket(fileno=3).accept()[0]; it.sendall(it.recv(9) + b' pong')"
            result = launch(*command, answer)
            assert result.returncode == 0, result.stderr
            assert client.recv(99) == b"ping pong"
        assert where.stat().st_ino == number
        kept = subprocess.run(
            ["pgrep", "-f", f"keep {where}"], capture_output=True, text=True, check=False
        ).stdout.split()
        assert len(kept) == 1
        where.unlink()
        until(lambda: not Path(f"/proc/{kept[0]}/exe").exists())

    def test_a_killed_keeper_costs_only_the_socket(self, shared: Path) -> None:
        file = write(shared / "environment.json", {})
        where = shared / "run" / "app.sock"
        command = ["--user", "nobody", "--socket", where, "--socket-group", "daemon", file, "--", "/bin/true"]
        words = ["pgrep", "-f", f"keep {where}"]

        def kept() -> bool:
            return subprocess.run(words, capture_output=True, check=False).returncode == 0

        for _ in range(2):
            assert launch(*command).returncode == 0
            until(kept)  # it takes this name only after the launcher has ended
            subprocess.run(["pkill", "-KILL", *words[1:]], check=True)
            until(lambda: not kept())

    def test_a_socket_goes_into_no_folder_of_another_user(self, shared: Path) -> None:
        file = write(shared / "environment.json", {})
        (shared / "target").mkdir(mode=0o755)
        (shared / "link").symlink_to(shared / "target")
        (shared / "theirs").mkdir()
        os.chown(shared / "theirs", pwd.getpwnam("nobody").pw_uid, -1)
        for folder in ("link", "theirs"):
            command = ["--user", "nobody", "--socket", shared / folder / "app.sock", "--socket-group", "daemon"]
            result = launch(*command, file, "--", "/bin/true")
            assert result.returncode == 78
            assert "is not root's alone" in result.stderr.decode()
        assert not list((shared / "target").iterdir())

    def test_a_user_that_may_not_enter_is_reported(self, shared: Path) -> None:
        file = write(shared / "environment.json", {})
        (shared / "closed").mkdir(mode=0o700)
        result = launch("--user", "nobody", "--chdir", shared / "closed", file, "--", "/bin/true")
        assert result.returncode == 78
        assert "user 'nobody' cannot enter" in result.stderr.decode()

    def test_only_root_becomes_another(self, shared: Path) -> None:
        file = write(shared / "environment.json", {})
        inner = [self.launcher(shared), "--user", "daemon", file, "--", "/bin/true"]
        file.chmod(0o644)
        result = launch("--user", "nobody", file, "--", *inner)
        assert result.returncode == 78
        assert "only root" in result.stderr.decode()


def test_a_socket_of_systemd_is_passed_on(tmp_path: Path) -> None:
    """Only one that systemd opened for this very process."""
    file = write(tmp_path / "environment.json", {})
    code = "import os; print(*map(os.environ.get, ('LISTEN_PID', 'LISTEN_FDS')), os.getpid())"
    for prefix, passed in (("LISTEN_PID=$$", "1"), ("LISTEN_PID=1", "None")):
        script = f'{prefix} LISTEN_FDS=1 exec "$@"'
        command = [LAUNCHER, file, "--", "/usr/bin/python3", "-Ic", code]
        result = subprocess.run(["sh", "-c", script, "sh", *command], capture_output=True, text=True, check=True)
        pid, count, launched = result.stdout.split()
        assert (pid, count) == (launched if passed == "1" else "None", passed)


def test_both_outputs_go_into_the_pipe(tmp_path: Path) -> None:
    """And a write into it does not fail while no process reads."""
    file = write(tmp_path / "environment.json", {})
    os.mkfifo(tmp_path / "log")
    pipe = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    started = subprocess.Popen([LAUNCHER, "--log", tmp_path / "log", file, "--", "/bin/sh", "-c", "echo one; read x; echo two >&2; read x"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    assert started.stdin
    select.select([pipe], [], [], 10)
    assert os.read(pipe, 99) == b"one\n"
    os.close(pipe)
    started.stdin.write(b"\n")
    started.stdin.flush()
    time.sleep(0.1)
    pipe = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    select.select([pipe], [], [], 10)
    assert os.read(pipe, 99) == b"two\n"
    assert started.communicate(b"\n") == (b"", None)
    os.close(pipe)


def test_it_waits_for_the_pipe_of_a_reader_that_begins_at_the_same_time(tmp_path: Path) -> None:
    file, log = write(tmp_path / "environment.json", {}), tmp_path / "log"
    started = subprocess.Popen([LAUNCHER, "--log", log, file, "--", "/bin/echo", "one"])
    asleep = {"S", "D"}
    until(lambda: Path(f"/proc/{started.pid}/stat").read_text().rpartition(")")[2].split()[0] in asleep)
    os.mkfifo(log)
    pipe = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    assert started.wait(10) == 0
    assert os.read(pipe, 99) == b"one\n"
    os.close(pipe)


def test_a_pipe_that_comes_late_is_named_and_waited_for(tmp_path: Path) -> None:
    """On a slow host the reader may take long, which is no fault of the app's."""
    file, log = write(tmp_path / "environment.json", {}), tmp_path / "log"
    started = subprocess.Popen(
        [LAUNCHER, "--log", log, file, "--", "/bin/echo", "one"], stderr=subprocess.PIPE, text=True
    )
    assert started.stderr
    assert (
        started.stderr.readline() == f"slipway exec: waiting for the log's pipe {log}, which its reader's unit makes\n"
    )
    os.mkfifo(log)
    pipe = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    assert started.wait(10) == 0
    assert os.read(pipe, 99) == b"one\n"
    os.close(pipe)


def test_it_starts_fast(tmp_path: Path) -> None:
    """Ten starts; generous, because the machine may be busy: it catches an import that costs, not noise."""
    file = write(tmp_path / "environment.json", {})
    best = min(_seconds(file) for _ in range(10))
    assert best < patience(0.5)
    code = f"import runpy,sys;runpy.run_path({str(LAUNCHER)!r});print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-Ic", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"ctypes", "argparse", "subprocess", "pwd", "resource"} & set(modules)


def _seconds(file: Path) -> float:
    start = time.perf_counter()
    launch(file, "--", "/bin/true")
    return time.perf_counter() - start
