"""A stage with a real supervisord, real gunicorns and a real nginx, all in one temporary directory."""

from __future__ import annotations

import functools
import getpass
import grp
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.manifest import (
    Manifest,
    SupervisorPlace,
    read_manifest,
)
from ansible_collections.slipway.kit.plugins.module_utils.host.files import fileset
from ansible_collections.slipway.kit.plugins.module_utils.host.process import supervisor
from ansible_collections.slipway.kit.plugins.module_utils.host.process.systemd import Systemd
from ansible_collections.slipway.kit.plugins.module_utils.host.run import switch_record
from ansible_collections.slipway.kit.plugins.module_utils.host.run.instances import Wish
from ansible_collections.slipway.kit.plugins.module_utils.host.system import releases

from tests.patience import patience

KIT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")

APP = """
import os, threading, time
RELEASE = {release!r}
{top}
def app(environ, start_response):
    path, status, headers = environ["PATH_INFO"], "200 OK", [("Content-Type", "text/plain")]
    if path == "/slow":
        time.sleep(1)
    if path == "/busy":
        time.sleep(0.1)
{answer}
    start_response(status, headers)
    return [RELEASE.encode()]
"""

KINDS = {
    "good": ("", ""),
    "import": ("raise RuntimeError('no DATABASE_URL')", ""),
    "exit": ("import sys; sys.exit(0)", ""),
    "hang": ("time.sleep(3600)", ""),
    "error": ("", "    if path == '/healthz': raise RuntimeError('no such table')"),
    "crash": ("threading.Thread(target=lambda: (time.sleep(0.6), os._exit(1)), daemon=True).start()", ""),
    # Says that not all of its workers serve, until the flag is there.
    "half": ("", "    headers.append(('X-Slipway-Workers', '2' if os.path.exists(os.environ['FLAG']) else '1'))"),
    "remarks": ("print('[WARNING] slipway: warm-up: GET /x was answered 404', flush=True)", ""),
    "https": (
        "",
        "    if path == '/healthz': status = '301 Moved'; headers.append(('Location', 'https://shop.example/healthz'))",
    ),
    "login": ("", "    if path == '/healthz': status = '302 Found'; headers.append(('Location', '/login?next=x'))"),
    "guard": ("", "    if path == '/healthz': status = '401 Unauthorized'"),
    "missing": ("", "    if path == '/healthz': status = '404 Not Found'"),
    "visit": ("", "    if path == '/visit': status = '500 Oops'"),
    "front": (
        "",
        "    if path == '/': status = '302 Found'; headers += [('Location', '/end?a=b'), ('Set-Cookie', 'seen=yes; Path=/')]\n"
        "    if path == '/end': status = os.environ['END'] if environ.get('HTTP_COOKIE') == 'seen=yes' else '418 No cookie'",
    ),
    "circle": ("", "    status = '302 Found'; headers.append(('Location', path + 'x'))"),
    "away": ("", "    status = '302 Found'; headers.append(('Location', 'http://login.example/'))"),
    "nothing": ("", "    status = '404 Not Found'"),
    "readonly": ("", "    raise OSError(30, 'Read-only file system', '/var/lib/data')"),
    # Cannot run twice: a second one ends at once.
    "alone": (
        "import fcntl\nLOCK = open(os.environ['FLAG'] + '.lock', 'w')\nfcntl.flock(LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "",
    ),
    "alone, broken": (
        "import fcntl\nLOCK = open(os.environ['FLAG'] + '.lock', 'w')\nfcntl.flock(LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "    if path == '/healthz': raise RuntimeError('no such table')",
    ),
    "stream": (
        "def tick():\n    while True:\n        yield b'.'\n        time.sleep(0.05)",
        "    if path == '/healthz': start_response(status, headers); return tick()",
    ),
    "file": ("", "    if os.path.exists(os.environ['FLAG']): status = '503 Not now'"),
}


def until(condition: Any, seconds: float = 10) -> None:
    """Wait for a condition, not for a time."""
    end = time.monotonic() + patience(seconds)
    while not condition():
        assert time.monotonic() < end, "the awaited condition did not come"
        time.sleep(0.02)


@dataclass
class Load:
    """Counts what clients got: by status and release, and every failure."""

    seen: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    begun: int = 0

    @property
    def total(self) -> int:
        return sum(self.seen.values())


