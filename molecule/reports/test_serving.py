"""What an app and its clients see of the way in which it is served."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from reports import CLIENT, HOSTS, SYSTEMD, WebSocket, ask, log, report_of, request, until_logged, within

WSGI = ("threads", "greenlets", "alone")
LOOPED = "looped"
"""A WSGI app under tornado's worker, which answers one request after the other and gathers each answer first."""
PACKAGES = ("flask", "flask-gevent", "fast", "channels")
"""Apps that are made with the packages people use."""
ASGI = ("live", "native")
TIMEOUT = 3
"""Seconds, as in the inventory. A silence of 12 is allowed."""

pytestmark = pytest.mark.parametrize("host", HOSTS)
wsgi = pytest.mark.parametrize("app", WSGI)
asgi = pytest.mark.parametrize("app", ASGI)
every = pytest.mark.parametrize("app", WSGI + ASGI)
BALANCER = {"X_Forwarded_For": CLIENT, "X_Forwarded_Proto": "https", "X_Request_ID": "balancer-0001"}


def test_the_kit_works_beside_hooks_of_the_users(host: str) -> None:
    ask(host, "threads", "/hooked")
    text = until_logged(host, "threads", "answered /hooked 200 OK")
    assert "caches are warm" in text
    if host == SYSTEMD:
        assert within(host, "sh", "-c", "systemctl is-active 'slipway-threads-*[0-9a-f].service'").split() == ["active"]


@pytest.mark.parametrize("app", [*WSGI, LOOPED])
def test_a_wsgi_app_sees_its_client(host: str, app: str) -> None:
    seen = report_of(host, app, **BALANCER)
    assert seen["REMOTE_ADDR"] == seen["HTTP_X_FORWARDED_FOR"] == CLIENT  # so that ProxyFix(x_for=1) changes nothing
    assert seen["REMOTE_PORT"] is None
    assert seen["wsgi.url_scheme"] == "https"
    assert seen["HTTP_X_REQUEST_ID"] == "balancer-0001"


@asgi
def test_an_asgi_app_sees_its_client(host: str, app: str) -> None:
    seen = report_of(host, app, **BALANCER)
    assert (seen["client"], seen["scheme"], seen["request_id"]) == ([CLIENT, 0], "https", "balancer-0001")
    with closing(WebSocket(host, app)) as socket:
        seen = json.loads(socket.say("who"))
    assert (seen["client"], seen["scheme"]) == ([CLIENT, 0], "wss")


def test_an_asgi_app_knows_its_mount(host: str) -> None:
    status, body = ask(host, "live", "/below/page")
    assert (status, json.loads(body)["root_path"]) == (200, "/below")


@pytest.mark.parametrize("app", PACKAGES)
def test_a_framework_sees_its_client(host: str, app: str) -> None:
    seen = report_of(host, app, **BALANCER)
    assert (seen["client"], seen["scheme"], seen["url"]) == (CLIENT, "https", f"https://{app}.test/")


@pytest.mark.parametrize("app", [*WSGI, *ASGI, LOOPED])
def test_what_is_printed_is_in_the_log_at_once(host: str, app: str) -> None:
    word = f"at-{time.time()}"
    ask(host, app, f"/print?{word}")
    until_logged(host, app, f"printed {word}")


@pytest.mark.parametrize(
    ("app", "path"),
    [*((app, path) for app in (*WSGI, LOOPED) for path in ("/boom", "/quiet", "/loud")), (LOOPED, "/late"), *((app, path) for app in ASGI for path in ("/boom", "/early"))],
)  # fmt: skip
def test_what_made_a_500_is_in_the_log_once_with_the_request(host: str, app: str, path: str) -> None:
    word = f"because-{time.time()}"
    request_id = f"request-{time.time()}"
    assert ask(host, app, f"{path}?{word}", X_Request_ID=request_id)[0] == 500
    time.sleep(0.5)
    text = until_logged(host, app, request_id)
    assert len(re.findall(rf"^RuntimeError: \w+ {re.escape(word)}$", text, re.MULTILINE)) == 1
    assert f"?{word}" not in text, "a query may hold secrets"
    assert request_id in within(host, "sh", "-c", f"tail -n 5 /var/log/nginx/slipway-{app}.test.access.log")


@pytest.mark.parametrize("app", ["threads", "greenlets", *ASGI, *PACKAGES])
def test_websockets_may_be_quiet(host: str, app: str) -> None:
    with closing(WebSocket(host, app)) as socket:
        assert socket.say("first") == "first"
        time.sleep(2 * TIMEOUT)  # longer than an answer may take, less than the silence that is allowed
        assert socket.say("second") == "second"


@pytest.mark.parametrize("app", ["threads", "greenlets", *ASGI, *PACKAGES])
def test_websockets_with_traffic_live_on(host: str, app: str) -> None:
    with closing(WebSocket(host, app)) as socket:
        for number in range(5):
            assert socket.say(f"text {number}") == f"text {number}"
            time.sleep(TIMEOUT - 1)
    assert " hang" not in log(host, app)[-2000:]


