"""Nothing that the kit prints or leaves holds a secret, except the environment.json of the releases.

Every secret is a canary: a text that occurs nowhere else. The tests search for it in the output of a run and in the command
lines of all processes meanwhile, the hosts' too. In the end they search every file.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import glob
import json
import os
import re
import secrets
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sandbox import ENVIRONMENT, HOSTS, SCENARIO, play, python, within

from tests.hosts.scenario import ROOT

FOLDERS = ("~/.ansible", "~/.cache/slipway", str(ROOT / ".cache"), str(ROOT / ".ansible"), str(ROOT / "build"))
"""Where the kit and Ansible may leave something on the controller."""

SEARCH = r"""
import glob, json, os, re, subprocess, sys
found = re.compile(PATTERN)
hits, allowed = [], []
def look(path):
    try:
        with open(path, "rb") as file:
            if not found.search(file.read()):
                return
    except OSError:
        return
    status = os.stat(path)
    if re.fullmatch(r"/srv/keeper/releases/[^/]+/environment\.json", path):
        allowed.append([path, oct(status.st_mode & 0o7777), status.st_uid, status.st_gid])
    else:
        hits.append(path)
for place, folders, names in os.walk("/"):
    if place == "/":
        folders[:] = [name for name in folders if name not in ("proc", "sys", "dev", "usr")]
    for name in names:
        path = os.path.join(place, name)
        if os.path.isfile(path) and not os.path.islink(path):
            look(path)
for path in glob.glob("/proc/[0-9]*/cmdline"):
    look(path)
for command in (["journalctl", "--no-pager", "-o", "export"], ["systemctl", "show", "*"], ["nginx", "-T"]):
    done = subprocess.run(command, capture_output=True)
    if found.search(done.stdout + done.stderr):
        hits.append(" ".join(command))
