"""The host from within: requests as a client through nginx, and root's view of its processes."""

from __future__ import annotations

import contextlib
import glob
import http.client
import json
import os
import pwd
import socket
import subprocess
import time
import xmlrpc.client
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from tests.patience import patience

APPS = ("shop", "outlet", "probe", "victim", "hung")
QUIET = ("shop", "outlet", "probe")
"""The apps that no test kills while others run."""
DOMAINS = {app: f"{app}.test" for app in APPS} | {"outlet": "mall.test"}
API_KEY = "a-key-for-the-tests"
EXPOSURE = 1.4
"""The most that `systemd-analyze security` may give an app's unit: the value of a hardened unit with an open network."""
BACK = 40.0
"""Seconds within which a crashed process must be replaced; one or two are usual."""
VISITS = Path("/run/visits.json")
NGINX_BEFORE = Path("/root/nginx.pid")
"""The main process of the nginx that served other sites before the kit's first run."""


class Answer(NamedTuple):
    """What a client got."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


def address() -> str:
    """The host's own address: a client is not 127.0.0.1."""
    return socket.gethostbyname(socket.gethostname())


def ask(
    app: str,
    path: str = "/",
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: bytes | Iterator[bytes] | None = None,
    domain: str = "",
) -> Answer:
    """Ask nginx, like a client."""
    connection = http.client.HTTPConnection(address(), 80, timeout=patience(60))
    started = time.monotonic()
    with contextlib.closing(connection):
        connection.request(
            method,
            path,
            body=body,
            headers={"Host": domain or DOMAINS[app], "Connection": "close", **(headers or {})},
            encode_chunked=body is not None and not isinstance(body, bytes),
        )
        answer = connection.getresponse()
        text = answer.read()
    return Answer(answer.status, answer.headers, text, time.monotonic() - started)


def run(*command: str) -> str:
    """The standard output of a command that must succeed."""
    result = subprocess.run(command, capture_output=True, text=True, timeout=patience(120), check=False)
    if result.returncode:
        raise AssertionError(f"{' '.join(command)} ended with {result.returncode}: {result.stderr or result.stdout}")
    return result.stdout


def until(condition: Callable[[], Any], seconds: float = BACK, what: str = "it") -> float:
    """Wait for the condition; returns the seconds that it took."""
    started = time.monotonic()
    while True:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException, AssertionError):
            if condition():
                return time.monotonic() - started
        if time.monotonic() - started > patience(seconds):
            raise AssertionError(f"{what} did not happen within {seconds:g} s")
        time.sleep(0.1)


def background(function: Callable[[], Answer]) -> Callable[[], Answer]:
    """Start a request in the background; returns a function that waits for its answer."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(function)
    pool.shutdown(wait=False)
    return future.result


class Instance:
    """The current release of an app, as its manifest describes it."""

    def __init__(self, app: str) -> None:
        self.app = app
        self.root = Path("/srv") / app
        self.current = self.root / "current"
        self.manifest: dict[str, Any] = json.loads((self.current / "manifest.json").read_text())
        self.unit: str = self.manifest["programs"][0]["unit"]
        self.request_timeout: int = self.manifest["timeouts"]["request"]
        self.systemd: bool = self.manifest["manager"] == "systemd"

    def manage(self, verb: str) -> str:
        """Start, stop, ... by the manager's own command, as an operator does."""
        return run("systemctl", verb, self.unit) if self.systemd else supervisorctl(verb, self.unit)

    def master(self) -> int:
        """Process id of gunicorn's master; 0 when there is none."""
        if self.systemd:
            return int(run("systemctl", "show", "--property=MainPID", "--value", self.unit))
        # Asked often, so not through supervisorctl, which takes half a second to start.
        with contextlib.suppress(OSError, xmlrpc.client.Error):
            supervisord = xmlrpc.client.ServerProxy("http://supervisor", transport=Supervisord())
            return int(supervisord.supervisor.getProcessInfo(self.unit)["pid"])  # type: ignore[call-overload, index]
        return 0

    def workers(self) -> set[int]:
        """Process ids of the workers."""
        master = self.master()
        return {int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()}

    def answers(self) -> bool:
        """Whether a client gets its answer at once."""
        answer = ask(self.app, self.manifest["health"]["path"])
        return answer.status == 200 and answer.seconds < patience(1)


class Supervisord(xmlrpc.client.Transport):
    """An HTTP transport over supervisord's socket."""

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        """A connection that is connected already."""
        connection = http.client.HTTPConnection("supervisor")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(10)
        connection.sock.connect("/run/slipway/supervisor.sock")
        return connection


def supervisorctl(*words: str) -> str:
    """supervisor's own command."""
    (program,) = glob.glob("/opt/slipway/supervisor-*/bin/supervisorctl")
    return run(program, "-c", "/etc/slipway/supervisord.conf", *words)


def processes(user: str) -> list[dict[str, str]]:
    """/proc/<pid>/status of every process whose real user it is, but those that are ending.

    From then on the kernel leaves `Umask` out (proc_pid_status(5)).
    """
    statuses = []
    uid = pwd.getpwnam(user).pw_uid
    for path in glob.glob("/proc/[0-9]*/status"):
        with contextlib.suppress(OSError):
            lines = Path(path).read_text().splitlines()
            status = {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
            if int(status["Uid"].split()[0]) == uid and "Umask" in status:
                statuses.append(status)
    return statuses


def as_user(user: str, code: str, *arguments: str) -> str:
    """Run a few lines of Python as another user of the host; returns their output, or the name of their error."""
    entry = pwd.getpwnam(user)
    text = f"import os, socket, sys\ntry:\n    {code}\nexcept OSError as e:\n    print(type(e).__name__)\n"
    return subprocess.run(
        ["/usr/bin/python3", "-c", text, *arguments],
        user=entry.pw_uid,
        group=entry.pw_gid,
        extra_groups=os.getgrouplist(user, entry.pw_gid),
        capture_output=True,
        text=True,
        timeout=patience(30),
        check=True,
    ).stdout.strip()


CONNECT = "socket.socket(socket.AF_UNIX).connect(sys.argv[1]); print('connected')"
READ = "open(sys.argv[1]).read(); print('read')"
LIST = "os.listdir(sys.argv[1]); print('listed')"


def one_instance(instance: Instance) -> None:
    """The current release runs and would run after a reboot; no other release does."""
    if instance.systemd:
        lines = run("systemctl", "list-unit-files", "--no-legend", f"slipway-{instance.app}-*").splitlines()
        wanted = {(f"{instance.unit}.service", "enabled")}
        wanted |= {(f"{instance.unit}{brought}", "static") for brought in (".socket", "-log.service")}
        assert {tuple(line.split()[:2]) for line in lines} == wanted
    else:
        files = glob.glob(f"/etc/slipway/supervisor.d/slipway-{instance.app}-*")
        assert files == [f"/etc/slipway/supervisor.d/{instance.unit}.conf"]
    assert os.listdir(f"/run/{instance.app}") == [instance.manifest["release"]]
