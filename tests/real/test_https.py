"""The server for https: a real nginx with the kit's files, asked by real clients."""

from __future__ import annotations

import http.client
import http.server
import json
import shutil
import socket
import socketserver
import ssl
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import passwords
from ansible_collections.slipway.kit.plugins.module_utils.contract.manifest import Health
from ansible_collections.slipway.kit.plugins.module_utils.host.run import visiting
from ansible_collections.slipway.kit.plugins.module_utils.host.system.nginx import Front
from cryptography import x509

from tests.authority import Authority, install, pem
from tests.patience import patience
from tests.render.conftest import nginx_below, program

from .conftest import _free_port, until

pytestmark = pytest.mark.real

ENTRY: dict[str, Any] = {"module": "web:app", "source": {"path": "."}}
APPS: dict[str, Any] = {
    "shop": {
        **ENTRY,
        "domains": ["shop.test", "www.shop.test"],
        "primary": "shop.test",
        "tls": "acme",
        "hsts": "1 year",
        "static": {"/static/": "static"},
    },
    "blog": {**ENTRY, "domains": ["blog.test"], "tls": "acme"},
    "plain": {**ENTRY, "domains": ["plain.test", "www.plain.test"], "primary": "plain.test"},
}
TOKEN = "/.well-known/acme-challenge/token"