import grp
print(json.dumps({"hits": hits, "allowed": allowed, "group": grp.getgrnam("keeper").gr_gid}))
"""


PREFIX = "sl1pway_canary_"
"""How every canary begins."""


class Canaries:
    """The secrets that were planted, and how to find one."""

    def __init__(self) -> None:
        self.made: list[str] = []
        """Those that the kit made, which begin as they like."""

    def word(self) -> str:
        """A new one."""
        return PREFIX + secrets.token_hex(9)

    def pattern(self) -> re.Pattern[bytes]:
        """Finds one in plain text, and inside base64 at any offset."""
        forms = [word.encode() for word in (PREFIX, *self.made)]
        for shift in range(3):
            inner = base64.b64encode(b"\0" * shift + PREFIX.encode())
            forms.append(inner[4 if shift else 0 : -4])
        return re.compile(b"|".join(map(re.escape, forms)))

    def within(self, data: bytes) -> str:
        """What surrounds one in the data, or in something that is packed in it; '' when there is none."""
        pattern = self.pattern()
        hit = pattern.search(data)
        if hit:
            return data[max(0, hit.start() - 200) : hit.end() + 20].decode(errors="replace")
        for packed in re.findall(rb"[A-Za-z0-9+/]{200,}={0,2}", data):
            with contextlib.suppress(binascii.Error, zlib.error):
                if pattern.search(zlib.decompress(base64.b64decode(packed))):
                    return f"packed in {packed[:60]!r}"
        return ""


CANARIES = Canaries()
MADE = Path(SCENARIO.inventory) / ".generated/keeper.yml"
"""Where the kit keeps the secret that it makes."""


@contextlib.contextmanager
def watched() -> Iterator[list[str]]:
    """Meanwhile, looks at every process's command line, again and again."""
    hits: list[str] = []
    ended = threading.Event()
    pattern = CANARIES.pattern()

    def watch() -> None:
        while not ended.wait(0.1):
            for path in glob.glob("/proc/[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    line = Path(path).read_bytes()
                    if pattern.search(line):
                        hits.append(line.replace(b"\0", b" ").decode(errors="replace"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield hits
    finally:
        ended.set()
        watcher.join()


class Controller:
    """Plants secrets, runs playbooks, and checks that no run shows one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "password").write_text(secrets.token_hex())

    def plant(self) -> None:
        """New secrets, of one line and of several, in the inventory and in a vault."""
        word = CANARIES.word
        settings = {
            "TOKEN": word(),
            "PEM": f"-----BEGIN KEY-----\n{word()}\n{word()}\n-----END KEY-----\n",
            "MADE": {"generate": 24},
            "QUOTES": f"\"'$%\\{{{{ {word()}\t{word()}",
        }
        vault = {
            "DATABASE_URL": f"postgres://keeper:{word()}@127.0.0.1/keeper",
            "KEY": f"{word()}\n{word()}\n",
            "FOLDED": "\n\n".join(word() for _ in range(9)),
        }
        (self.folder / "secrets.json").write_text(json.dumps(settings))
        MADE.unlink(missing_ok=True)
        plain = yaml.safe_dump({"vault_apps": {"keeper": {"secrets": vault}}})
        subprocess.run(
            [f"{Path(sys.executable).parent}/ansible-vault", "encrypt", f"--vault-password-file={self.folder}/password",
             f"--output={self.folder}/vault.yml"],
            input=plain, env=ENVIRONMENT, text=True, check=True, capture_output=True,
        )  # fmt: skip

    def run(self, playbook: str, *options: str, fails: bool = False, says: str = "", **variables: Any) -> str:
        """Run a playbook, and search what it prints and how its processes are called."""
        vault = [f"--vault-password-file={self.folder}/password", "-e", f"@{self.folder}/vault.yml"]
        environment = variables.pop("environment", {})
        variables = {"secrets": str(self.folder / "secrets.json"), **variables}
        with watched() as seen:
            completed = play(playbook, *vault, *options, environment=environment, **variables)
        if MADE.exists():
            CANARIES.made.append(yaml.safe_load(MADE.read_text())["MADE"])
        leaked = CANARIES.within(completed.stdout.encode())
        assert not leaked, f"{playbook} {options} told a secret: {leaked}"
        assert not seen, f"{playbook} {options} {variables}: in a process list: {seen[0][:500]}"
        assert (completed.returncode != 0) == fails, completed.stdout[-3000:]
        assert says in completed.stdout, completed.stdout[-3000:]
        return completed.stdout


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Controller:
    """Where the playbooks run; the secrets are deployed."""
    made = Controller(tmp_path_factory.mktemp("controller"))
    made.plant()
    made.run("site", app="keeper")
    return made


def test_the_canaries_are_there(controller: Controller) -> None:
    """And the search finds them, plain and packed; else nothing here would say anything."""
    for host in HOSTS:
        environment = json.loads(within(host, "cat", "/srv/keeper/current/environment.json"))
        assert environment["MADE"] == yaml.safe_load(MADE.read_text())["MADE"]
        values = [environment[name] for name in ("MADE", "TOKEN", "PEM", "QUOTES", "DATABASE_URL", "KEY", "FOLDED")]
        assert all(CANARIES.within(value.encode()) for value in values)
    word = CANARIES.word().encode()
    for data in (
        word,
        base64.b64encode(b"x" + word + b"x" * 9),
        base64.b64encode(zlib.compress(word + os.urandom(300))),
    ):
        assert CANARIES.within(b"some " + data)
    with watched() as seen:
        subprocess.run([sys.executable, "-c", "import time; time.sleep(1)", word.decode()], check=True)
    assert seen


DEPLOYS = {
    "-vv": ("-vv", {}),
    "-vvv, in Ansible's own words": ("-vvv", {"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"}),
    "-vvvv, without pipelining": ("-vvvv", {"ANSIBLE_PIPELINING": "0"}),
}


@pytest.mark.parametrize("kind", DEPLOYS)
def test_a_rotation_tells_none(controller: Controller, kind: str) -> None:
    verbosity, environment = DEPLOYS[kind]
    controller.plant()
    controller.run("deploy", verbosity, environment=environment, app="keeper")


BLABS = {"code": "apps/blabs", "callable": "web:app"}
FAILURES = {
    "exception at import": ("", {**BLABS, "blabs": "import"}, "cannot connect to $DATABASE_URL"),
    "exception when asked": ("-vvvv", {**BLABS, "blabs": "request"}, "cannot connect to $DATABASE_URL"),
    "hook": (
        "-v",
        {"hooks": {"before_activate": "sh -c 'env; echo it is $DATABASE_URL, and $KEY; exit 3'"}},
        "it is $DATABASE_URL, and",
    ),
    "secret of a wrong type": ("-vvv", {"wrong": "type"}, "must be text or a number"),
    "name that is none": ("-vvvv", {"wrong": "name"}, "must have a name of letters"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_tells_none(controller: Controller, kind: str, tmp_path: Path) -> None:
    verbosity, changes, says = FAILURES[kind]
    variables: dict[str, Any] = {"app": "keeper", **changes}
    controller.plant()
    if blabs := variables.pop("blabs", ""):
        (tmp_path / "values.json").write_text(json.dumps({"BLABS": blabs}))
        variables["values"] = str(tmp_path / "values.json")
    if wrong := variables.pop("wrong", ""):
        bad = {"BAD": [CANARIES.word()]} if wrong == "type" else {"NOT-A-NAME": CANARIES.word()}
        (tmp_path / "secrets.json").write_text(json.dumps(bad))
        variables["secrets"] = str(tmp_path / "secrets.json")
    controller.run("deploy", *filter(None, [verbosity]), fails=True, says=says, **variables)


def test_a_look_ahead_tells_none(controller: Controller) -> None:
    controller.plant()
    controller.run("deploy", "--check", "--diff", "-vvvv")


def test_what_is_rendered_holds_none(controller: Controller, tmp_path: Path) -> None:
    controller.run("render", "-vvvv", build=str(tmp_path / "build"))
    files = [path for path in (tmp_path / "build").rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"environment.json", "manifest.json"}
    assert [path for path in files if CANARIES.within(path.read_bytes())] == []


def test_releases_and_rollback_tell_none(controller: Controller) -> None:
    controller.run("releases", "-vvvv")
    controller.run("rollback", "-vvvv", app="keeper")


def test_nothing_is_left_on_the_controller(controller: Controller) -> None:
    pattern = CANARIES.pattern()
    folders = [Path(folder).expanduser() for folder in FOLDERS]
    files = [Path(place, name) for folder in folders for place, _, names in os.walk(folder) for name in names]
    assert files
    assert [str(path) for path in files if path.is_file() and pattern.search(path.read_bytes())] == []


@pytest.mark.parametrize("host", HOSTS)
def test_nothing_is_left_on_a_host(controller: Controller, host: str) -> None:
    traces = python(host, f"PATTERN = {CANARIES.pattern().pattern!r}\n{SEARCH}")
    # An app may write a secret into its own log. The kit shows that log to no other user.
    hits = [path for path in traces["hits"] if not re.fullmatch(r"/var/log/slipway/keeper/[^/]+\.log", path)]
    assert hits == []
    assert traces["allowed"]
    assert {tuple(rights[1:]) for rights in traces["allowed"]} == {("0o640", 0, traces["group"])}