@pytest.mark.parametrize("app", [*WSGI, "live"])  # gunicorn's own ASGI worker loses them: see the warning of a deploy
def test_event_streams_may_be_quiet(host: str, app: str) -> None:
    begin = time.monotonic()
    connection, answer = request(host, app, f"/events?{2 * TIMEOUT}", Accept="text/event-stream")
    with closing(connection):
        assert answer.readline() == b"data: 0\n"
        assert time.monotonic() - begin < 2  # at once, whatever nginx buffers
        assert answer.readline() == b"\n"
        assert answer.readline() == b"data: 1\n"


@pytest.mark.parametrize("app", ["threads", "greenlets", "live"])
def test_streams_arrive_though_the_app_asks_for_its_client(host: str, app: str) -> None:
    assert ask(host, app, "/events?0.1")[1] == b"data: 0\n\ndata: 1\n\n"


@wsgi
def test_a_download_lasts_as_long_as_its_client_reads(host: str, app: str) -> None:
    """By gunicorn's sendfile and in large pieces, for 12 seconds: longer than its own timeout, which is 8."""
    pid = report_of(host, app)["pid"]

    def download(path: str) -> int:
        connection, answer = request(host, app, path)
        with closing(connection):
            size = 0
            for _ in range(48):
                size += len(answer.read(1024 * 1024))
                time.sleep(0.25)
            return size

    with ThreadPoolExecutor() as pool:
        assert list(pool.map(download, ["/file", "/pieces"])) == [48 * 1024 * 1024] * 2
    within(host, "kill", "-0", str(pid))


@every
def test_too_slow_is_a_504(host: str, app: str) -> None:
    begin = time.monotonic()
    assert ask(host, app, "/hang")[0] == 504
    assert TIMEOUT - 0.5 < time.monotonic() - begin < TIMEOUT + 2
    if app == "native":
        return
    # Also where nginx is patient.
    status, _body = ask(host, app, "/hang", Accept="text/event-stream", timeout=60)
    assert status == 504 or (app == "alone" and status in (500, 502))  # gunicorn itself ends its only thread
    assert time.monotonic() - begin < 8 * TIMEOUT


def test_hung_threads_are_replaced(host: str) -> None:
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: ask(host, "threads", "/hang"), range(20)))
    end = time.monotonic() + 5 * TIMEOUT
    while ask(host, "threads", "/")[0] != 200:
        assert time.monotonic() < end


@pytest.mark.parametrize("app", [*WSGI, *ASGI, LOOPED])
def test_one_limit_holds_for_heads(host: str, app: str) -> None:
    assert report_of(host, app, f"/?{'x' * 15000}")["query"] == 15000
    assert ask(host, app, f"/?{'x' * 17000}")[0] == 414
    assert ask(host, app, "/", Cookie="x" * 15000)[0] == 200
    assert ask(host, app, "/", Cookie="x" * 17000)[0] == 431
    assert ask(host, app, "/", **{f"X_{number}": "x" * 12000 for number in range(4)})[0] == 200
    assert ask(host, app, "/", **{f"X_{number}": "x" * 12000 for number in range(6)})[0] == 431


@wsgi
def test_an_answers_head_may_be_large(host: str, app: str) -> None:
    assert ask(host, app, "/head?25")[0] == 200


@pytest.mark.parametrize("app", [*WSGI, *ASGI, LOOPED])
def test_the_virtualenv_has_one_name(host: str, app: str) -> None:
    seen = report_of(host, app)
    site = [path for path in seen["path"] if "site-packages" in path]
    assert site, seen
    assert all(path.startswith(f"/srv/{app}/venvs/") for path in [*site, seen["venv"]])
    assert not any("/releases/" in path and "/venv" in path for path in seen["path"])


def test_one_process_killed_for_memory_does_not_stop_the_others(host: str) -> None:
    if host != SYSTEMD:
        pytest.skip("supervisor cannot limit memory")
    unit = within(
        host, "sh", "-c", "systemctl list-units --plain --no-legend 'slipway-hungry-*[0-9a-f].service'"
    ).split()[0]
    assert "OOMPolicy=continue" in within(host, "systemctl", "show", "--property=OOMPolicy", unit)
    group = within(host, "systemctl", "show", "--property=ControlGroup", "--value", unit).strip()
    limit = (
        f"cat /sys/fs/cgroup{group}/memory.max /sys/fs/cgroup/memory{group}/memory.limit_in_bytes 2>/dev/null || true"
    )
    if str(200 * 1024**2) not in within(host, "sh", "-c", limit).split():
        pytest.skip("the kernel limits no memory in this container")
    master = ask(host, "hungry", "/")[1].split()[0]
    for _ in range(2):
        assert ask(host, "hungry", "/eat", timeout=60)[0] in (502, 504)
        assert ask(host, "hungry", "/")[1].split()[0] == master