class App(http.server.BaseHTTPRequestHandler):
    """An app that says what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = f"{self.command} {self.path} {self.headers['X-Forwarded-Proto']} {self.headers['Host']}".encode()
        self.send_response(404 if self.path == "/missing" else 200)
        if self.path == "/own":
            self.send_header("Strict-Transport-Security", "max-age=7")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_words: object) -> None:
        """Say nothing."""

    def address_string(self) -> str:
        return ""


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


@dataclass
class Stage:
    """nginx with its certificates."""

    top: Path
    port: int
    tls_port: int
    authority: Authority
    command: list[str]

    def connect(self, name: str | None, **settings: Any) -> ssl.SSLSocket:
        """A connection after its handshake; `name` is asked for. The certificate must be good unless `trust` is false."""
        context = ssl.create_default_context()
        context.load_verify_locations(cadata=pem(self.authority.root))
        if not settings.pop("trust", True) or name is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        session = settings.pop("session", None)
        for key, value in settings.items():
            if key == "alpn":
                context.set_alpn_protocols(value)
            else:
                setattr(context, key, value)
        if session:
            context = session[0]
        raw = socket.create_connection(("127.0.0.1", self.tls_port), timeout=patience(10))
        try:
            return context.wrap_socket(raw, server_hostname=name, session=session[1] if session else None)
        except BaseException:
            raw.close()
            raise

    def ask(
        self, path: str = "/", host: str = "shop.test", tls: bool = True, method: str = "GET", **settings: Any
    ) -> tuple[int, http.client.HTTPMessage, str]:
        """The answer to one request."""
        port = self.tls_port if tls else self.port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience(10))
        with closing(connection):
            if tls:
                connection.sock = self.connect(settings.pop("sni", host), **settings)
            connection.request(method, path, headers={"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()

    def reload(self) -> None:
        """Make nginx read its files again, and wait until it has: its workers are others then."""
        before = self.workers()
        subprocess.run([*self.command, "-s", "reload"], check=True)
        until(lambda: self.workers() - before)

    def workers(self) -> set[str]:
        master = (self.top / "run/nginx.pid").read_text().strip()
        return set(Path(f"/proc/{master}/task/{master}/children").read_text().split())


@contextmanager
def serving(
    apps: dict[str, Any], certificates: dict[str, bool], texts: dict[str, str] | None = None, **settings: Any
) -> Iterator[Stage]:
    """nginx in front of the apps; `certificates` are the sites that have one, and whether it is a placeholder."""
    top, authority = Path(tempfile.mkdtemp(prefix="h", dir="/tmp")), Authority()
    port, tls_port = _free_port(), _free_port()
    variables = {"apps": apps, "nginx_http_port": port, "nginx_https_port": tls_port, **settings}
    command = nginx_below(top, variables, texts)
    for site, placeholder in certificates.items():
        domains = next((app["domains"] for app in apps.values() if site in app.get("domains", ())), ["localhost"])
        install(top, site, authority.issue(*domains), placeholder)
    servers = []
    for name in apps:
        run = top / f"srv/{name}/releases/a/run"
        run.mkdir(parents=True)
        (top / f"srv/{name}/current").symlink_to("releases/a")
        static = top / f"srv/{name}/releases/a/static/static"
        static.mkdir(parents=True)
        (static / "a.css").write_text("a{}")
        server = Server(f"{run}/app.sock", App)
        Path(f"{run}/app.sock").chmod(0o777)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
    webroot = top / "var/lib/slipway-acme/webroot/.well-known/acme-challenge"
    webroot.mkdir(parents=True)
    (webroot / "token").write_text("answer")
    (webroot / "link").symlink_to("/etc/hostname")
    stage = Stage(top, port, tls_port, authority, command)
    process = subprocess.Popen([*command, "-g", "daemon off;"])
    try:
        until(lambda: _listens(port) and _listens(tls_port), 20)
        yield stage
    finally:
        process.terminate()
        process.wait(timeout=patience(30))
        for server in servers:
            server.shutdown()
            server.server_close()
        shutil.rmtree(top)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=patience(5)).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with serving(APPS, {"shop.test": False, "blog.test": True}) as one:
        yield one


@pytest.mark.parametrize("host", ["shop.test", "www.shop.test"])
@pytest.mark.parametrize("path", ["/", "/a/b?c=d&e=//x", "/a/%2e%2e/x", "//evil.test/", "/.well-known/other"])
def test_plain_http_leads_to_the_primary_domain_by_https_in_one_step(stage: Stage, host: str, path: str) -> None:
    for method in ("GET", "POST"):
        status, head, _body = stage.ask(path, host, tls=False, method=method)
        assert (status, head["Location"]) == (308, f"https://shop.test:{stage.tls_port}{path}")
        assert "Strict-Transport-Security" not in head


def test_the_other_domain_leads_to_the_primary_one_by_https(stage: Stage) -> None:
    status, head, _body = stage.ask("/x?y=z", "www.shop.test")
    assert (status, head["Location"]) == (308, f"https://shop.test:{stage.tls_port}/x?y=z")
    assert head["Strict-Transport-Security"] == "max-age=31536000"


def test_a_primary_domain_without_https_keeps_the_client_s_scheme_and_port(stage: Stage) -> None:
    status, head, _body = stage.ask("/x", "www.plain.test", tls=False)
    assert (status, head["Location"]) == (308, "http://plain.test/x")
    status, head, _body = stage.ask("/x", f"www.plain.test:{stage.port}", tls=False)
    assert head["Location"] == f"http://plain.test:{stage.port}/x"
    assert stage.ask("/x", "plain.test", tls=False)[2] == "GET /x http plain.test"


@pytest.mark.parametrize("path", ["/", "/missing", "/static/a.css"])
def test_browsers_are_to_insist_on_https_whatever_answers(stage: Stage, path: str) -> None:
    head = stage.ask(path)[1]
    assert head.get_all("Strict-Transport-Security") == ["max-age=31536000"]


def test_an_app_s_own_word_on_that_is_the_only_one(stage: Stage) -> None:
    assert stage.ask("/own")[1].get_all("Strict-Transport-Security") == ["max-age=7"]


def test_the_app_learns_that_the_client_came_by_https(stage: Stage) -> None:
    assert stage.ask("/a%20b", method="POST")[2] == "POST /a%20b https shop.test"


def test_a_placeholder_leaves_the_app_on_plain_http(stage: Stage) -> None:
    status, head, body = stage.ask("/x", "blog.test", tls=False)
    assert (status, body) == (200, "GET /x http blog.test")
    assert "Strict-Transport-Security" not in head
    status, head, body = stage.ask("/x", "blog.test")
    assert (status, body) == (200, "GET /x https blog.test")
    assert "Strict-Transport-Security" not in head


@pytest.mark.parametrize("host", ["shop.test", "www.shop.test", "blog.test"])
def test_an_authority_gets_its_answer_without_a_redirect(stage: Stage, host: str) -> None:
    status, head, body = stage.ask(TOKEN, host, tls=False)
    assert (status, body, head["Content-Type"]) == (200, "answer", "text/plain")
    assert stage.ask(f"{TOKEN}x", host, tls=False)[0] == 404
    assert stage.ask(TOKEN.replace("token", "link"), host, tls=False)[0] == 403


def test_a_name_of_no_app_gets_no_certificate_and_no_answer(stage: Stage) -> None:
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        stage.connect("unknown.test", trust=False)
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        stage.connect(None)
    with pytest.raises(http.client.RemoteDisconnected):
        stage.ask("/", "unknown.test", tls=False)
    # A name in the handshake and another one in the request: HTTP/2 clients ask so, and come again on a new connection.
    assert stage.ask("/", "unknown.test", sni="shop.test")[0] == 421


def test_http_2_is_spoken(stage: Stage) -> None:
    with stage.connect("shop.test", alpn=["h2", "http/1.1"]) as connection:
        assert connection.selected_alpn_protocol() == "h2"
    with stage.connect("www.shop.test", alpn=["h2"]) as connection:
        assert connection.selected_alpn_protocol() == "h2"
    words = ["--http2", "-sS", "--max-time", "20", "-w", " %{http_version}", "--cacert", "/dev/stdin"]
    address = f"https://shop.test:{stage.tls_port}/a"
    result = subprocess.run(
        [program("curl"), *words, "--resolve", f"shop.test:{stage.tls_port}:127.0.0.1", address],
        input=pem(stage.authority.root).encode(), capture_output=True, check=True,
    )  # fmt: skip
    assert result.stdout.decode() == f"GET /a https shop.test:{stage.tls_port} 2"


@pytest.mark.parametrize("name", ["shop.test", "www.shop.test"])
def test_a_session_continues_without_a_ticket(stage: Stage, name: str) -> None:
    """By the server's cache. A ticket would be encrypted with a key that nginx keeps as long as it runs."""
    with stage.connect(name, maximum_version=ssl.TLSVersion.TLSv1_2) as connection:
        context, session = connection.context, connection.session
        assert session is not None
        assert not session.has_ticket
    with stage.connect(name, session=(context, session)) as connection:
        assert connection.session_reused


