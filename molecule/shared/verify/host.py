#!/usr/bin/python3
"""Judges a host on which the apps of molecule/shared/inventory/apps.yml were deployed: run there, as root.

host.py settled        everything: asks as a visitor, looks at the processes, kills them
host.py rebooted       what must hold again after a reboot
host.py visit start    visitors begin to come, and go on coming
host.py visit end      they stop; fails unless each got what it came for, and the app was switched meanwhile

It needs Python and nothing else, so it works wherever a host does. Tests of different classes run at the same time: a
class disturbs no app but its own.
"""

from __future__ import annotations

import base64
import contextlib
import glob
import http.client
import json
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest
import xmlrpc.client
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

APPS = ("shop", "outlet", "probe", "victim", "hung")
QUIET = ("shop", "outlet", "probe")
"""Those that no test kills while others look."""
DOMAINS = {app: f"{app}.test" for app in APPS} | {"outlet": "mall.test"}
PROBE_TIMEOUT, HUNG_TIMEOUT = 3, 2
"""Their `request_timeout`, in seconds."""
API_KEY = "a-key-for-the-tests"
EXPOSURE = 1.5
"""What `systemd-analyze security` may call an app's unit, at the most: FACTS of a hardened unit with the network open."""
BACK = 40.0
"""Seconds within which a crashed process must be replaced; one or two are the rule."""
VISITS = Path("/run/visits.json")


class Answer(NamedTuple):
    """What a visitor got."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        """The body, understood."""
        return json.loads(self.body)


def address() -> str:
    """The host's own address: a visitor is not 127.0.0.1."""
    return socket.gethostbyname(socket.gethostname())