@dataclass
class Stage:
    """The daemons' directory, with the actions of the tests on it."""

    top: Path
    port: int

    @property
    def place(self) -> SupervisorPlace:
        return SupervisorPlace(str(self.top / "sv.sock"), str(self.top / "programs"))

    @property
    def manager(self) -> supervisor.Supervisor:
        return supervisor.Supervisor(self.place)

    def root(self, app: str = "shop") -> Path:
        return self.top / "srv" / app

    def release(self, number: int, kind: str = "good", app: str = "shop", **change: Any) -> Wish:
        """Write a complete release to the disk, as a build would leave it."""
        name, kind_of_worker = f"v{number}-{number:08x}", change.pop("worker_class", "gthread")
        workers = change.pop("workers", 2)
        root, unit = self.root(app), f"slipway-{app}-v{number}-{number:08x}"
        path, run = root / "releases" / name, self.top / "run" / app / name
        log = self.top / "log" / app / f"{name}.log"
        (path / "code").mkdir(parents=True)
        log.parent.mkdir(parents=True, exist_ok=True)
        venv = root / "venvs" / change.pop("venv", "aaaa")
        venv.mkdir(parents=True, exist_ok=True)
        (path / "venv").symlink_to(f"../../venvs/{venv.name}")
        (path / "run").symlink_to(run)
        (path / "log").symlink_to(log)
        top, answer = KINDS[kind]
        (path / "code" / "app.py").write_text(APP.format(release=name, top=top, answer=answer))
        (path / "environment.json").write_text(
            json.dumps({"FLAG": str(self.top / "flag"), **change.pop("environment", {})})
        )
        (path / "gunicorn.conf.py").write_text(
            f"wsgi_app = 'app:app'\nbind = 'unix:{run}/app.sock'\nchdir = {str(path / 'code')!r}\n"
            f"worker_class = {kind_of_worker!r}\nworkers = {workers}\n"
            f"threads = {change.pop('threads', 8)}\n"
            "timeout = graceful_timeout = 10\nkeepalive = 75\numask = 0\ncontrol_socket_disable = True\n"
        )
        group = grp.getgrgid(os.getgid()).gr_name
        shutil.copy(KIT / "plugins/module_utils/programs/launcher.py", path / "exec")
        (path / f"{unit}.conf").write_text(
            f"[program:{unit}]\n"
            f"command={sys.executable} {path}/exec --user {getpass.getuser()} --chdir {path}/code --venv {BIN.parent}"
            f" --socket {run}/app.sock --socket-group {group} {path}/environment.json -- {BIN}/gunicorn -c {path}/gunicorn.conf.py\n"
            "autostart=true\nautorestart=true\nstartsecs=1\nstartretries=5\nstopsignal=TERM\nstopwaitsecs=12\n"
            f"killasgroup=true\nredirect_stderr=true\nstdout_logfile={log}\nstdout_logfile_maxbytes=0\n"
        )
        manifest: dict[str, Any] = {
            "schema": 1,
            "app": app,
            "release": name,
            "manager": "supervisor",
            "unit": unit,
            "unit_file": f"{unit}.conf",
            "root": str(root),
            "path": str(path),
            "run": str(run),
            "socket": f"{run}/app.sock",
            "log": str(log),
            "mount": "/",
            "worker_class": kind_of_worker,
            "workers": workers,
            "timeouts": {
                "request": change.pop("request", 8),
                "graceful": 10,
                "stop": 12,
                "drain": 8,
                "stream": 8,
                "boot": change.pop("boot", 30),
            },
            "health": {
                "path": "/healthz",
                "status": [[200, 299]],
                "body": None,
                "host": "shop.example",
                "scheme": "http",
                "successes": 3,
                "interval": 0.05,
                "soak": 0.3,
                **change.pop("health", {}),
            },
            "visit": {"port": self.port, "host": f"{app}.example", "path": "/visit"},
            "static": {},
            "keep_releases": 2,
            "supervisor": {"socket": self.place.socket, "programs": self.place.programs},
            **change,
        }
        (path / "manifest.json").write_text(json.dumps(manifest))
        return Wish(str(root), name)

    def manifest(self, wish: Wish) -> Manifest:
        return read_manifest(wish.root, wish.release_id)

    def current(self, app: str = "shop") -> str | None:
        return releases.current(str(self.root(app)))

    def instances(self, app: str = "shop") -> list[str]:
        return sorted(self.manager.instances(str(self.root(app))))

    def alive(self, wish: Wish) -> bool:
        return self.manager.process(self.manifest(wish).unit).alive

    def pid(self, wish: Wish) -> int:
        return self.manager.process(self.manifest(wish).unit).pid

    def gone(self, wish: Wish) -> bool:
        """Whether nothing of an instance is left: no program, no file, no run directory."""
        manifest = self.manifest(wish)
        return (
            self.manager.process(manifest.unit).detail == "supervisord does not know the program"
            and not os.path.exists(manifest.run)
            and not os.path.exists(self.manager._file(manifest.unit))
        )

    def get(self, path: str = "/", host: str = "shop.example") -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    @contextmanager
    def load(self, paths: tuple[str, ...]) -> Iterator[Load]:
        """Clients that send one request after another, one thread for each path, until the block ends."""
        load, over, lock = Load(), threading.Event(), threading.Lock()

        def visitor(path: str) -> None:
            while not over.is_set():
                with lock:
                    load.begun += 1
                try:
                    status, body = self.get(path)
                    problem = None if status == 200 else f"{path}: {status}"
                except (OSError, http.client.HTTPException) as error:
                    problem, body = f"{path}: {error!r}", ""
                with lock:
                    if problem:
                        load.failures.append(problem)
                    else:
                        load.seen[body] = load.seen.get(body, 0) + 1

        threads = [threading.Thread(target=visitor, args=(path,)) for path in paths]
        for thread in threads:
            thread.start()
        try:
            yield load
        finally:
            over.set()
            for thread in threads:
                thread.join()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(autouse=True)
