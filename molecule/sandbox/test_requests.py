"""What of a request reaches real frameworks, what nginx serves of an app's files, and what nginx itself may do."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from sandbox import HOSTS, SUPERVISOR, exposure, play, python, within

EXPOSURE = 5.0
"""The highest exposure that `systemd-analyze security` may give to nginx and supervisord. Without drop-ins it is 9.6."""

SEND = r"""
import json, socket, sys
connection = socket.create_connection(("127.0.0.1", 80), timeout=20)
connection.sendall(sys.argv[1].encode("latin-1"))
data = b""
while True:
    more = connection.recv(65536)
    data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    if not more or (length and len(body) >= int(length[0])) or body.endswith(b"0\r\n\r\n"):
        break
if b"\r\ntransfer-encoding: chunked" in head.lower():
    body, rest = b"", body
    while True:
        size, _, rest = rest.partition(b"\r\n")
        if int(size, 16) == 0:
            break
        body, rest = body + rest[:int(size, 16)], rest[int(size, 16) + 2:]
print(json.dumps({"status": int(head.split()[1]) if head else 0, "head": head.decode("latin-1"), "body": body.decode("latin-1")}))
"""


def send(host: str, *lines: str, body: str = "") -> Any:
    """Send these very lines to the host's nginx."""
    return python(host, SEND, "\r\n".join((*lines, "", "")) + body)


def get(host: str, path: str, name: str = "names.test") -> Any:
    return send(host, f"GET {path} HTTP/1.1", f"Host: {name}", "Connection: close")


NAMES = {
    "a plain name": (("GET /{} HTTP/1.1", "Host: names.test"), "names.test"),
    "a port": (("GET /{} HTTP/1.1", "Host: names.test:8443"), "names.test:8443"),
    "another name beside the target's": (("GET http://names.test/{} HTTP/1.1", "Host: attacker.example"), "names.test"),
    "the target's port": (("GET http://names.test:8443/{} HTTP/1.1", "Host: attacker.example:99"), "names.test:8443"),
    "a name below a wildcard": (("GET /{} HTTP/1.1", "Host: A.names.test"), "a.names.test"),
    "a user": (("GET /{} HTTP/1.1", "Host: names.test:x@attacker.example"), None),
    "a user below a wildcard": (("GET /{} HTTP/1.1", "Host: attacker.example@a.names.test"), None),
    "the highest port": (("GET /{} HTTP/1.1", "Host: names.test:65535"), "names.test:65535"),
    "a port beyond the highest": (("GET /{} HTTP/1.1", "Host: names.test:65536"), None),
    "a port that is none": (("GET /{} HTTP/1.1", "Host: names.test:00000"), None),
    "a port of too many digits": (("GET /{} HTTP/1.1", "Host: names.test:123456"), None),
    "two names": (("GET /{} HTTP/1.1", "Host: names.test", "Host: attacker.example"), None),
}


@pytest.mark.parametrize("framework", ["django", "flask"])
@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("host", HOSTS)
def test_frameworks_make_links_with_the_name_that_nginx_chose_by(host: str, kind: str, framework: str) -> None:
    (first, *more), wanted = NAMES[kind]
    forged = (
        "X-Forwarded-Host: attacker.example",
        "Forwarded: host=attacker.example",
        "X-Host: x",
        "Connection: close",
    )
    answer = send(host, first.format(framework), *more, *forged)
    if wanted is None:
        assert answer["status"] == 400, answer
    else:
        path = "/reset" if framework == "django" else "/flask"
        assert json.loads(answer["body"]) == {"host": wanted, "link": f"http://{wanted}{path}"}


