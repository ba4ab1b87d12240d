"""Where an app may write, and which of its files nginx serves."""

from __future__ import annotations

import http.client
import subprocess
from contextlib import closing

import pytest
from reports import HOSTS, SCENARIO, SYSTEMD, address, ask, report_of, request, within

pytestmark = pytest.mark.parametrize("host", HOSTS)


def fresh(host: str) -> None:
    within(host, "sh", "-c", "rm -rf /srv/media/shared/media/* /srv/media/shared/media/.[a-z]*")


def upload(host: str, name: str, how: str) -> None:
    assert ask(host, "media", f"/?name={name}&how={how}")[0] == 200


def link(host: str, name: str, to: str) -> None:
    assert ask(host, "media", f"/?name={name}&to={to}")[0] == 200


@pytest.mark.parametrize(
    ("how", "status"), [("plain", 200), ("framework", 200), ("private", 403)], ids=["plain", "framework", "private"]
)
@pytest.mark.parametrize("name", ["photo.txt", "2026/11/photo.txt"], ids=["top", "below"])
def test_uploads_are_served(host: str, name: str, how: str, status: int) -> None:
    fresh(host)
    upload(host, name, how)
    answered, body = ask(host, "media", f"/media/{name}")
    assert (answered, body == how.encode()) == (status, status == 200)


def test_an_upload_is_given_out_as_it_is(host: str) -> None:
    fresh(host)
    upload(host, "page.html", "plain")
    connection, answer = request(host, "media", "/media/page.html")
    with closing(connection):
        heads = {
            name: answer.getheader(name)
            for name in ("X-Content-Type-Options", "Content-Security-Policy", "Cache-Control")
        }
    assert list(heads.values()) == ["nosniff", "sandbox", "no-cache"]
    assert ask(host, "media", "/media/")[0] == 403  # no directory listing
    upload(host, ".htpasswd", "plain")
    assert ask(host, "media", "/media/.htpasswd")[0] == 404


@pytest.mark.parametrize(
    "to",
    ["../secret.txt", "/etc/passwd", "/srv/gallery/shared/media/photo.txt", "/srv/media/current/environment.json", "photo.txt"],
    ids=["shared", "etc", "neighbour", "release", "inside"],
)  # fmt: skip
def test_no_link_is_followed(host: str, to: str) -> None:
    fresh(host)
    upload(host, "photo.txt", "plain")
    assert ask(host, "media", "/gallery/?name=photo.txt&how=plain")[0] == 200
    link(host, "link", to)
    assert ask(host, "media", "/media/link")[0] == 403
    link(host, "folder", "/etc")
    assert ask(host, "media", "/media/folder/passwd")[0] == 404


def test_a_link_in_the_place_of_the_folder_leads_nowhere(host: str) -> None:
    fresh(host)
    try:
        within(host, "sh", "-c", "cd /srv/media/shared && mv media away && ln -s /etc media")
        assert ask(host, "media", "/media/passwd")[0] == 404
    finally:
        within(host, "sh", "-c", "cd /srv/media/shared && rm media && mv away media")


def test_what_lies_beside_it_is_not_served(host: str) -> None:
    for path in ("..%2fsecret.txt", "../secret.txt", "%2e%2e/secret.txt", "..%5csecret.txt", "x/..%2f..%2fsecret.txt", "%2e%2e%2fsecret.txt", "..%00/secret.txt"):  # fmt: skip
        connection = http.client.HTTPConnection(address(host), timeout=20)
        with closing(connection):
            connection.putrequest("GET", f"/media/{path}", skip_host=True)
            connection.putheader("Host", "media.test")
            connection.endheaders()
            assert connection.getresponse().read() != b"secret", path


def test_nginx_can_read_that_folder_and_nothing_beside_it(host: str) -> None:
    fresh(host)
    upload(host, "photo.txt", "plain")

    def may(*words: str) -> bool:
        argv = ["podman", "exec", SCENARIO.container(host), "setpriv", "--reuid=www-data", "--regid=www-data", "--init-groups", *words]  # fmt: skip
        return subprocess.run(argv, env=SCENARIO.environment, capture_output=True, check=False).returncode == 0

    assert may("cat", "/srv/media/shared/media/photo.txt")
    assert not may("sh", "-c", "echo x >/srv/media/shared/media/photo.txt")
    assert not may("touch", "/srv/media/shared/media/new")
    assert not may("ls", "/srv/media/shared")
    assert not may("ls", "/srv/media/home")
    assert not may("ls", "/srv/homely/shared")
    # A file that is open to all is readable by each user who knows its name.
    within(host, "chmod", "640", "/srv/media/shared/secret.txt")
    assert not may("cat", "/srv/media/shared/secret.txt")
    within(host, "chmod", "644", "/srv/media/shared/secret.txt")


def test_caches_of_libraries_have_a_home(host: str) -> None:
    report = report_of(host, "homely")
    assert report == {
        "home": "/srv/homely/home",
        "kept": [f"/srv/homely/home/{name}" for name in (".cache/huggingface", ".config/matplotlib", "nltk_data")],
        "mode": "0o40700",
        "hooked": host == SYSTEMD,  # a migration runs once for all hosts, on the first one
    }
    assert ask(host, "homely", "/elsewhere")[0] >= 500