def no_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests away from this machine's own units."""
    monkeypatch.setattr(Systemd, "runs", staticmethod(lambda: False))


@pytest.fixture(autouse=True)
def recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the record of a switch away from this machine's own."""
    monkeypatch.setattr(switch_record, "PATH", str(tmp_path / "switch.json"))


@pytest.fixture
def undo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where nginx's previous files are kept."""
    folder = str(tmp_path / "undo")
    for work in (fileset.place, fileset.restore, fileset.forget, fileset.keep_as):
        monkeypatch.setattr(fileset, work.__name__, functools.partial(work, folder=folder))
    return folder


@pytest.fixture(scope="module")
def daemons() -> Iterator[Stage]:
    if NGINX is None or not (BIN / "supervisord").exists():
        pytest.skip("needs nginx, and gunicorn and supervisor beside this Python")
    # A short path: a unix socket's may not be longer than 107 bytes.
    top = Path(tempfile.mkdtemp(prefix="slipway-", dir="/tmp"))
    stage = Stage(top, _free_port())
    (top / "programs").mkdir()
    bystander = "[program:bystander]\ncommand=/bin/sleep 3600\nstartsecs=0\n"
    (top / "programs" / "bystander.conf").write_text(bystander)
    (top / "supervisord.conf").write_text(
        f"[supervisord]\nnodaemon=true\npidfile={top}/sv.pid\nlogfile={top}/sv.log\nuser={getpass.getuser()}\n"
        f"[unix_http_server]\nfile={top}/sv.sock\nchmod=0700\n"
        "[rpcinterface:supervisor]\n"
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
        f"[include]\nfiles={top}/programs/*.conf\n"
    )
    sites = "".join(
        f"upstream {app} {{ server unix:{stage.root(app)}/current/run/app.sock fail_timeout=0; }}\n"
        f"server {{ listen 127.0.0.1:{stage.port}; server_name {app}.example; location / {{ proxy_pass http://{app};"
        ' proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;'
        " proxy_read_timeout 30s; proxy_next_upstream off; } }\n"
        for app in ("shop", "blog", "kept")
    )
    (top / "nginx.conf").write_text(
        f"user {getpass.getuser()} {grp.getgrgid(os.getgid()).gr_name};\ndaemon off;\npid {top}/nginx.pid;\n"
        f"error_log {top}/nginx.log;\nworker_processes 1;\nevents {{ worker_connections 512; }}\n"
        f"http {{ access_log off; client_body_temp_path {top}/b; proxy_temp_path {top}/p; fastcgi_temp_path {top}/f;"
        f" uwsgi_temp_path {top}/u; scgi_temp_path {top}/s;\n"
        f"server {{ listen 127.0.0.1:{stage.port} default_server; return 444; }}\n{sites}}}\n"
    )
    supervisord = subprocess.Popen(
        [BIN / "supervisord", "-n", "-c", top / "supervisord.conf"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    nginx = subprocess.Popen([NGINX, "-c", top / "nginx.conf", "-e", top / "nginx.log", "-p", top])
    try:
        until(lambda: (top / "sv.sock").exists() and (top / "nginx.pid").exists())
        yield stage
    finally:
        for process in (nginx, supervisord):
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)
        shutil.rmtree(top)


@pytest.fixture
def stage(daemons: Stage) -> Iterator[Stage]:
    """A clean stage: no instance, no release; the bystander must live through every test."""
    bystander = daemons.manager.process("bystander").pid
    yield daemons
    for app in os.listdir(daemons.top / "srv") if (daemons.top / "srv").exists() else []:
        for units in daemons.manager.instances(str(daemons.root(app))).values():
            for unit in units:
                daemons.manager.stop(unit, 1)
            daemons.manager.uninstall(units)
    for name in ("srv", "run", "log"):
        shutil.rmtree(daemons.top / name, ignore_errors=True)
    (daemons.top / "flag").unlink(missing_ok=True)
    assert daemons.manager.process("bystander").pid == bystander > 0