@pytest.mark.parametrize("upgrade", ["h2c", "websocket, h2c", "websocket"])
@pytest.mark.parametrize("host", HOSTS)
def test_a_body_arrives_whatever_upgrade_is_asked_for(host: str, upgrade: str) -> None:
    """uvicorn took the body of such a request for the beginning of the other protocol."""
    lines = (f"Upgrade: {upgrade}", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAAP__")
    answer = send(
        host, "POST /in/ HTTP/1.1", "Host: receives.test", *lines, "Content-Length: 5", body="a=b&c"
    )  # fmt: skip
    report = json.loads(answer["body"])
    assert report["received"] == 5
    assert "upgrade" not in report["headers"] and "http2-settings" not in report["headers"]


@pytest.mark.parametrize("host", HOSTS)
def test_a_redirect_of_nginx_names_a_path_alone(host: str) -> None:
    answer = get(host, "/in?a=b", "receives.test")
    assert answer["status"] == 308
    assert "\r\nLocation: /in/?a=b" in answer["head"]


@pytest.mark.parametrize("host", HOSTS)
def test_static_files_and_links_within_are_served_and_dotfiles_are_not(host: str) -> None:
    css = "body { color: black; }\n"
    for path in ("css/a.css", "link.css"):
        assert (get(host, f"/static/{path}")["status"], get(host, f"/static/{path}")["body"]) == (200, css), path
    assert get(host, "/static/.env")["status"] == 404
    listed = within(
        host, "sh", "-c", "cd /srv/names/current/static/ && find . -name '.?*' -o -type l -printf '%p %l\\n'"
    )
    assert listed.split() == ["./static/link.css", "css/a.css"]


@pytest.mark.parametrize("host", HOSTS)
def test_nginx_s_group_alone_passes_into_static_folders(host: str) -> None:
    for folder in ("/srv/names/current/static", "/srv/names/assets"):
        assert within(host, "stat", "-L", "-c", "%a %U %G", folder).split() == ["750", "root", "www-data"]
        within(host, "sh", "-c", f"! runuser -u nobody -- ls {folder}/ 2>/dev/null")


@pytest.mark.parametrize("host", HOSTS)
def test_what_nginx_extra_says_is_in_a_file_of_its_own(host: str) -> None:
    assert "\r\nX-Extra: yes" in get(host, "/flask")["head"]
    assert "add_header X-Extra yes" in within(host, "cat", "/etc/nginx/slipway/names.extra.conf")
    assert "add_header X-Extra" not in within(host, "cat", "/etc/nginx/slipway/names.conf")


@pytest.mark.parametrize("host", HOSTS)
def test_nginx_may_do_little_and_does_its_work(host: str) -> None:
    """Reloaded while the unit it was started by is an older one, and then restarted by this one."""
    assert exposure(host, "nginx.service") <= EXPOSURE
    for order in ("reload", "restart", "reload"):
        within(host, "systemctl", order, "nginx")
        within(
            host,
            "sh",
            "-c",
            "cd /var/log/nginx; mv error.log error.log.1; nginx -s reopen; until test -e error.log; do sleep 0.1; done",
        )
        assert get(host, "/flask")["status"] == 200, order
        assert get(host, "/static/css/a.css")["status"] == 200, order
    status = within(host, "sh", "-c", "grep -h NoNewPrivs /proc/$(cat /run/nginx.pid)/status")
    assert status.split() == ["NoNewPrivs:", "1"]


NEIGHBOUR = """
proxy_cache_path /var/tmp/neighbour-cache keys_zone=neighbour:1m;
server {
    listen unix:/tmp/neighbour.sock;
    root /home/alice/public;
    access_log /home/alice/logs/access.log;
}
server {
    listen 80;
    server_name neighbour.test;
    location / {
        proxy_pass http://unix:/tmp/neighbour.sock;
        proxy_cache neighbour;
        proxy_cache_valid 200 1m;
    }
}
"""
"""A site that the kit does not manage: a socket in /tmp, files and a log in /home, its own cache."""


@pytest.mark.parametrize("host", HOSTS)
def test_a_neighbour_s_site_works_as_before(host: str) -> None:
    within(
        host, "sh", "-c", "mkdir -p /home/alice/public /home/alice/logs && echo hello >/home/alice/public/index.html"
    )
    within(host, "sh", "-c", "cat >/etc/nginx/conf.d/neighbour.conf", stdin=NEIGHBOUR)
    try:
        within(host, "systemctl", "restart", "nginx")
        assert get(host, "/", "neighbour.test")["body"] == "hello\n"
        assert "GET / HTTP/1.0" in within(host, "cat", "/home/alice/logs/access.log")
        assert within(host, "find", "/var/tmp/neighbour-cache", "-type", "f") != ""
    finally:
        within(
            host,
            "sh",
            "-c",
            "rm /etc/nginx/conf.d/neighbour.conf && systemctl restart nginx; rm -r /home/alice/public /home/alice/logs",
        )


def test_supervisord_may_do_little_and_does_its_work() -> None:
    assert exposure(SUPERVISOR, "slipway-supervisor.service") <= EXPOSURE
    within(SUPERVISOR, "systemctl", "restart", "slipway-supervisor")
    until = time.monotonic() + 30
    while get(SUPERVISOR, "/flask")["status"] != 200:
        assert time.monotonic() < until, within(
            SUPERVISOR, "journalctl", "-n", "50", "--no-pager", "-u", "slipway-supervisor"
        )
        time.sleep(0.5)
    status = within(SUPERVISOR, "sh", "-c", "grep -h NoNewPrivs /proc/$(cat /run/slipway/supervisord.pid)/status")
    assert status.split() == ["NoNewPrivs:", "1"]


def test_a_link_that_leaves_a_static_folder_is_refused() -> None:
    completed = play("deploy", app="names", public="leaks")
    assert completed.returncode == 2
    assert "leaks/all is a link to .., which leads out of that folder" in completed.stdout, completed.stdout
    assert "no host was touched" in completed.stdout, completed.stdout
    for host in HOSTS:
        assert get(host, "/static/css/a.css")["status"] == 200