def ask(
    app: str,
    path: str = "/",
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: bytes | Iterator[bytes] | None = None,
    domain: str = "",
) -> Answer:
    """Ask nginx, like a visitor."""
    connection = http.client.HTTPConnection(address(), 80, timeout=60)
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
    """The standard output of a command that has to succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout


def until(condition: Callable[[], Any], seconds: float = BACK, what: str = "it") -> float:
    """Wait for the condition; the seconds that it took."""
    started = time.monotonic()
    while True:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException, AssertionError):
            if condition():
                return time.monotonic() - started
        if time.monotonic() - started > seconds:
            raise AssertionError(f"{what} did not happen within {seconds:g} s")
        time.sleep(0.1)


def background(function: Callable[[], Answer]) -> Callable[[], Answer]:
    """Begin to ask; returns what waits for the answer."""
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
        self.unit: str = self.manifest["unit"]
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
        """Whether a visitor is served at once."""
        answer = ask(self.app, self.manifest["health"]["path"])
        return answer.status == 200 and answer.seconds < 1


class Supervisord(xmlrpc.client.Transport):
    """The way to supervisord: its socket."""

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
    """/proc/<pid>/status of every process whose real user it is."""
    found = []
    uid = pwd.getpwnam(user).pw_uid
    for path in glob.glob("/proc/[0-9]*/status"):
        with contextlib.suppress(OSError):
            lines = Path(path).read_text().splitlines()
            status = {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
            if int(status["Uid"].split()[0]) == uid:
                found.append(status)
    return found


def as_user(user: str, code: str, *arguments: str) -> str:
    """What a few lines of Python print when another user of the host runs them; the name of the error they end with."""
    entry = pwd.getpwnam(user)
    text = f"import os, socket, sys\ntry:\n    {code}\nexcept OSError as e:\n    print(type(e).__name__)\n"
    return subprocess.run(
        ["/usr/bin/python3", "-c", text, *arguments],
        user=entry.pw_uid,
        group=entry.pw_gid,
        extra_groups=os.getgrouplist(user, entry.pw_gid),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout.strip()


CONNECT = "socket.socket(socket.AF_UNIX).connect(sys.argv[1]); print('connected')"
READ = "open(sys.argv[1]).read(); print('read')"
LIST = "os.listdir(sys.argv[1]); print('listed')"


class Shop(unittest.TestCase):
    """The bundled app under its domain, as a visitor finds it."""

    def test_the_page_is_there(self) -> None:
        answer = ask("shop")
        self.assertEqual(answer.status, 200)
        self.assertIn(b"The Chandlery", answer.body)

    def test_its_style_is_there(self) -> None:
        (style,) = re.findall(r'rel="stylesheet" href="([^"]+)"', ask("shop").body.decode())
        self.assertEqual(ask("shop", style).headers.get_content_type(), "text/css")

    def test_health_names_the_release(self) -> None:
        self.assertEqual(ask("shop", "/healthz").json["release"], Instance("shop").manifest["release"])

    def test_a_basket_is_the_same_in_every_worker(self) -> None:
        put = ask("shop", "/basket/bell", "POST", body=b"", headers={"Content-Length": "0"})
        self.assertEqual(put.status, 303)
        cookie = put.headers["Set-Cookie"].split(";")[0]
        workers: set[str] = set()

        def known() -> bool:
            # Several at once, since on a quiet machine the same worker always is the first to take a lone one.
            with ThreadPoolExecutor(8) as visitors:
                pages = list(visitors.map(lambda _: ask("shop", "/basket", headers={"Cookie": cookie}).body, range(16)))
            self.assertTrue(all(b"/basket/bell" in page for page in pages), "a worker did not know the basket")
            workers.update(re.findall(r"process <b>(\d+)", page.decode())[0] for page in pages)
            return len(workers) > 1

        self.assertTrue(any(known() for _ in range(50)), "one worker did it all")

    def test_a_dead_service_costs_nothing(self) -> None:
        chosen = ask(
            "shop",
            "/currency",
            "POST",
            body=b"currency=USD",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        cookie = chosen.headers["Set-Cookie"].split(";")[0]

        seen: set[int] = set()

        def fast() -> bool:
            # Each worker learns by itself, in at most two visits with a second try each. Then none of them waits again.
            answers = [ask("shop", "/", headers={"Cookie": cookie}) for _ in range(10)]
            seen.update(answer.status for answer in answers)
            return max(answer.seconds for answer in answers) < 0.15

        until(fast, what="ten quick answers in a row")
        self.assertEqual(seen, {200})
        until(
            lambda: "left alone" in ask("shop", "/about.json", headers={"Cookie": cookie}).json["rates"],
            what="a worker that leaves the service alone",
        )

    def test_the_api_without_keys_is_off_at_once(self) -> None:
        answer = ask("shop", "/api/products")
        self.assertEqual((answer.status, answer.headers.get_content_type()), (503, "application/json"))
        self.assertLess(answer.seconds, 2)

    def test_what_a_visitor_claims_is_not_believed(self) -> None:
        truth = {"client": address(), "scheme": "http", "host": "shop.test", "mount": "/"}
        for claim in (
            {"X-Forwarded-For": "203.0.113.9"},
            {"X-Forwarded-For": "203.0.113.9, 127.0.0.1"},
            {"X-Real-IP": "203.0.113.9"},
            {"Forwarded": "for=203.0.113.9;proto=https;host=evil.test"},
            {"X-Forwarded-Proto": "https"},
            {"X-Forwarded-Ssl": "on"},
            {"X-Forwarded-Protocol": "ssl"},
            {"X-Forwarded-Host": "evil.test"},
            {"X-Forwarded-Port": "444"},
            {"X-Forwarded-Prefix": "/evil"},
            {"SCRIPT_NAME": "/evil"},
            {"Script-Name": "/about.json"},
            {"PATH_INFO": "/"},
        ):
            with self.subTest(claim=claim):
                answer = ask("shop", "/about.json", headers=claim)
                self.assertEqual(answer.status, 200, answer.body)
                self.assertEqual({key: answer.json[key] for key in truth}, truth)

    def test_no_other_host_name_is_answered(self) -> None:
        for host in ("evil.test", "shop.test.evil.test", address(), "localhost", "_", ""):
            with self.subTest(host=host), socket.create_connection((address(), 80), timeout=10) as connection:
                connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                answer = connection.recv(4096)
                # RFC 9112 wants 400 for a request whose Host is empty or no name; nginx gives that itself.
                self.assertTrue(answer == b"" or b" 400 " in answer.splitlines()[0], answer[:100])

    def test_nginx_does_not_tell_its_version(self) -> None:
        self.assertEqual(ask("shop").headers["Server"], "nginx")


class Outlet(unittest.TestCase):
    """The bundled app below a path."""

    def test_every_link_stays_below_the_path(self) -> None:
        page = ask("outlet", "/shop/")
        self.assertEqual(page.status, 200)
        links = re.findall(r'(?:href|src|action)="([^"#][^"]*)"', page.body.decode())
        self.assertGreater(len(links), 10)
        self.assertEqual([link for link in links if not link.startswith(("/shop/", "https://"))], [])
        for link in sorted({link for link in links if link.startswith("/shop/static/")})[:4]:
            self.assertEqual(ask("outlet", link).status, 200, link)

    def test_redirects_and_cookies_too(self) -> None:
        put = ask("outlet", "/shop/basket/bell", "POST", body=b"", headers={"Content-Length": "0"})
        self.assertEqual((put.status, put.headers["Location"]), (303, "/shop/#bell"))
        self.assertIn("Path=/shop", put.headers["Set-Cookie"])

    def test_the_path_without_its_slash_leads_there(self) -> None:
        answer = ask("outlet", "/shop?a=b")
        self.assertEqual(answer.status, 308)
        self.assertTrue(answer.headers["Location"].endswith("/shop/?a=b"), answer.headers["Location"])

    def test_the_app_knows_where_it_is(self) -> None:
        facts = ask("outlet", "/shop/about.json").json
        self.assertEqual((facts["mount"], facts["home"]), ("/shop", "http://mall.test/shop/"))

    def test_nothing_is_beside_it(self) -> None:
        for path in ("/", "/shopping", "/healthz", "/shop/../healthz"):
            self.assertEqual(ask("outlet", path).status, 404, path)

    def test_the_api_wants_its_key_and_says_so_at_once(self) -> None:
        for key in (None, "", "wrong", API_KEY[:-1]):
            headers = {} if key is None else {"Authorization": f"Bearer {key}"}
            answer = ask("outlet", "/shop/api/products", headers=headers)
            self.assertEqual((answer.status, answer.headers.get_content_type()), (403, "application/json"), key)
            self.assertLess(answer.seconds, 2)  # sooner than any second try could be
        answer = ask("outlet", "/shop/api/products", headers={"Authorization": f"Bearer {API_KEY}"})
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.json["products"])


class Probe(unittest.TestCase):
    """What reaches an app, and what its answers become."""

    def test_every_value_reaches_it_to_the_byte(self) -> None:
        seen = {name: base64.b64decode(value) for name, value in ask("probe", "/environ").json.items()}
        wanted = json.loads(Path(__file__).with_name("values.json").read_text())
        wanted["LONG"] = "long " * 20000
        wanted["GREETING"] = "first"
        for name, value in wanted.items():
            with self.subTest(name=name):
                self.assertEqual(seen.get(name), value.encode("utf-8", "surrogateescape"))
        kit = {
            "PATH",
            "HOME",
            "USER",
            "LOGNAME",
            "LANG",
            "PYTHONUNBUFFERED",
            "VIRTUAL_ENV",
            "SLIPWAY_APP",
            "SLIPWAY_RELEASE",
            "SLIPWAY_SHARED",
        }
        self.assertEqual(set(seen) - set(wanted), kit | {"SERVER_SOFTWARE"})  # gunicorn itself adds the last

    def test_too_slow_is_504_at_that_second_and_the_next_is_served(self) -> None:
        answer = ask("probe", "/sleep?s=6")
        self.assertEqual(answer.status, 504)
        # Not before its time, and well before the app itself would have answered; a busy machine tells it late.
        self.assertTrue(PROBE_TIMEOUT - 0.1 < answer.seconds < 5.5, answer.seconds)
        after = ask("probe", "/pid")
        self.assertEqual(after.status, 200)
        self.assertLess(after.seconds, 3)

    def test_as_slow_as_allowed_is_200(self) -> None:
        self.assertEqual(ask("probe", f"/sleep?s={PROBE_TIMEOUT - 0.5}").status, 200)

    def test_a_body_over_the_limit_is_413(self) -> None:
        limit = 1024 * 1024
        self.assertEqual(ask("probe", "/echo", "POST", body=b"x" * limit).json["length"], limit)
        self.assertEqual(ask("probe", "/echo", "POST", body=b"x" * (limit + 1)).status, 413)

    def test_a_chunked_body_over_the_limit_is_413_too(self) -> None:
        headers = {"Transfer-Encoding": "chunked"}
        small = ask("probe", "/echo", "POST", body=iter([b"x" * 1000] * 10), headers=headers)
        self.assertEqual(small.json["length"], 10000)
        answer = ask("probe", "/echo", "POST", body=iter([b"x" * 4096] * 260), headers=headers)
        self.assertEqual(answer.status, 413)

    def test_an_exception_is_500_and_told_to_the_log_alone(self) -> None:
        answer = ask("probe", "/raise")
        self.assertEqual(answer.status, 500)
        self.assertNotIn(b"asked to fail", answer.body)
        log = Instance("probe").current / "log"
        until(lambda: "RuntimeError: the probe was asked to fail" in log.read_text(), 5, "the traceback in the log")

    def test_all_that_it_says_is_in_the_log(self) -> None:
        ask("probe", "/say?text=ahoy")
        log = Instance("probe").current / "log"
        for stream in ("stdout", "stderr", "logging"):
            said = re.compile(f"{stream} ahoy")
            until(partial(lambda said: said.search(log.read_text()), said), 5, f"{stream} in the log")

    def test_headers_of_a_visitor_cannot_pose_as_environment(self) -> None:
        names = "Proxy X_Forwarded_For X-Forwarded-For X-Real-IP Forwarded X-Forwarded-Prefix X-Forwarded-Port"
        names += " X-Forwarded-Ssl X-Forwarded-Scheme X-Forwarded-Protocol X-Forwarded-Host"
        seen = ask("probe", "/echo", headers=dict.fromkeys(names.split(), "from.the.visitor")).json
        self.assertNotIn("from.the.visitor", seen.values())
        self.assertEqual((seen["HTTP_X_FORWARDED_FOR"], seen["HTTP_X_REAL_IP"]), (address(), address()))


class Victim(unittest.TestCase):
    """Processes that end, wanted or not. In the order of their names, since they share the app."""

    def setUp(self) -> None:
        self.instance = Instance("victim")
        until(self.instance.answers, what="the app's first answer")

    def test_1_a_stop_lets_a_request_finish(self) -> None:
        slow = background(lambda: ask("victim", "/sleep?s=3"))
        time.sleep(0.7)
        started = time.monotonic()
        self.instance.manage("stop")
        took = time.monotonic() - started
        gone = ask("victim", "/pid")
        if not self.instance.systemd:
            self.instance.manage("start")
        until(self.instance.answers, 40, what="an answer after the start")
        self.assertEqual(slow().status, 200)
        # It waited for the request, and nobody had to kill it.
        self.assertTrue(1.5 < took < self.instance.manifest["timeouts"]["stop"], took)
        if self.instance.systemd:  # its socket is there, and a request starts it again; a busy machine takes its time
            self.assertIn(gone.status, (200, 504))
        else:
            self.assertEqual(gone.status, 502)
            self.assertLess(gone.seconds, 3)

    def test_2_a_killed_worker_is_replaced(self) -> None:
        master, before = self.instance.master(), self.instance.workers()
        slow = background(lambda: ask("victim", "/sleep?s=3"))
        time.sleep(0.5)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        self.assertEqual(slow().status, 502)
        until(lambda: len(self.instance.workers() - before) == 2, what="two new workers")
        until(self.instance.answers, what="an answer of a new worker")
        self.assertEqual(self.instance.master(), master)

    def test_3_a_worker_that_dies_of_a_request_costs_that_request(self) -> None:
        self.assertEqual(ask("victim", "/crash").status, 502)
        until(lambda: len(self.instance.workers()) == 2 and self.instance.answers(), what="a new worker")

    def test_4_a_killed_master_is_replaced(self) -> None:
        master = self.instance.master()
        slow = background(lambda: ask("victim", "/sleep?s=3"))
        time.sleep(0.5)
        os.kill(master, signal.SIGKILL)
        until(lambda: self.instance.master() not in (0, master), what="a new master")
        until(self.instance.answers, what="an answer of the new master's workers")
        self.assertIn(slow().status, (200, 502))
        # Nothing of the old one stays behind.
        until(
            lambda: {int(p["Pid"]) for p in processes("victim")} == {*self.instance.workers(), self.instance.master()},
            what="the old workers' end",
        )

    def test_5_no_number_of_ends_is_too_many(self) -> None:
        gone = {0}
        for end in (signal.SIGTERM, *[signal.SIGKILL] * 5):
            master = self.instance.master()
            gone.add(master)
            os.kill(master, end)
            until(lambda: self.instance.master() not in gone, what=f"a new master after {end.name}")
        until(self.instance.answers, what="an answer")


class Hung(unittest.TestCase):
    """Requests that never end."""

    def test_hung_threads_end_with_their_worker(self) -> None:
        instance = Instance("hung")
        (worker,) = instance.workers()
        started = time.monotonic()
        hung = [background(lambda: ask("hung", "/hang")) for _ in range(instance.manifest["threads"])]
        time.sleep(0.5)
        # It waits until a worker is new, or longer than nginx does.
        self.assertGreater(ask("hung", "/pid").seconds, 1, "the app did not hang")
        until(instance.answers, 40, "an answer after every thread hung")
        took = time.monotonic() - started
        print(f"served again {took:.1f} s after every thread hung")
        # Twice the timeout, and on a busy machine a while until the new worker has loaded the app.
        self.assertLess(took, 2 * HUNG_TIMEOUT + 5)
        self.assertEqual({request().status for request in hung}, {504})
        self.assertNotIn(worker, instance.workers())
        self.assertIn("retires", (instance.current / "log").read_text())


class Rights(unittest.TestCase):
    """Who may do what on the host."""

    def test_processes_run_as_the_apps_user(self) -> None:
        for app in QUIET:
            instance, uid = Instance(app), str(pwd.getpwnam(app).pw_uid)
            own = {instance.master(), *instance.workers()}
            for status in processes(app):
                with self.subTest(app=app, process=status["Name"]):
                    self.assertEqual(status["Uid"].split(), [uid] * 4)
                    self.assertEqual(status["NoNewPrivs"], "1")
                    self.assertEqual({int(status[key], 16) for key in ("CapEff", "CapPrm", "CapInh", "CapAmb")}, {0})
                    self.assertEqual(status["Umask"], "0027")
                    # By its unit, or by supervisord's.
                    self.assertEqual(status["Seccomp"], "2" if os.path.isdir("/run/systemd/system") else "0")
            self.assertLessEqual(own, {int(status["Pid"]) for status in processes(app)}, app)
            for path in glob.glob("/proc/[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    command = Path(path).read_text()
                    if f"/srv/{app}/releases/" in command and "/log.py" not in command:  # the log's reader is root's
                        self.assertEqual(os.stat(path).st_uid, int(uid), path)

    def test_sockets_are_for_nginx_alone(self) -> None:
        for app in QUIET:
            path = f"/srv/{app}/current/run/app.sock"
            self.assertEqual(as_user("www-data", CONNECT, path), "connected", app)
            self.assertEqual(as_user("nobody", CONNECT, path), "PermissionError", app)
            for other in APPS:
                if other != app:
                    self.assertEqual(as_user(other, CONNECT, path), "PermissionError", (app, other))

    def test_secrets_and_data_are_for_the_app_alone(self) -> None:
        for app in ("shop", "outlet"):
            instance = Instance(app)
            path = instance.current / "environment.json"
            status = path.stat()
            self.assertEqual((oct(status.st_mode & 0o777), status.st_uid, path.group()), ("0o640", 0, app))
            for user in ("nobody", "www-data", "probe"):
                self.assertEqual(as_user(user, READ, str(path)), "PermissionError", user)
                self.assertEqual(as_user(user, LIST, f"/srv/{app}/shared"), "PermissionError", user)
                self.assertEqual(as_user(user, READ, f"/srv/{app}/current/log"), "PermissionError", user)
            self.assertEqual(as_user(app, READ, str(path)), "read")
            self.assertEqual(as_user(app, READ, f"/srv/{app}/current/log"), "read")
            for unit in glob.glob(f"/etc/systemd/system/slipway-{app}-*") + glob.glob("/etc/slipway/supervisor.d/*"):
                self.assertNotIn(API_KEY, Path(unit).read_text())

    def test_nginx_is_in_no_apps_group(self) -> None:
        groups = os.getgrouplist("www-data", pwd.getpwnam("www-data").pw_gid)
        self.assertEqual([app for app in APPS if pwd.getpwnam(app).pw_gid in groups], [])

    def test_an_app_writes_its_own_folder_alone(self) -> None:
        instance = Instance("probe")
        release = str(instance.current.resolve())
        for where in ("/srv/probe", release, f"{release}/code", f"{release}/venv/bin", "/etc", "/srv/shop/shared", "/"):
            self.assertIn(
                ask("probe", f"/write?where={where}").json, ("Permission denied", "Read-only file system"), where
            )
        # Nobody else reads what it writes.
        self.assertEqual(ask("probe", "/write?where=/srv/probe/shared").json, "0o640")
        self.assertEqual(ask("probe", "/write?where=/tmp").json, "0o640")
        self.assertEqual(Path("/tmp/written-by-the-probe").exists(), not instance.systemd, "whose /tmp?")

    def test_what_systemd_thinks_of_the_unit(self) -> None:
        instance = Instance("probe")
        if not instance.systemd:
            self.skipTest("supervisor offers no sandbox")
        told = run("systemd-analyze", "security", "--no-pager", instance.unit)
        found = re.search(r"Overall exposure level for \S+: ([\d.]+)", told)
        assert found, told
        print(f"exposure of the unit: {found[1]}")
        self.assertLessEqual(float(found[1]), EXPOSURE)

    def test_every_app_has_one_instance_and_it_is_the_current_one(self) -> None:
        for app in APPS:
            one_instance(self, Instance(app))


NGINX_BEFORE = Path("/root/nginx.pid")
"""The main process of the nginx that served somebody's sites before the apps came."""