OLD = {"minimum_version": ssl.TLSVersion.TLSv1, "maximum_version": ssl.TLSVersion.TLSv1_1}


def refused(stage: Stage, **settings: Any) -> bool:
    """Whether the handshake fails by the server's choice."""
    settings = {"trust": False, **settings}
    try:
        stage.connect("shop.test", **settings).close()
    except ssl.SSLError:
        return True
    return False


@pytest.mark.parametrize(("policy", "tls_1_2"), [("intermediate", True), ("modern", False)])
def test_the_policy_says_what_clients_must_speak(policy: str, tls_1_2: bool) -> None:
    with serving({"shop": APPS["shop"]}, {"shop.test": False}, tls_policy=policy) as stage:
        assert not refused(stage, minimum_version=ssl.TLSVersion.TLSv1_3)
        assert refused(stage, maximum_version=ssl.TLSVersion.TLSv1_2) is not tls_1_2
        result = subprocess.run(
            [program("openssl"), "s_client", "-connect", f"127.0.0.1:{stage.tls_port}", "-servername", "shop.test", "-tls1_1",
             "-cipher", "ALL:@SECLEVEL=0"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=patience(20), check=False,
        )  # fmt: skip
        assert "alert protocol version" in result.stderr
        if tls_1_2:
            with stage.connect("shop.test", maximum_version=ssl.TLSVersion.TLSv1_2) as connection:
                name, _version, bits = connection.cipher() or ("", "", 0)
            assert name.startswith("ECDHE-")
            assert bits >= 128


def test_a_site_without_domains_has_https_for_every_name() -> None:
    apps = {"demo": {**ENTRY, "tls": "self_signed"}, "shop": APPS["shop"]}
    with serving(apps, {"default": False, "shop.test": False}) as stage:
        assert stage.ask("/x", "whatever.test", trust=False)[2] == "GET /x https whatever.test"
        status, head, _body = stage.ask("/x", "whatever.test", tls=False)
        assert (status, head["Location"]) == (308, f"https://whatever.test:{stage.tls_port}/x")
        assert stage.ask("/x", "shop.test")[2] == "GET /x https shop.test"


def test_the_default_site_of_plain_http_alone_gets_no_https() -> None:
    apps = {"demo": ENTRY, "shop": APPS["shop"]}
    with serving(apps, {"shop.test": False}) as stage:
        assert stage.ask("/x", "whatever.test", tls=False)[2] == "GET /x http whatever.test"
        with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
            stage.connect("whatever.test", trust=False)


def test_a_new_certificate_loses_no_request() -> None:
    """From a placeholder to a certificate, and from one to the next: clients with new connections, all the while."""
    with serving({"blog": APPS["blog"]}, {"blog.test": True}) as stage:
        issued = [stage.authority.issue("blog.test") for _ in range(6)]
        seen: Counter[int] = Counter()
        failures: list[str] = []
        over = threading.Event()

        def client() -> None:
            while not over.is_set():
                try:
                    with stage.connect("blog.test") as connection:
                        serial = _serial(connection)
                        connection.sendall(b"GET /x HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n")
                        data = b"".join(iter(lambda: connection.recv(65536), b""))
                    seen[serial] += 1
                    if not data.startswith(b"HTTP/1.1 200 "):
                        failures.append(repr(data[:60]))
                except OSError as error:
                    failures.append(repr(error))

        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for one in issued:
                install(stage.top, "blog.test", one)
                stage.reload()
                until(lambda one=one: seen[one.certificates[0].serial_number] >= 5)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert failures == []
        assert {one.certificates[0].serial_number for one in issued} <= set(seen)
        status, head, _body = stage.ask("/x", "blog.test", tls=False)
        assert (status, head["Location"]) == (308, f"https://blog.test:{stage.tls_port}/x")
        assert stage.ask("/x", "blog.test")[1]["Strict-Transport-Security"] == "max-age=300"


def _serial(connection: ssl.SSLSocket) -> int:
    return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"").serial_number


