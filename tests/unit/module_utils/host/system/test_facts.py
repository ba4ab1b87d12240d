"""Facts, read from machines made of files."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.base import processes
from ansible_collections.slipway.kit.plugins.module_utils.host.system import dpkg, facts, machine, pythons
from ansible_collections.slipway.kit.plugins.module_utils.host.system import nginx as web

NGINX_CONF = """
user web;  # the workers' user
pid /run/other.pid;
events { worker_connections 768; }
http {
    log_format main '$remote_addr { "quoted; # no comment" } ${time_iso8601}';
    include mime.types;
    include /etc/nginx/conf.d/*.conf;
    include sites-enabled/*;
}
"""


@pytest.fixture
def root(tmp_path: Path) -> str:
    (tmp_path / "r").mkdir()
    return str(tmp_path / "r")


def put(root: str, path: str, text: str = "", mode: int = 0o644) -> Path:
    place = Path(root, path.lstrip("/"))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    place.chmod(mode)
    return place


def test_an_empty_machine_has_facts_too(root: str) -> None:
    collected = facts.collect([{"name": "shop", "root": "/srv/shop"}], ["nginx"], [80], {"uv": "/opt/uv"}, root)
    json.dumps(collected)
    assert collected["packages_missing"] == ["nginx"]
    assert collected["nginx"]["main_conf"] == "absent"
    assert not collected["nginx"]["installed"]
    assert collected["apps"]["shop"] == {"current": None, "releases": {}, "removed_bad": {}}
    assert (collected["systemd"], collected["pythons"], collected["tools"]) == (False, {}, {"uv": False})


def test_this_very_machine() -> None:
    collected = facts.collect([], ["no-such-package"], [80], {})
    assert 1 <= collected["cores"] <= (os.cpu_count() or 1)
    assert collected["memory"] > 64 * 1024**2
    assert collected["packages_missing"] == ["no-such-package"]


# ---------------------------------------------------------------------------------------------------- cores and memory
def test_cores_and_memory_without_limits(root: str) -> None:
    put(root, "/proc/meminfo", "MemTotal:        1000 kB\nMemFree: 1 kB\n")
    assert machine.cores(root) == len(os.sched_getaffinity(0))
    assert machine.memory(root) == 1000 * 1024


@pytest.mark.parametrize(("quota", "expected"), [("100000 100000", 1), ("150000 100000", 1), ("20000 100000", 1)])
def test_a_quota_of_version_2_counts_also_in_a_parent(root: str, quota: str, expected: int) -> None:
    put(root, "/proc/self/cgroup", "0::/system.slice/ssh.service\n")
    put(root, "/proc/meminfo", "MemTotal: 4000 kB\n")
    put(root, "/sys/fs/cgroup/system.slice/ssh.service/cpu.max", "max 100000\n")
    put(root, "/sys/fs/cgroup/system.slice/cpu.max", quota + "\n")
    put(root, "/sys/fs/cgroup/system.slice/memory.max", "1024000\n")
    put(root, "/sys/fs/cgroup/system.slice/ssh.service/memory.max", "max\n")
    assert machine.cores(root) == expected
    assert machine.memory(root) == 1024000


def test_a_quota_of_version_1_counts(root: str) -> None:
    put(root, "/proc/self/cgroup", "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n0::/\n")
    put(root, "/proc/meminfo", "MemTotal: 4000 kB\n")
    # a container: the host's path is not visible, and the limits are at the top
    put(root, "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "100000\n")
    put(root, "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    put(root, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "2048000\n")
    assert machine.cores(root) == 1
    assert machine.memory(root) == 2048000


def test_no_quota_of_version_1(root: str) -> None:
    put(root, "/proc/self/cgroup", "4:memory:/\n3:cpu:/\n")
    put(root, "/proc/meminfo", "MemTotal: 4000 kB\n")
    put(root, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    put(root, "/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    put(root, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert machine.cores(root) == len(os.sched_getaffinity(0))
    assert machine.memory(root) == 4000 * 1024


# -------------------------------------------------------------------------------------------------------- interpreters
def test_interpreters_are_found_once_each(root: str) -> None:
    log = Path(root, "calls")
    put(root, "/usr/bin/python3.12", f"#!/bin/sh\necho called >> {log}\necho 3.12.7\n", 0o755)
    Path(root, "usr/bin/python3").symlink_to("python3.12")
    put(root, "/usr/local/bin/python3.13", "#!/bin/sh\necho 3.13.1\n", 0o755)
    put(root, "/usr/bin/python3.9", "#!/bin/sh\nexit 1\n", 0o755)  # broken
    put(root, "/usr/bin/python3.11", "not executable")
    put(root, "/usr/bin/python3-config", "#!/bin/sh\necho 9\n", 0o755)
    put(root, "/root/.pyenv/versions/3.14.0/bin/python3.14", "#!/bin/sh\necho 3.14.0\n", 0o755)
    Path(root, "usr/local/bin/python3.14").symlink_to(f"{root}/root/.pyenv/versions/3.14.0/bin/python3.14")
    assert pythons.Versions(root).result() == {
        "/usr/bin/python3": "3.12.7",
        "/usr/bin/python3.12": "3.12.7",
        "/usr/local/bin/python3.13": "3.13.1",
    }
    assert log.read_text() == "called\n"


def test_the_running_interpreter_is_not_started_again(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    interpreter = put(root, "/usr/bin/python3.11", "", 0o755)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    assert pythons.Versions(root).running == {}
    assert pythons.Versions(root).result() == {"/usr/bin/python3.11": platform.python_version()}


# ------------------------------------------------------------------------------------------------------------ packages
DPKG = """Package: nginx
Status: install ok installed
Priority: optional
Conffiles:
 /etc/nginx/nginx.conf {md5}
 /etc/nginx/mime.types 00000000000000000000000000000000

Package: gone
Status: deinstall ok config-files
Version: 1

Package: essential
Essential: yes
Status: install ok installed
Version: 1

Package: exim4-daemon-light
Status: install ok installed
Provides: default-mta (= 1), mail-transport-agent
Description: sends mail
 Package: fake

Package: last
Status: install ok installed
"""


def test_packages_by_dpkg(root: str) -> None:
    put(root, "/var/lib/dpkg/status", DPKG)
    installed = ["nginx", "essential", "mail-transport-agent", "default-mta", "last"]
    absent = ["gone", "ngin", "inx", "transport-agent", "fake", "nginx.*"]
    assert dpkg.missing(root, [*installed, *absent]) == absent


# --------------------------------------------------------------------------------------------------------------- nginx
def nginx(root: str, port: int = 80) -> dict[str, Any]:
    put(root, "/usr/sbin/nginx", "#!/bin/sh\n", 0o755)
    build = "nginx version: nginx/1.22.1\nconfigure arguments: --conf-path=/etc/nginx/nginx.conf --pid-path=/run/n.pid"
    answer = web.facts(root, "/usr/sbin/nginx", build, [port])
    (only,) = answer["ports"]
    return {**answer, **only}


def test_nginx_s_user_and_process(root: str) -> None:
    put(root, "/etc/nginx/nginx.conf", NGINX_CONF)
    answer = nginx(root)
    assert (answer["user"], answer["group"], answer["running"]) == ("web", "web", False)
    put(root, "/run/other.pid", "77\n")
    put(root, "/proc/77/comm", "nginx\n")
    assert nginx(root)["running"]
    put(root, "/proc/77/comm", "sleep\n")  # another process has the number now
    assert not nginx(root)["running"]


@pytest.mark.parametrize(
    ("conf", "options", "group", "expected"),
    [
        ("user web staff;", "", "", ("web", "staff")),
        ("events {}", "--user=nginx --group=nginx", "", ("nginx", "nginx")),
        ("events {}", "", "nogroup:x:65534:\n", ("nobody", "nogroup")),
        ("events {}", "", "nobody:x:65534:\n", ("nobody", "nobody")),
        ("user;", "--user=nginx", "", ("nginx", "nginx")),
    ],
)
def test_the_workers_user(root: str, conf: str, options: str, group: str, expected: tuple[str, str]) -> None:
    put(root, "/etc/nginx/nginx.conf", conf)
    put(root, "/etc/group", group)
    answer = web.facts(root, "/usr/sbin/nginx", f"configure arguments: {options}", [80])
    assert (answer["user"], answer["group"]) == expected


def test_the_user_that_the_package_will_bring(root: str) -> None:
    answer = web.facts(root, "", "", [80])
    assert (answer["installed"], answer["user"], answer["group"]) == (False, "www-data", "www-data")


@pytest.mark.parametrize(
    ("listen", "port", "claimed"),
    [
        ("listen 80 default_server;", 80, True),
        ("listen *:80 default_server;", 80, True),
        ("listen 0.0.0.0:80 default;", 80, True),
        ("listen [::]:80 ipv6only=on default_server;", 80, True),
        ("listen * default_server;", 80, True),
        ("listen 8080 default_server;", 8080, True),
        ("listen 443 ssl default_server;", 443, True),
        ("listen 80;", 80, False),
        ("listen 8080 default_server;", 80, False),
        ("listen 127.0.0.1:80 default_server;", 80, False),
        ("listen unix:/run/x default_server;", 80, False),
        ("# listen 80 default_server;", 80, False),
        ("set $x 'listen 80 default_server;';", 80, False),
    ],
)
def test_the_default_server_of_a_port(root: str, listen: str, port: int, claimed: bool) -> None:
    put(root, "/etc/nginx/nginx.conf", NGINX_CONF)
    put(root, "/etc/nginx/sites-available/default", f"server {{\n location / {{ return 404; }}\n {listen}\n}}\n")
    Path(root, "etc/nginx/sites-enabled").mkdir()
    Path(root, "etc/nginx/sites-enabled/default").symlink_to("../sites-available/default")
    expected = "/etc/nginx/sites-enabled/default" if claimed else None
    assert nginx(root, port)["default_server"] == expected


def test_the_packages_welcome_page_is_nobodys_site(root: str) -> None:
    put(root, "/etc/nginx/nginx.conf", NGINX_CONF)
    site = "server { listen 80 default_server; root /var/www/html; }\n"
    put(root, "/etc/nginx/sites-available/default", site)
    Path(root, "etc/nginx/sites-enabled").mkdir()
    enabled = Path(root, "etc/nginx/sites-enabled/default")
    enabled.symlink_to("../sites-available/default")
    put(root, "/var/www/html/index.nginx-debian.html", "Welcome")
    md5 = hashlib.md5(site.encode()).hexdigest()
    put(root, "/var/lib/dpkg/status", f"Package: nginx-common\nConffiles:\n /etc/nginx/sites-available/default {md5}\n")
    name = "/etc/nginx/sites-enabled/default"
    assert (nginx(root)["default_server"], nginx(root)["welcome_page"]) == (None, name)

    put(root, "/var/www/html/index.html", "mine")
    assert (nginx(root)["default_server"], nginx(root)["welcome_page"]) == (name, None)
    Path(root, "var/www/html/index.html").unlink()
    put(root, "/etc/nginx/sites-available/default", site + "# mine\n")
    assert (nginx(root)["default_server"], nginx(root)["welcome_page"]) == (name, None)


@pytest.mark.parametrize(
    ("path", "of_the_kit"),
    [
        ("/etc/nginx/conf.d/slipway-site-shop.test.conf", True),
        ("/etc/nginx/slipway/shop.conf", True),
        ("/etc/nginx/slipway/sites/shop.test.redirect.conf", True),
        ("/etc/slipway/tls/shop.test/current/https.conf", True),
        ("/etc/nginx/conf.d/legacy.conf", False),
        ("/etc/nginx/sites-enabled/slipway", False),
    ],
)
def test_the_kit_s_own_files(path: str, of_the_kit: bool) -> None:
    assert bool(web.OWN.fullmatch(path)) == of_the_kit


def test_our_own_default_server_and_one_that_is_not_included_do_not_count(root: str) -> None:
    put(root, "/etc/nginx/nginx.conf", NGINX_CONF)
    server = "server { listen 80 default_server; }\n"
    put(root, "/etc/nginx/conf.d/slipway-site-default.conf", server)
    put(root, "/etc/nginx/conf.d/other.conf.disabled", server)
    put(root, "/etc/nginx/sites-available/default", server)
    assert nginx(root)["default_server"] is None


def test_other_sites_with_a_name(root: str) -> None:
    put(root, "/etc/nginx/nginx.conf", NGINX_CONF)
    put(
        root,
        "/etc/nginx/conf.d/a.conf",
        "server { server_name a.example shop.example; } server { server_name shop.example; }",
    )
    put(root, "/etc/nginx/conf.d/b.conf", "server { server_name www.shop.example; }")
    put(root, "/etc/nginx/conf.d/slipway-site-shop.conf", "server { server_name shop.example; }")
    assert web.named("shop.example", root) == ["/etc/nginx/conf.d/a.conf"]
    assert web.named("blog.example", root) == []


@pytest.mark.parametrize(
    ("files", "port", "nameless"),
    [
        ({"blog": "server { listen 80; root /var/www; }"}, 80, "blog"),
        ({"blog": "server { server_name _; location / { return 200; } listen 80; }"}, 80, "blog"),
        ({"blog": "server { listen [::]:80; listen 80; server_name localhost 192.0.2.7; }"}, 80, "blog"),
        ({"blog": "server { listen 80; }"}, 8080, None),
        ({"blog": "server { listen 127.0.0.1:80; }"}, 80, None),
        ({"blog": "server { listen 80; server_name blog.example.com; }"}, 80, None),
        # The first server has a name.
        ({"a": "server { listen 80; server_name a.example; }", "blog": "server { listen 80; }"}, 80, None),
        ({"a": "server { listen 81; }", "blog": "server { listen 80; }"}, 80, "blog"),
        # `default_server` decides, not the place.
        ({"blog": "server { listen 80 default_server; }"}, 80, None),
        ({"blog": "server { listen 80; }", "slipway-01-refuse": "server { listen 80 default_server; }"}, 80, None),
        ({"slipway-site-shop": "server { listen 80; server_name shop.example; }"}, 80, None),
    ],
)
def test_a_server_that_is_the_default_because_it_comes_first(
    root: str, files: dict[str, str], port: int, nameless: str | None
) -> None:
    put(root, "/etc/nginx/nginx.conf", NGINX_CONF)
    for name, text in files.items():
        put(root, f"/etc/nginx/conf.d/{name}.conf", text)
    assert nginx(root, port)["nameless_server"] == (nameless and f"/etc/nginx/conf.d/{nameless}.conf")


def test_each_port_has_its_own_answer(root: str) -> None:
    put(root, "/usr/sbin/nginx", "#!/bin/sh\n", 0o755)
    put(root, "/etc/nginx/nginx.conf", NGINX_CONF)
    put(root, "/etc/nginx/conf.d/blog.conf", "server { listen 443 ssl default_server; }\nserver { listen 80; }\n")
    build = "nginx version: nginx/1.26.3\nbuilt with OpenSSL 3.5.1 7 Jul 2025 (running with OpenSSL 3.5.9 29 Sep 2026)\nconfigure arguments: --with-http_v3_module --x=y"
    answer = web.facts(root, "/usr/sbin/nginx", build, [80, 443, 8443])
    ports = {one.pop("port"): one for one in answer["ports"]}
    blog = "/etc/nginx/conf.d/blog.conf"
    assert ports[80] == {"taken": None, "default_server": None, "nameless_server": blog}
    assert ports[443] == {"taken": None, "default_server": blog, "nameless_server": None}
    assert ports[8443] == {"taken": None, "default_server": None, "nameless_server": None}
    assert (answer["version"], answer["openssl"], answer["http3"]) == ("1.26.3", "3.5.9", True)
    assert (nginx(root)["version"], nginx(root)["openssl"], nginx(root)["http3"]) == ("1.22.1", "", False)


SITE = """
server {
    listen 8080;
    server_name shop.test www.shop.test *.wild.test;
    include %s;
}
server {
    listen 443 ssl;
    listen [::]:443 ssl;
    listen 443 quic;
    server_name shop.test *.wild.test;
    include /etc/nginx/slipway/shop.conf;
}
server {
    listen 443 ssl;
    server_name www.shop.test;
    location / { return 308 https://shop.test$request_uri; }
}
"""


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("shop.test", "shop.test"),
        ("www.shop.test", "shop.test"),
        ("a.wild.test", "a.wild.test"),
        ("old.test", "shop.test"),
    ],
)
def test_clients_get_an_app_by_https_where_it_is(root: str, asked: str, name: str) -> None:
    """A release may be older than the app's https, and than its domains."""
    put(root, "/etc/nginx/slipway/shop.conf", "location / { proxy_pass http://x; }\n")
    put(root, "/etc/nginx/conf.d/slipway-site-shop.test.conf", SITE % "/etc/slipway/tls/shop.test/current/http.conf")
    put(root, "/etc/slipway/tls/shop.test/current/http.conf", "include slipway/sites/shop.test.redirect.conf;\n")
    put(root, "/etc/nginx/slipway/sites/shop.test.redirect.conf", "location / { return 308 x; }\n")
    assert web.front("shop", asked, root) == web.Front(443, name, tls=True)
    assert web.front("blog", asked, root) is None


def test_clients_get_an_app_by_plain_http_where_there_is_nothing_else(root: str) -> None:
    put(root, "/etc/nginx/slipway/shop.conf", "location / { proxy_pass http://x; }\n")
    plain = SITE.partition("}\n")[0] % "/etc/nginx/slipway/shop.conf" + "}\n"
    put(root, "/etc/nginx/conf.d/slipway-site-shop.test.conf", plain)
    assert web.front("shop", "shop.test", root) == web.Front(8080, "shop.test", tls=False)
    put(
        root, "/etc/nginx/conf.d/slipway-site-shop.test.conf", plain.replace("shop.test www.shop.test *.wild.test", "_")
    )
    assert web.front("shop", "localhost", root) == web.Front(8080, "localhost", tls=False)


def test_the_ports_of_the_kit_s_firewall(root: str) -> None:
    assert facts.firewall(root) is None
    put(root, "/etc/slipway/firewall.nft", "        udp dport 53 accept\n        tcp dport { 22, 80, 443 } accept\n")
    assert facts.firewall(root) == [22, 80, 443]


def test_an_include_loop_ends(root: str) -> None:
    put(root, "/etc/nginx/nginx.conf", "include /etc/nginx/nginx.conf;\nuser web;\n")
    assert nginx(root)["user"] == "web"


def test_whose_the_main_configuration_is(root: str) -> None:
    assert web.whose(root, "/etc/nginx/nginx.conf") == "absent"
    put(root, "/etc/nginx/nginx.conf", NGINX_CONF)
    put(root, "/var/lib/dpkg/status", DPKG)
    assert web.whose(root, "/etc/nginx/nginx.conf") == "local"
    md5 = hashlib.md5(NGINX_CONF.encode()).hexdigest()
    put(root, "/var/lib/dpkg/status", DPKG.replace("{md5}", md5))
    assert web.whose(root, "/etc/nginx/nginx.conf") == "distro"
    put(root, "/etc/nginx/nginx.conf", "#\n# Managed by Slipway: changes here are overwritten.\n#\n" + NGINX_CONF)
    assert web.whose(root, "/etc/nginx/nginx.conf") == "slipway"


def test_our_sites_name_their_apps(root: str) -> None:
    site = "server {\n    server_name example.com *.example.com;\n    include /etc/nginx/slipway/shop.conf;\n    include /etc/nginx/slipway/blog.conf;\n}\n"
    put(root, "/etc/nginx/conf.d/slipway-site-example.com.conf", site)
    put(root, "/etc/nginx/conf.d/slipway-app-shop.conf", "upstream shop {}\n")
    assert web.sites(root) == {"/etc/nginx/conf.d/slipway-site-example.com.conf": ["shop", "blog"]}
    put(
        root,
        "/etc/nginx/conf.d/slipway-site-default.conf",
        "server { }\nserver {\n    server_name _;\n    include /etc/nginx/slipway/notes.conf;\n}\n",
    )
    both = ["blog", "shop"]
    assert web.served(root) == {"example.com": both, "*.example.com": both, "_": ["notes"]}


# ------------------------------------------------------------------------------------------------------ tools and apps
def test_a_tool_is_whole_or_not(root: str) -> None:
    tool = put(root, "/opt/slipway/uv-1/bin/uv", "")
    assert not facts.complete_tool(str(tool))
    tool.chmod(0o755)
    assert facts.complete_tool(str(tool))
    put(root, "/opt/slipway/uv-1/pyvenv.cfg")
    assert not facts.complete_tool(str(tool))  # an interrupted installation
    put(root, "/opt/slipway/uv-1/.complete")
    assert facts.complete_tool(str(tool))
    assert facts.complete_tool(str(Path(root, "opt/slipway/uv-1")))


def test_a_socket_that_answers(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    assert not processes.listens(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        assert not processes.listens(path)
        server.listen(1)
        assert processes.listens(path)
    assert not processes.listens(path)


def test_releases_speak_for_themselves(root: str) -> None:
    manifest = {"release": "v1-00000001", "version": "v1", "code": "c1", "lock": "l1", "mount": "/shop"}
    put(root, "/srv/shop/releases/v1-00000001/manifest.json", json.dumps(manifest))
    Path(root, "srv/shop/releases/v1-00000001/code").mkdir()
    put(root, "/srv/shop/venvs/abc/.complete")
    Path(root, "srv/shop/releases/v1-00000001/venv").symlink_to("../../venvs/abc")
    put(root, "/srv/shop/releases/v2-00000002/manifest.json", "{ half")
    put(root, "/srv/shop/releases/v2-00000002/bad.json", '{"reason": "no answer"}')
    put(root, "/srv/shop/releases/.v3-00000003.staged/manifest.json", "{}")
    record = {"v0-00000000": {"reason": "rolled back", "when": "2026-01-01T00:00:00Z"}, "v1-00000009": {}}
    put(root, "/srv/shop/bad-releases.json", json.dumps(record))
    put(root, "/srv/shop/venvs/half/bin/python")
    Path(root, "srv/shop/current").symlink_to("releases/v1-00000001")
    accounts = {"root": {"app": "shop", "uid": 0, "gid": 0}, "daemon": {"app": "shop", "uid": 999, "gid": 999}}
    put(root, "/var/lib/slipway/accounts.json", json.dumps({"made": accounts, "spent": []}))
    collected = facts.collect(
        [{"name": "shop", "root": "/srv/shop"}, {"name": "sho", "root": "/srv/sho"}], [], [80], {}, root
    )
    never = {"activated": None, "runs": [], "previous": None, "migrated": None}
    unmade = {"build": None, "placed": None}
    nothing = {"code": None, "complete": False, "mount": None, **never, **unmade}
    assert collected["apps"]["shop"] == {
        "current": "v1-00000001",
        "releases": {
            "v1-00000001": {
                "code": "c1",
                "bad": None,
                "complete": True,
                "mount": "/shop",
                **never,
                **unmade,
            },
            "v2-00000002": {**nothing, "bad": "no answer"},
        },
        "removed_bad": {"v0-00000000": "rolled back", "v1-00000009": "no reason is recorded"},
    }
    assert collected["users"] == ["root"], "the other one is not the one that was made"
    os.unlink(Path(root, "srv/shop/venvs/abc/.complete"))
    assert not facts.app_facts(f"{root}/srv/shop")["releases"]["v1-00000001"]["complete"]


def link(root: str, path: str, target: str) -> Path:
    place = Path(root, path.lstrip("/"))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)
    return place


def test_a_service_starts_at_boot_by_a_link_of_sysvinit(root: str) -> None:
    put(root, "/etc/rc2.d/K01slipway-supervisor")
    assert not machine.starts_at_boot(root, "slipway-supervisor")
    put(root, "/etc/rc2.d/S01slipway-supervisor")
    assert machine.starts_at_boot(root, "slipway-supervisor")


@pytest.mark.parametrize("service", ["nginx", "slipway-supervisor"])
def test_a_service_starts_at_boot_by_a_link_of_systemd(root: str, service: str) -> None:
    Path(root, "run/systemd/system").mkdir(parents=True)
    put(root, f"/etc/rc2.d/S01{service}")  # systemd does not read it
    assert not machine.starts_at_boot(root, service)
    link(
        root, f"/etc/systemd/system/multi-user.target.wants/{service}.service", f"/lib/systemd/system/{service}.service"
    )
    assert machine.starts_at_boot(root, service)
    mask = link(root, f"/etc/systemd/system/{service}.service", "/dev/null")
    assert not machine.starts_at_boot(root, service) and machine.masked(root, service)
    mask.unlink()
    assert not machine.masked(root, service)
    link(root, f"/run/systemd/system/{service}.service", "/dev/null")
    assert not machine.starts_at_boot(root, service)


def test_nginx_says_whether_it_starts_at_boot(root: str) -> None:
    put(root, "/etc/nginx/nginx.conf", NGINX_CONF)
    assert not nginx(root)["at_boot"]
    put(root, "/etc/rc3.d/S01nginx")
    assert nginx(root)["at_boot"]


def test_the_apps_with_a_rule_in_an_older_kit_s_file(root: str) -> None:
    assert facts.ruled(root) == []
    program = "/usr/local/bin/slipway-run"
    put(
        root,
        "/etc/sudoers.d/slipway",
        f"# {program} none *\nDefaults!{program} env_reset, !setenv\n%shop, !shop ALL = (root) NOPASSWD: {program} shop *\n"
        f"%blog, !blog ALL = (root) NOPASSWD: {program} blog *\n%x, !x ALL = (root) NOPASSWD: {program} ../x *\n",
    )
    assert facts.ruled(root) == ["blog", "shop"]


def test_the_ports_of_the_kit_s_sites_and_the_apps_that_are_live(root: str) -> None:
    site = "/etc/nginx/conf.d/slipway-site-shop.test.conf"
    put(
        root,
        site,
        "server {\n    listen 8080;\n    listen [::]:8080;\n    include /etc/nginx/slipway/shop.conf;\n}\nserver {\n"
        "    listen 8443 ssl http2;\n    listen 8443 quic;\n    # listen 1;\n}\n",
    )
    assert web.listening(root) == {
        site: [{"port": 8080, "tls": False, "quic": False}, {"port": 8443, "tls": True, "quic": True}]
    }
    assert {one["port"] for one in web.facts(root, "", "", [80])["ports"]} == {80, 8080, 8443}
    put(root, "/srv/shop/current/x")
    put(root, "/srv/blog/releases/x")
    assert facts.live(root) == ["shop"]