class Neighbours(unittest.TestCase):
    """The sites of others on the same nginx; where there was no nginx, there are none."""

    def test_they_are_served_as_before(self) -> None:
        if not NGINX_BEFORE.exists():
            self.skipTest("nginx came with the apps")
        self.assertEqual(ask("", domain="neighbour.test").body, b"the neighbour\n")
        with contextlib.closing(http.client.HTTPConnection(address(), 8181, timeout=10)) as connection:
            connection.request("GET", "/")
            self.assertEqual(connection.getresponse().read(), b"the other neighbour\n")

    def test_nginx_was_not_restarted_for_the_apps(self) -> None:
        if not NGINX_BEFORE.exists():
            self.skipTest("nginx came with the apps")
        self.assertEqual(Path("/run/nginx.pid").read_text(), NGINX_BEFORE.read_text())


def one_instance(test: unittest.TestCase, instance: Instance) -> None:
    """The current release runs and would run after a reboot; no other one does."""
    if instance.systemd:
        lines = run("systemctl", "list-unit-files", "--no-legend", f"slipway-{instance.app}-*").splitlines()
        wanted = {(f"{instance.unit}.service", "enabled")}
        wanted |= {(f"{instance.unit}{brought}", "static") for brought in (".socket", "-log.service")}
        test.assertEqual({tuple(line.split()[:2]) for line in lines}, wanted)
    else:
        files = glob.glob(f"/etc/slipway/supervisor.d/slipway-{instance.app}-*")
        test.assertEqual(files, [f"/etc/slipway/supervisor.d/{instance.unit}.conf"])
    test.assertEqual(os.listdir(f"/run/{instance.app}"), [instance.manifest["release"]])