def test_the_kit_s_own_request_goes_by_https_and_judges_no_certificate(stage: Stage) -> None:
    rule = Health("/x", ((200, 200),), "https shop.test", "shop.test", "http", 1, 0.1, 0)
    manifest: Any = SimpleNamespace(app="shop", health=rule, mount="/", visit=SimpleNamespace(path="/x"))
    answer = visiting.ask_nginx(manifest, patience(5), "", Front(stage.tls_port, "shop.test", tls=True))
    assert (answer.status, answer.body) == (200, "GET /x https shop.test")


def test_the_kit_s_own_request_keeps_its_deadline_in_the_handshake() -> None:
    """A program on the port that accepts and never says a word must not hold a deploy."""
    rule = Health("/x", ((200, 200),), None, "shop.test", "http", 1, 0.1, 0)
    manifest: Any = SimpleNamespace(app="shop", health=rule, mount="/", visit=SimpleNamespace(path="/x"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begin = time.monotonic()
        with pytest.raises(TimeoutError):
            visiting.ask_nginx(manifest, 0.3, "", Front(silent.getsockname()[1], "shop.test", tls=True))
        assert time.monotonic() - begin < patience(5)


CLOSED: dict[str, dict[str, Any]] = {
    "closed": {**ENTRY, "domains": ["closed.test"], "tls": "acme", "basic_auth": {"guest": "open sesame"}},
    "near": {**ENTRY, "domains": ["near.test"], "tls": "acme", "allow": ["127.0.0.0/8"]},
    "far": {**ENTRY, "domains": ["far.test"], "tls": "acme", "allow": ["192.0.2.0/24"]},
    "gone": {**ENTRY, "domains": ["gone.test"], "tls": "acme", "max_body_size": "5M"},
}


@pytest.fixture(scope="module")
def closed() -> Iterator[Stage]:
    """Apps that are not for the public."""
    apps = {name: {**app, "static": {"/static/": "static"}} for name, app in CLOSED.items()}
    texts = {"/etc/nginx/slipway/closed.users": passwords.line("closed", "guest", "open sesame")}
    with serving(apps, {f"{name}.test": False for name in apps}, texts) as one:
        yield one


def curl(stage: Stage, name: str, *words: str, path: str = "/a", http: str = "2") -> tuple[str, str]:
    """The status, protocol and type of an answer, and its body."""
    form = "\n%{http_code} %{http_version} %{content_type}"
    result = subprocess.run(
        [program("curl"), f"--http{http}", "-sS", "--max-time", "20", "-w", form, "--cacert", "/dev/stdin", "--path-as-is", *words,
         "--resolve", f"{name}:{stage.tls_port}:127.0.0.1", f"https://{name}:{stage.tls_port}{path}"],
        input=pem(stage.authority.root).encode(), capture_output=True, check=True,
    )  # fmt: skip
    body, _newline, line = result.stdout.decode().rpartition("\n")
    return line, body


PATHS = ("/", "/static/a.css", "/static/../a", "/b/%2e%2e/a", "//", "/a/../static/a.css")


@pytest.mark.parametrize("path", PATHS)
def test_a_closed_app_is_closed_over_http_2_on_every_path(closed: Stage, path: str) -> None:
    for words in ((), ("-u", "guest:wrong"), ("-H", "X-Forwarded-For: 127.0.0.1"), ("-X", "OPTIONS")):
        assert curl(closed, "closed.test", *words, path=path)[0].startswith("401 2 text/html"), words
        assert curl(closed, "far.test", *words, path=path)[0].startswith("403 2 text/html"), words
    assert curl(closed, "closed.test", "-u", "guest:open sesame", path=path)[0].startswith("200 2 ")
    assert curl(closed, "near.test", path=path)[0].startswith("200 2 ")


def test_a_connection_to_an_open_app_does_not_open_a_closed_one(closed: Stage) -> None:
    """HTTP/2 clients use a connection for several names."""
    for name in ("closed.test", "far.test"):
        words = ("-H", f"Host: {name}:{closed.tls_port}")
        line, body = curl(closed, "near.test", *words, path="/static/a.css")
        assert line.startswith(("401 2", "403 2", "421 2")), line
        assert "a{}" not in body


def test_error_pages_over_http_2_are_those_of_http_1(closed: Stage) -> None:
    json_too = ("-H", "Accept: application/json")
    for name, status, words in (
        ("closed.test", 401, ()),
        ("far.test", 403, ()),
        ("near.test", 413, ("-H", "Content-Length: 99999999999", "-d", "x")),
    ):
        line, body = curl(closed, name, *words)
        assert line == f"{status} 2 text/html", line
        assert f"Error {status}" in body
        line, body = curl(closed, name, *words, *json_too)
        assert line == f"{status} 2 application/problem+json", line
        assert json.loads(body)["status"] == status


@pytest.mark.parametrize("http", ["1.1", "2"])
def test_an_upload_to_an_app_that_is_gone_gets_the_page_for_that(closed: Stage, tmp_path: Path, http: str) -> None:
    (closed.top / "srv/gone/releases/a/run/app.sock").unlink(missing_ok=True)
    for size, status in ((3 << 20, 502), (6 << 20, 413)):
        (tmp_path / "upload").write_bytes(bytes(size))
        line, body = curl(closed, "gone.test", "-T", str(tmp_path / "upload"), http=http)
        assert (line, f"Error {status}" in body) == (f"{status} {http} text/html", True)