class Alone(unittest.TestCase):
    """What hits every app; runs when the others are done."""

    def setUp(self) -> None:
        self.instance = Instance("shop")

    def test_a_killed_nginx_comes_back(self) -> None:
        master = int(Path("/run/nginx.pid").read_text())
        os.kill(master, signal.SIGKILL)
        until(lambda: int(Path("/run/nginx.pid").read_text()) != master, what="a new nginx")
        until(self.instance.answers, what="an answer through the new nginx")

    def test_a_killed_supervisord_comes_back_with_its_apps(self) -> None:
        if self.instance.systemd:
            self.skipTest("there is no supervisord")
        before = self.instance.master()
        os.kill(int(Path("/run/slipway/supervisord.pid").read_text()), signal.SIGKILL)
        until(lambda: self.instance.master() not in (0, before), what="a new instance")
        for app in APPS:
            until(Instance(app).answers, what=f"an answer of {app}")


class Rebooted(unittest.TestCase):
    """After a reboot nobody has to do anything."""

    def test_every_app_is_back_in_its_current_release(self) -> None:
        self.assertFalse(VISITS.exists(), "/run is as it was: the host was not rebooted")
        for app in APPS:
            with self.subTest(app=app):
                instance = Instance(app)
                took = until(instance.answers, 30, f"an answer of {app}")
                print(f"{app} answered {took:.1f} s after the question could be asked")
                one_instance(self, instance)
        self.assertEqual(ask("probe").json["release"], Instance("probe").manifest["release"])
        self.assertEqual(ask("probe").json["greeting"], "second")
        if NGINX_BEFORE.exists():
            self.assertEqual(ask("", domain="neighbour.test").body, b"the neighbour\n")


def judge(*phases: Sequence[type[unittest.TestCase]]) -> int:
    """Run each phase's classes at the same time; tell every test's time and every failure. 1 when there was one."""

    def one(case: type[unittest.TestCase]) -> tuple[unittest.TestResult, list[str]]:
        result, told = unittest.TestResult(), []
        for name in unittest.defaultTestLoader.getTestCaseNames(case):
            test = case(name)
            started, before = time.monotonic(), len(result.failures) + len(result.errors)
            test.run(result)
            outcome = "ok" if len(result.failures) + len(result.errors) == before else "FAILED"
            told.append(f"{outcome:6} {time.monotonic() - started:5.1f} s  {test.id().removeprefix('__main__.')}")
        return result, told

    bad: list[str] = []
    for phase in phases:
        with ThreadPoolExecutor(len(phase)) as pool:
            for result, told in pool.map(one, phase):
                print("\n".join(told))
                bad += [f"\n{test.id()}\n{text}" for test, text in result.failures + result.errors]
    print("\n".join([*bad, f"{len(bad)} failed"]) if bad else "everything is as it should be")
    return 1 if bad else 0


def visit() -> None:
    """Come as different visitors until told to stop; note what each of them got."""
    stop, counts, failures = threading.Event(), Counter[str](), list[str]()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())

    def come(kind: str, path: str, method: str, keep: bool, pause: float) -> None:
        connection = http.client.HTTPConnection(address(), 80, timeout=20)
        while not stop.is_set():
            try:
                headers = {"Host": "probe.test", "Connection": "keep-alive" if keep else "close"}
                connection.request(method, path, body=b"x" * 2000 if method == "POST" else None, headers=headers)
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200:
                    failures.append(f"{kind}: {answer.status}")
                elif method == "GET":
                    counts[json.loads(body)["greeting"]] += 1
                counts[kind] += 1
            except (OSError, http.client.HTTPException) as error:
                failures.append(f"{kind}: {type(error).__name__}: {error}")
                connection.close()
            stop.wait(pause)

    kinds = [
        ("kept", "/pid", "GET", True, 0.02),
        ("new", "/pid", "GET", False, 0.02),
        ("posts", "/echo", "POST", True, 0.03),
        ("slow", "/sleep?s=2", "GET", True, 0),
        ("also slow", "/sleep?s=1.3", "GET", False, 0),
    ]
    threads = [threading.Thread(target=come, args=kind) for kind in kinds]
    masters = {app: Instance(app).master() for app in APPS}
    for thread in threads:
        thread.start()
    VISITS.write_text(json.dumps({"pid": os.getpid()}))
    for thread in threads:
        thread.join()
    VISITS.write_text(json.dumps({"counts": counts, "failures": failures, "masters": masters}))


def visit_start() -> int:
    """Leave visitors behind and return when they have begun to come."""
    VISITS.unlink(missing_ok=True)
    subprocess.Popen(
        [sys.executable, os.path.abspath(__file__), "visit", "on"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(VISITS.exists, 10, "the first visit")
    return 0


def visit_end() -> int:
    """Send them home and judge what they saw."""
    os.kill(json.loads(VISITS.read_text())["pid"], signal.SIGTERM)
    until(lambda: "counts" in json.loads(VISITS.read_text() or "{}"), 30, "the last visit")
    seen = json.loads(VISITS.read_text())
    print(seen["counts"])
    faults = list(seen["failures"])
    if not (seen["counts"].get("first") and seen["counts"].get("second")):
        faults.append("they did not see both releases")
    if ask("probe").json["greeting"] != "second":
        faults.append("the new release is not there")
    for app, master in seen["masters"].items():
        if (Instance(app).master() == master) == (app == "probe"):
            faults.append(f"{app} was {'not restarted' if app == 'probe' else 'restarted'}")
    print(f"{len(faults)} faults: {faults[:10]}")
    return 1 if faults else 0


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["settled"]:
            sys.exit(judge((Shop, Outlet, Probe, Victim, Hung, Rights, Neighbours), (Alone,)))
        case ["rebooted"]:
            sys.exit(judge((Rebooted,)))
        case ["visit", "start"]:
            sys.exit(visit_start())
        case ["visit", "on"]:
            visit()
        case ["visit", "end"]:
            sys.exit(visit_end())
        case _:
            sys.exit(__doc__)
