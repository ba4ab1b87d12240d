"""The model: every kind of bad input, and rules for every good one."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.slipway.kit.plugins.module_utils.contract import names, typed
from ansible_collections.slipway.kit.plugins.module_utils.contract.manifest import SystemPackages
from ansible_collections.slipway.kit.plugins.module_utils.host.build import wheels
from ansible_collections.slipway.kit.plugins.module_utils.model import (
    artefacts,
    checks,
    front,
    layout,
    manners,
    processes,
    releases,
    resolve,
    schema,
    settings,
    sites,
    tools,
    validation,
    workers,
)
from ansible_collections.slipway.kit.plugins.module_utils.model.managers import SYSVINIT
from ansible_collections.slipway.kit.plugins.module_utils.model.types import App, Host, ModelError, Port, Recycle
from hypothesis import given
from hypothesis import strategies as st

from tests.releases import release

ROOT = Path(__file__).parents[4]
SHOP: dict[str, Any] = {"module": "shop.wsgi:application", "source": {"path": "/src"}, "domains": ["shop.example.com"]}


def faults(variables: dict[str, Any]) -> list[str]:
    return [str(fault) for fault in validation.validate(variables)]


def shop(**changes: Any) -> dict[str, Any]:
    return {"apps": {"shop": {**copy.deepcopy(SHOP), **changes}}}


def app(host: Host | None = None, **changes: Any) -> App:
    variables = shop(**changes)
    assert faults(variables) == []
    return resolve.resolve_all(variables, host or Host.assumed())[0]


def test_four_lines_are_a_whole_app() -> None:
    assert faults(shop()) == []


BAD = {
    "shortened key": (shop(env={}), ["apps.shop.env is not a key", "did you mean environment?"]),
    "unknown key": (shop(worker=3), ["apps.shop.worker is not a key", "did you mean workers?"]),
    "unknown nested key": (shop(health={"pth": "/"}), ["apps.shop.health.pth", "did you mean path?"]),
    "wrong type": (shop(workers="four"), ["apps.shop.workers must be a whole number, not text ('four')"]),
    "truth value for a number": (shop(workers=True), ["apps.shop.workers must be a whole number"]),
    "file instead of module": (shop(module="app.py"), ["apps.shop.module is 'app.py'", "`app:app`"]),
    "path instead of module": (shop(module="src/web/app.py:app"), ["`src.web.app:app`"]),
    "shell in module": (shop(module="shop:app; rm -rf /"), ["apps.shop.module", "neither a name nor a call"]),
    "code in module": (shop(module="shop:create(__import__('os').getpid())"), ["only literal arguments"]),
    "newline in module": (shop(module="shop:create('a\\nb')\n"), ["apps.shop.module"]),
    "workers zero": (shop(workers=0), ["apps.shop.workers is 0; must be from 1 to 512"]),
    "negative timeout": (shop(request_timeout=-1), ["request_timeout is -1; must be from 1"]),
    "graceful below request": (shop(timeouts={"graceful": 10}), ["timeouts.graceful is 10 s, less than 30 s (request_timeout 30)"]),
    "gunicorn below nginx": (shop(timeouts={"gunicorn": 30}), ["timeouts.gunicorn is 30 s, less than 31 s"]),
    "stop below graceful": (shop(timeouts={"stop": 20}), ["timeouts.stop is 20 s, less than 36 s (graceful 35 + 1)"]),
    "graceful below a location": (
        shop(timeouts={"graceful": 60}, locations={"/report": {"request_timeout": 300}}),
        ["timeouts.graceful is 60 s, less than 300 s (the longest request_timeout of `locations`, 300)"],
    ),
    "location without a slash": (shop(locations={"report": {"request_timeout": 9}}), ["locations.report must be a path", "/report"]),
    "location with dots": (shop(locations={"/a/../b": {"request_timeout": 9}}), ["locations./a/../b must be a path below `mount`"]),
    "pattern as location": (shop(locations={"~ ^/a": {"request_timeout": 9}}), ["locations.~ ^/a must be a path"]),
    "the whole app as location": (shop(locations={"/": {"request_timeout": 9}}), ["locations./ is the whole app"]),
    "empty location": (shop(locations={"/a": {}}), ["locations./a must be a mapping with request_timeout or max_body_size"]),
    "number as location": (shop(locations={"/a": 9}), ["locations./a must be a mapping with request_timeout", "a whole number (9)"]),
    "unknown limit of a location": (shop(locations={"/a": {"timeout": 9}}), ["locations./a.timeout is not a key"]),
    "size of a location": (shop(locations={"/a": {"max_body_size": "lots"}}), ["locations./a.max_body_size is 'lots'; must be a size"]),
    "location in static": (
        shop(static={"/static/": "static"}, locations={"/static/up": {"request_timeout": 9}}),
        ["locations./static/up is in /static/ of `static`"],
    ),
    "rate without a unit": (shop(rate_limit={"requests": "10"}), ["rate_limit.requests is '10'; must be requests for each second"]),
    "rate of zero": (shop(rate_limit={"requests": "0/s"}), ["rate_limit.requests is '0/s'; must be"]),
    "rate as a number": (shop(rate_limit={"requests": 10}), ["rate_limit.requests must be text"]),
    "burst alone": (shop(rate_limit={"burst": 5, "connections": 5}), ["rate_limit has a `burst` without `requests`"]),
    "no limit": (shop(rate_limit={}), ["rate_limit must have `requests` or `connections`"]),
    "limits twice": (
        shop(rate_limit={"requests": "1/s"}, nginx_extra="limit_req_status 503;"),
        ["nginx_extra must not set limit_req_status beside the key `rate_limit`"],
    ),
    "header with a line": (shop(headers={"X-A": "a\nSet-Cookie: b"}), ["headers.X-A must have a value", "on one line"]),
    "header with a variable": (shop(headers={"X-A": "$host"}), ["headers.X-A must not contain `$`"]),
    "header that is no name": (shop(headers={"X A;": "b"}), ["headers.X A; must have the name of a header"]),
    "header of nginx": (shop(headers={"Content-Length": "1"}), ["headers.Content-Length must not be set here"]),
    "header of another key": (shop(headers={"strict-transport-security": "x"}), ["use the key `hsts`"]),
    "removing what is not set": (shop(headers={"X-Frame-Option": ""}), ["did you mean X-Frame-Options?"]),
    "header as a list": (shop(headers={"X-A": ["b"]}), ["headers.X-A must be text or a number"]),
    "short password": (shop(basic_auth={"guest": "hunter2"}), ["basic_auth.guest must have a password of 8 to 256 characters"]),
    "user with a colon": (shop(basic_auth={"a:b": "hunter2hunter2"}), ["basic_auth.a:b must have a user name of letters"]),
    "password as a list": (shop(basic_auth={"guest": ["hunter2"]}), ["basic_auth.guest must be text or a number, not a list"]),
    "password twice": (
        shop(basic_auth={"guest": "hunter2hunter2"}, nginx_extra="auth_basic x;"),
        ["nginx_extra must not set auth_basic beside the key `basic_auth`"],
    ),
    "a user in both places": (
        {**shop(basic_auth={"guest": "hunter2hunter2"}), "vault_apps": {"shop": {"basic_auth": {"guest": "hunter2hunter2"}}}},
        ["vault_apps.shop.basic_auth.guest is in apps.shop.basic_auth too"],
    ),
    "networks that are none": (shop(allow=["here", "10.0.0.0/8", "there"]), ["allow item 'here', item 'there' must be an IP"]),
    "network that is none": (shop(allow=["here"]), ["allow item 'here' must be an IP address or a network"]),
    "index as text": (shop(noindex="yes"), ["noindex must be true or false"]),
    "log in another format": ({**shop(), "access_log": "xml"}, ["access_log is 'xml'; there are: json, text"]),
    "no source": ({"apps": {"shop": {"module": "a:b"}}}, ["apps.shop.source is missing"]),
    "two sources": (shop(source={"path": "a", "package": "b==1"}), ["names path and package"]),
    "git without version": (shop(source={"git": "ssh://x/y"}), ["needs `version` beside `git`"]),
    "option as git ref": (shop(source={"git": "ssh://x/y", "version": "--upload-pack=x"}), ["source.version", "branch"]),
    "empty apps": ({"apps": {}}, ["apps is empty"]),
    "no apps": ({}, ["apps is missing"]),
    "apps as list": ({"apps": [{"name": "shop"}]}, ["apps must be a mapping", "write `shop:` instead of `- name: shop`"]),
    "entry as list": ({"apps": {"shop": ["module"]}}, ["apps.shop must be a mapping", "not a list"]),
    "entry empty": ({"apps": {"shop": None}}, ["apps.shop must be a mapping", "not empty"]),
    "name with slash": ({"apps": {"a/b": SHOP}}, ["apps.a/b is no name for an app"]),
    "name with dots": ({"apps": {"..": SHOP}}, ["apps... is no name for an app"]),
    "name of 64 letters": ({"apps": {"a" * 64: SHOP}}, ["is no name for an app"]),
    "two apps on one domain": ({"apps": {"shop": SHOP, "other": SHOP}}, ["apps.other wants domain shop.example.com at mount /, which apps.shop has already"]),
    "two default sites": (
        {"apps": {"a": {**SHOP, "domains": []}, "b": {**SHOP, "domains": []}}},
        ["apps.b wants the default site"],
    ),
    "port out of range": ({**shop(), "nginx_http_port": 70000}, ["nginx_http_port is 70000; must be from 1 to 65535"]),
    "mistyped variable without a prefix": ({**shop(), "acess_log": "json"}, ["acess_log is not a variable of Slipway; did you mean access_log?"]),
    "mistyped variable": ({**shop(), "nginx_http_prot": 80}, ["nginx_http_prot is not a variable of Slipway; did you mean nginx_http_port?"]),
    "mistyped apps": ({"app_s": {}, **shop()}, ["did you mean apps?"]),
    "unknown process manager": ({**shop(), "process_manager": "systemdd"}, ["did you mean systemd?"]),
    "domain with scheme": (shop(domains=["https://shop.example.com"]), ["host name alone"]),
    "domain twice": (shop(domains=["a.example", "a.example"]), ["holds an item twice"]),
    "domain not text": (shop(domains=[3]), ["item 3 must be text"]),
    "mount with slash at the end": (shop(mount="/shop/"), ["apps.shop.mount is '/shop/'"]),
    "mount that climbs": (shop(mount="/../x"), ["apps.shop.mount"]),
    "placeholder in vault": ({**shop(), "vault_apps": {"shop": {"secrets": {"KEY": "CHANGE_ME"}}}}, ["vault_apps.shop.secrets.KEY is still a placeholder"]),
    "placeholder in brackets": (shop(secrets={"KEY": "<your key>"}), ["KEY is still a placeholder"]),
    "empty secret": (shop(secrets={"KEY": ""}), ["KEY is still a placeholder"]),
    "vault for nobody": ({**shop(), "vault_apps": {"shpo": {"secrets": {}}}}, ["vault_apps.shpo has no app of that name", "did you mean shop?"]),
    "vault as list": ({**shop(), "vault_apps": ["a"]}, ["vault_apps must be a mapping"]),
    "secret twice": (shop(environment={"A": "1"}, secrets={"A": "2"}), ["apps.shop.secrets.A is in `environment` too"]),
    "NUL": (shop(environment={"A": "a\0b"}), ["holds a NUL character"]),
    "equals sign in a name": (shop(environment={"A=B": "1"}), ["apps.shop.environment.A=B must have a name of letters"]),
    "equals sign in a secret's name": (shop(secrets={"A=B": "1"}), ["apps.shop.secrets.A=B must have a name of letters"]),
    "NUL in a secret": ({**shop(), "vault_apps": {"shop": {"secrets": {"A": "a\0b"}}}}, ["A holds a NUL character"]),
    "NUL in a name": (shop(environment={"A\0B": "1"}), ["must have a name of letters"]),
    "half a character": (shop(environment={"A": "a\ud800"}), ["A holds half a character"]),
    "value that no process can hold": (shop(environment={"A": "é" * 65535}), ["A has 131072 bytes with its name", "in a file"]),
    "variable of gunicorn": (shop(environment={"GUNICORN_CMD_ARGS": "-b :80"}), ["use `gunicorn_extra`"]),
    "variable of systemd": (shop(secrets={"NOTIFY_SOCKET": "/x"}), ["is systemd's own"]),
    "mapping that is no secret": (shop(secrets={"A": {"generat": 50, "generate": 50}}), ["secrets.A.generat is not a key", "generate"]),
    "too few characters": (shop(secrets={"A": {"generate": 8}}), ["secrets.A.generate is 8; must be from 16 to 1024"]),
    "no number of characters": (shop(secrets={"A": {"generate": "canary"}}), ["secrets.A.generate must be a whole number, not text;"]),
    "generated under a bad name": (shop(secrets={"A=B": {"generate": 50}}), ["must have a name of letters"]),
    "generated for all to see": (shop(environment={"A": {"generate": 50}}), ["environment.A must be text or a number"]),
    "network": (shop(network="closed"), ["network is 'closed'", "local, open"]),
    "network under supervisor": ({**shop(network="local"), "process_manager": "supervisor"}, ["apps.shop.network is local, which only systemd can enforce"]),
    "cpu under supervisor": ({**shop(limits={"cpu": 1.5}), "process_manager": "supervisor"}, ["apps.shop.limits.cpu is 1.5, which only systemd can enforce; leave it out, or use process_manager systemd"]),
    "cpu as a percentage": (shop(limits={"cpu": "150%"}), ["apps.shop.limits.cpu must be a number"]),
    "no cpu at all": (shop(limits={"cpu": 0}), ["apps.shop.limits.cpu is 0; must be from 0.05 to 1024"]),
    "recycled at once": (shop(recycle={"memory": "16M"}), ["recycle.memory is '16M'; must be at least 32M: an idle worker needs about as much"]),
    "body without a unit": (shop(max_body_size=50), ["max_body_size is 50; that is in bytes; write `50M` for megabytes"]),
    "recycled never": (
        shop(recycle={"memory": "1G"}, limits={"memory": "512M"}),
        ["recycle.memory is 1G, which no worker reaches: `limits.memory` is 512M for all of them; write less"],
    ),
    "recycled after no request": (shop(recycle={"requests": 0}), ["recycle.requests is 0; must be from 1 to"]),
    "recycled by two numbers": (
        shop(recycle={"requests": 9}, gunicorn_extra="max_requests = 7\n"),
        ["gunicorn_extra must not set max_requests beside `recycle.requests`; use one of the two"],
    ),
    "no size": (shop(recycle={"memory": "much"}), ["recycle.memory is 'much'; must be a size such as '300M'"]),
    "warm-up by a URL": (shop(warm_up=["http://shop.test/"]), ["warm_up", "item 'http://shop.test/' must be a URL path"]),
    "warm-up of one path": (shop(warm_up="/"), ["warm_up must be a list, not text ('/')"]),
    "hole in the sandbox": (shop(sandbox={"allow": ["hom"]}), ["sandbox.allow item 'hom' must be one of home, tmp,"]),
    "folder in the sandbox": (shop(sandbox={"write": ["/srv/../etc"]}), ["sandbox.write item '/srv/../etc' must be an absolute path"]),
    "process without a command": (shop(processes={"worker": {"count": 2}}), ["processes.worker.command is missing"]),
    "process of nothing": (shop(processes={"worker": ""}), ["processes.worker is ''; must be a command"]),
    "process of two commands": (shop(processes={"worker": "a && b"}), ["processes.worker", 'none reads it: use [sh, -c, "…"]; to pass']),
    "variable of the kit": (shop(environment={"SLIPWAY_SHARED": "x"}), ["environment.SLIPWAY_SHARED", "is set by the kit; leave it out"]),
    "process for a shell": (shop(processes={"worker": "celery worker | tee log"}), ["processes.worker", "'|', which only a shell understands"]),
    "process of several commands": (shop(processes={"worker": ["celery worker", "celery beat"]}), ["processes.worker must be one command"]),
    "process of two lines": (shop(processes={"worker": ["celery", "a\nb"]}), ["must not have control characters"]),
    "process called like the web server": (shop(processes={"web": "celery"}), ["processes.web is the name of the app's own web server"]),
    "process with a bad name": (shop(processes={"Worker 1": "celery"}), ["processes.Worker 1 must be a name of at most 24"]),
    "no process": (shop(processes={"worker": {"command": "celery", "count": 0}}), ["processes.worker.count is 0; must be from 1 to 64"]),
    "signal that none handles": (shop(processes={"worker": {"command": "celery", "stop_signal": "SIGKILL"}}), ["stop_signal is 'SIGKILL'; no process can handle it, so none could finish its task; use SIGTERM, and a short `stop_timeout`"]),
    "class that gunicorn lost": (shop(worker_class="eventlet"), ["worker_class is 'eventlet'; gunicorn 27 has no such class; use gevent"]),
    "class of uvicorn": (shop(worker_class="uvicorn.workers.UvicornWorker"), ["the class of the package uvicorn is not used; use uvicorn"]),
    "broken protocols": ({**shop(), "tls_policy": "old"}, ["tls_policy is 'old'; Mozilla's policy `old` permits TLS 1.0 and 1.1, which are broken; use intermediate"]),
    "unknown signal": (shop(processes={"worker": {"command": "celery", "stop_signal": "SIGTREM"}}), ["stop_signal is 'SIGTREM'; did you mean SIGTERM?"]),
    "stop that takes days": (shop(processes={"worker": {"command": "celery", "stop_timeout": "48h"}}), ["stop_timeout is '48h'; must be from 1 s to 86400 s"]),
    "stop of a word": (shop(processes={"worker": {"command": "celery", "stop_timeout": "soon"}}), ["stop_timeout is 'soon'; must be a number of seconds, or a duration"]),
    "mistyped key of a process": (shop(processes={"worker": {"command": "celery", "cuont": 2}}), ["processes.worker.cuont is not a key", "did you mean count?"]),
    "processes as a list": (shop(processes=["celery"]), ["processes must be a mapping of names to entries, not a list"]),
    "impossible schedule": (shop(timers={"clean": {"command": "a", "schedule": "0 0 31 2 *"}}), ["timers.clean.schedule is '0 0 31 2 *'; never comes"]),
    "schedule of a word and a half": (shop(timers={"clean": {"command": "a", "schedule": "at night!"}}), ["timers.clean.schedule", "five fields of cron"]),
    "timer faster than its timeout": (shop(timers={"clean": {"command": "a", "schedule": "*/5 * * * *", "timeout": "10m"}}), ["timers.clean.timeout is 600 s, but its schedule '*/5 * * * *' has a run every 300 s"]),
    "timer without a schedule": (shop(timers={"clean": {"command": "a"}}), ["timers.clean.schedule is missing"]),
    "timer as a text": (shop(timers={"clean": "a"}), ["timers.clean must be a mapping, not text ('a')"]),
    "timer called like a process": (shop(processes={"clean": "a"}, timers={"clean": {"command": "a", "schedule": "03:30"}}), ["timers.clean has the name of a process"]),
    "timer that runs twice": (shop(timers={"clean": {"command": "a", "schedule": "03:30", "overlap": True}}), ["timers.clean.overlap is true; must be false"]),
    "systemd's schedule under supervisor": ({**shop(timers={"clean": {"command": "a", "schedule": "hourly"}}), "process_manager": "supervisor"}, ["apps.shop.timers has a schedule in systemd's calendar form, not HH:MM or cron's five fields, which only systemd can enforce"]),
    "neither web nor processes": ({"apps": {"shop": {"source": {"path": "/x"}}}}, ["apps.shop.module is missing"]),
    "domain without a web server": ({"apps": {"shop": {"source": {"path": "/x"}, "processes": {"bot": "python bot.py"}, "domains": ["a.b"]}}}, ["apps.shop.domains is about a web server, and the app has no `module`"]),
    "boolean value": (shop(environment={"DEBUG": True}), ['write "true" in quotes']),
    "size": (shop(max_body_size="10 MB"), ["must be a size such as '50M'"]),
    "python 2": (shop(python="2.7"), ['must be a version such as "3.12"']),
    "python 3.9": (shop(python="3.9"), ["3.10 or newer"]),
    "python as number": (shop(python=3.12), ["must be text"]),
    "worker class against interface": (shop(interface="asgi", worker_class="sync"), ["does not serve interface asgi"]),
    "threads without threads": (shop(worker_class="sync", threads=4), ["worker_class sync has no threads; use threads"]),
    "static that climbs": (shop(static={"/static/": "../etc"}), ["without `..`"]),
    "all of the shared folder": (shop(static={"/m/": "shared/"}), ["apps.shop.static./m/ is the folder 'shared/'", "such as shared/media"]),
    "shared folder that climbs": (shop(static={"/m/": "shared/../../other"}), ["without `..`"]),
    "system package with a version": (shop(system_packages={"build": ["libpq-dev=15"]}), ["apps.shop.system_packages.build item 'libpq-dev=15' must be the name of a Debian package"]),
    "system package that apt would remove": (shop(system_packages={"run": ["libpq5-"]}), ["apps.shop.system_packages.run item 'libpq5-' must be the name"]),
    "system package with apt's own sign": (shop(system_packages={"run": ["libpq5+"]}), ["item 'libpq5+' must be the name"]),
    "option as a system package": (shop(system_packages={"run": ["-oDPkg::Pre-Invoke::=sh"]}), ["must be the name of a Debian package"]),
    "system packages as a list": (shop(system_packages=["libpq5"]), ["apps.shop.system_packages must be a mapping", "libpq5"]),
    "static in nginx's words": (shop(static={"/s/": "a; } server {"}), ["quoted"]),
    "nginx_extra leaves its block": (shop(nginx_extra="} server {"), ["balanced braces"]),
    "unit_extra with a line of another kind": (shop(unit_extra="\x85;"), ["must be `Name=value`"]),
    "unit_extra leaves its section": (shop(unit_extra="[Install]\nAlias=x"), ["must be `Name=value`"]),
    "gunicorn_extra takes over": (shop(gunicorn_extra="bind = ':80'"), ["must not set bind"]),
    "gunicorn_extra in a branch": (shop(gunicorn_extra="if True:\n    workers, x = 3, 4"), ["must not set workers: use `workers`"]),
    "gunicorn_extra by the way": (shop(gunicorn_extra="x = [timeout := n for n in (1,)]"), ["must not set timeout"]),
    "gunicorn_extra in a loop": (shop(gunicorn_extra="for chdir in (): pass"), ["must not set chdir"]),
    "gunicorn_extra in a context": (shop(gunicorn_extra="with x() as user: pass"), ["must not set user"]),
    "gunicorn_extra by import": (shop(gunicorn_extra="from x import y as bind"), ["must not set bind"]),
    "gunicorn_extra by import of a module": (shop(gunicorn_extra="import reload.x"), ["must not set reload"]),
    "gunicorn_extra as a function": (shop(gunicorn_extra="def errorlog(): pass"), ["must not set errorlog: it is the instance's log"]),
    "gunicorn_extra as a class": (shop(gunicorn_extra="class worker_class: pass"), ["must not set worker_class: use `worker_class`"]),
    "gunicorn_extra from a function": (shop(gunicorn_extra="def f():\n    global daemon\n    daemon = 1\nf()"), ["must not set daemon"]),
    "gunicorn_extra in an exception": (shop(gunicorn_extra="try: pass\nexcept E as group: pass"), ["must not set group"]),
    "gunicorn_extra in a match": (shop(gunicorn_extra="match 1:\n    case pidfile: pass"), ["must not set pidfile"]),
    "gunicorn_extra by adding": (shop(gunicorn_extra="threads += 1"), ["must not set threads"]),
    "nginx_extra sets the buffers": (shop(nginx_extra="proxy_buffer_size 64k;\nproxy_buffers 8 64k;\n"), ["must not set proxy_buffer_size: use the key `buffers`"]),
    "nginx_extra sets a timeout": (shop(nginx_extra="add_header a b; # x\n proxy_read_timeout 1h;"), ["must not set proxy_read_timeout: use the key `request_timeout`, or `timeouts.stream`"]),
    "buffers of nothing": (shop(buffers="1K"), ["must be from 4K to 1M"]),
    "gunicorn_extra is no Python": (shop(gunicorn_extra="workers: ="), ["no valid Python"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_says_what_where_and_what_instead(name: str) -> None:
    variables, wanted = BAD[name]
    text = "\n".join(faults(variables))
    for words in wanted:
        assert words in text
    assert len(faults(variables)) == 1, text


def test_the_longest_value_that_linux_takes_is_accepted() -> None:
    assert faults(shop(environment={"A": "é" * 65534})) == []


def test_all_faults_in_one_run() -> None:
    variables = {"apps": {"a/b": {"modul": "x"}, "shop": {**SHOP, "workers": 0, "mount": "x"}}, "nginx_http_port": 0}
    assert len(faults(variables)) == 7


def test_absent_needs_only_its_name() -> None:
    assert faults({"apps": {"shop": {"state": "absent"}}}) == []
    assert resolve.resolve_all({"apps": {"shop": {"state": "absent"}}}, Host.assumed())[0].state == "absent"


@given(
    st.dictionaries(
        st.sampled_from([key.name for key in schema.APP] + ["wrokers", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
            max_leaves=6,
        ),
        max_size=8,
    )
)
def test_whatever_is_written_is_refused_or_resolves(entry: dict[str, Any]) -> None:
    variables = {"apps": {"shop": entry}}
    if not faults(variables):
        sites.sites(resolve.resolve_all(variables, Host.assumed()))


@given(st.integers(1, 80000), st.integers(1, 600))
def test_timeouts_keep_their_order(request_timeout: int, boot: int) -> None:
    times = app(request_timeout=request_timeout, timeouts={"boot": boot}).timeouts
    assert times.request < times.gunicorn < times.stop
    assert times.request <= times.graceful < times.stop
    assert times.drain == times.request
    assert times.boot == boot


def test_the_family_of_thirty() -> None:
    times = app().timeouts
    assert (times.request, times.gunicorn, times.graceful, times.stop, times.drain, times.boot) == (
        30,
        35,
        35,
        45,
        30,
        60,
    )


@given(
    st.integers(1, 128),
    st.integers(64 * 1024**2, 2**40),
    st.sampled_from(["sync", "threads", "gthread", "gevent", "asgi"]),
)
def test_workers_fit_the_host(cores: int, memory: int, kind: str) -> None:
    host = Host.assumed(cores=cores, memory=memory)
    count = workers.serving(app(host, worker_class=kind), None).workers
    assert 1 <= count <= 2 * cores + 1
    assert count <= 2 or count * workers.WORKER_MEMORY <= memory * workers.HOST_SHARE


def test_nginx_keeps_connections_to_uvicorn_alone() -> None:
    kinds = ("threads", "gthread", "sync", "gevent", "tornado", "asgi", "uvicorn")
    kept = [kind for kind in kinds if workers.serving(app(worker_class=kind), None).keeps_connections]
    assert kept == ["uvicorn"]
    assert workers.serving(app(), "asgi").keeps_connections


def test_uvicorn_gets_what_makes_it_faster() -> None:
    assert set(tools.ASGI_WHEELS) < set(workers.serving(app(), "asgi").packages)
    assert set(tools.ASGI_WHEELS) == set(wheels.HASHES), "run requirements/tools/lock.py"
    needed, optional = wheels.split(workers.serving(app(), "asgi").packages)
    assert not set(needed) & set(tools.ASGI_WHEELS)
    assert sorted(optional) == sorted(tools.ASGI_WHEELS)
    for package, text in optional.items():
        assert re.fullmatch(rf"{re.escape(package)}( --hash=sha256:[0-9a-f]{{64}})+\n", text)


def test_workers_share_the_memory_between_apps() -> None:
    apps = {f"app{number}": {**SHOP, "domains": [f"a{number}.example"]} for number in range(4)}
    resolved = resolve.resolve_all({"apps": apps}, Host.assumed(cores=16, memory=8 * 1024**3))
    assert [workers.serving(one, None).workers for one in resolved] == [8, 8, 8, 8]


@given(
    st.from_regex(re.compile(r"[a-z][a-z0-9-]{0,30}", re.ASCII), fullmatch=True),
    st.from_regex(re.compile(r"[a-z0-9.]{1,40}", re.ASCII), fullmatch=True),
)
def test_sockets_fit(name: str, version: str) -> None:
    resolved = resolve.resolve_all({"apps": {name: SHOP}}, Host.assumed())[0]
    assert len(release(resolved, release_id=releases.release_id(version, [])).paths.socket) <= names.SOCKET_LIMIT


def test_too_long_a_socket_is_refused() -> None:
    with pytest.raises(ModelError, match="longer than 107 bytes"):
        release(app(), release_id="v" * 100 + "-01234567")


def test_the_attribute_is_written_out() -> None:
    assert app(module="shop.wsgi").module == "shop.wsgi:application"
    assert app(module='shop:create("a", debug=False)').module == 'shop:create("a", debug=False)'


def test_interpreters() -> None:
    host = Host.assumed(pythons={"/usr/bin/python3": "3.11.2", "/usr/bin/python3.12": "3.12.1"})
    assert app(host).python == "/usr/bin/python3"
    assert app(host, python="3.12").python == "/usr/bin/python3.12"
    assert app(host).fault == ""
    missing = app(host, python="3.99").fault
    assert missing.startswith(
        "apps.shop.python: python 3.99 is not on this host, which has 3.11.2 (/usr/bin/python3), 3.12.1"
    )


def test_an_old_interpreter_is_named() -> None:
    assert "too old: gunicorn 27" in app(Host.assumed(pythons={"/usr/bin/python3": "3.9.2"})).fault


def test_systemd_where_it_does_not_run() -> None:
    with pytest.raises(ModelError, match="systemd does not run"):
        resolve.resolve_all({**shop(), "process_manager": "systemd"}, Host.assumed(init=SYSVINIT))


def test_holes_in_the_sandbox() -> None:
    closed, open_ = app().sandbox, app(sandbox={"allow": ["home", "tmp"], "write": ["/srv/media"]}).sandbox
    assert (closed.home, closed.tmp, closed.write) == (False, False, ())
    assert (open_.home, open_.tmp, open_.processes) == (True, True, False)
    assert open_.write == ("/srv/media", "/tmp", "/var/tmp"), "what is shared may be written"


def test_a_static_folder_may_be_the_apps_own() -> None:
    static = {"/static/": "static", "/media/": "shared/media/", "/mine/": "./shared/mine", "/all/": "shared"}
    shop = app(static=static, mount="/shop", source={"path": "/src", "folder": "backend"})
    assert {one.prefix: one.folder for one in shop.media} == {"/shop/media/": "media"}
    assert {one.prefix: one.folder for one in shop.static} == {
        "/shop/static/": "backend/static",
        "/shop/mine/": "backend/shared/mine",
        "/shop/all/": "backend/shared",
    }
    manifest = releases.manifest(release(shop), "v1", "", "")
    assert (manifest.static.keys(), manifest.media) == ({one.prefix for one in shop.static}, {"/shop/media/": "media"})


def test_packages_of_the_distribution() -> None:
    assert app().system_packages == SystemPackages((), ())
    shop = app(system_packages={"build": ["libpq-dev"], "run": ["libpq5"]})
    assert releases.manifest(release(shop), "v1", "", "").system_packages == shop.system_packages
    bare, more = (release(one).paths.venv for one in (app(), shop))
    assert bare != more, "with another library a package may be built with more in it"
    assert bare == release(app(system_packages={"run": ["libpq5"]})).paths.venv


def test_a_package_that_the_host_cannot_have_is_that_apps_fault() -> None:
    host = Host.assumed(unavailable={"libodd-dev": "apt knows no such package"})
    assert app(host, system_packages={"build": ["libpq-dev"]}).fault == ""
    assert app(host, system_packages={"build": ["libodd-dev"]}).fault == (
        "apps.shop.system_packages.build: libodd-dev is not installed, since apt knows no such package"
    )


def test_home_is_a_folder_of_the_apps_own() -> None:
    shop = app()
    assert releases.environment(SHOP, {}, shop)["HOME"] == "/srv/shop/home"
    moved = {**SHOP, "environment": {"HOME": "/srv/shop/shared/me"}}
    assert releases.environment(moved, {}, shop)["HOME"] == "/srv/shop/shared/me"
    made = {entry["path"]: entry for entry in artefacts.directories([shop])}
    assert made["/srv/shop/home"] == {"path": "/srv/shop/home", "owner": "shop", "group": "shop", "mode": "0700"}


def test_a_closed_network_where_systemd_does_not_run() -> None:
    [closed] = resolve.resolve_all(shop(network="local"), Host.assumed(init=SYSVINIT))
    assert closed.fault.startswith("apps.shop.network is local, which only systemd can enforce")
    assert app(network="local").network == "local" and app().network == "open"


def test_a_limit_of_processors_where_systemd_does_not_run() -> None:
    [limited] = resolve.resolve_all(shop(limits={"cpu": 2}), Host.assumed(init=SYSVINIT))
    assert limited.fault == (
        "apps.shop.limits.cpu is 2, which only systemd can enforce; leave it out, or use process_manager systemd"
    )
    assert app(limits={"cpu": 2}).fault == ""


@pytest.mark.parametrize(("cpu", "percent", "count"), [(0.25, 25, 2), (1.5, 150, 2), (3, 300, 3), (64, 6400, 8)])
def test_workers_follow_the_limit_of_processors(cpu: float, percent: int, count: int) -> None:
    limited = app(Host.assumed(cores=8, memory=64 * 1024**3), limits={"cpu": cpu})
    assert (limited.limits.cpu, workers.serving(limited, "asgi").workers) == (percent, count)


def test_workers_are_recycled_at_different_times() -> None:
    assert app().recycle == Recycle(requests=0, jitter=0, memory=0)
    assert app(recycle={"requests": 500, "memory": "300M"}).recycle == Recycle(500, 50, 300 * 1024**2)


def test_workers_request_the_health_path_of_themselves_or_what_the_user_says() -> None:
    assert app(mount="/shop").warm_up == ("/shop/",)
    assert app(health={"path": "/up?all"}).warm_up == ("/up?all",)
    assert app(mount="/shop", health={"path": "/up"}, warm_up=["/", "/search?q=a"]).warm_up == (
        "/shop/",
        "/shop/search?q=a",
    )
    assert app(warm_up=[]).warm_up == ()


def test_memory_that_nothing_limits_or_that_is_too_little() -> None:
    limited = {"limits": {"memory": "1G"}}
    [ignored] = workers.memory_advice(app(Host.assumed(init=SYSVINIT), **limited))
    assert ignored.startswith("limits.memory does nothing under supervisor")
    [little] = workers.memory_advice(app(workers=4, recycle={"memory": "300M"}, **limited))
    assert little.startswith("4 workers of up to recycle.memory (300 MiB) need more than limits.memory (1024 MiB)")
    for fine in (
        limited,
        {"recycle": {"memory": "300M"}},
        {},
        {**limited, "workers": 3, "recycle": {"memory": "300M"}},
    ):
        assert workers.memory_advice(app(**fine)) == []


def test_health_without_a_page_accepts_any_answer_but_a_server_error() -> None:
    # 400: Django, for an unknown Host; 421: MCP.
    assert app().health.status == ((200, 399), (401, 420), (422, 499))
    assert app(health={"path": "/healthz"}).health.status == ((200, 299),)
    assert app(health={"path": "/healthz", "status": [200, "301-302"]}).health.status == ((200, 200), (301, 302))
    assert app(mount="/shop", health={"path": "/healthz"}).health.path == "/shop/healthz"
    assert app(domains=["*.example.com"]).health.host == "health.example.com"


def test_sites_join_apps_of_one_domain() -> None:
    variables = {
        "apps": {
            "shop": {**SHOP, "domains": ["a.example", "b.example"]},
            "blog": {**SHOP, "domains": ["a.example", "b.example"], "mount": "/blog"},
            "api": {**SHOP, "domains": ["b.example"], "mount": "/api"},
            "rest": {**SHOP, "domains": []},
        }
    }
    assert faults(variables) == []
    made = sites.sites(resolve.resolve_all(variables, Host.assumed()))
    assert {(site.domains, tuple(one.name for one in site.apps)) for site in made} == {
        (("a.example",), ("shop", "blog")),
        (("b.example",), ("shop", "api", "blog")),
        ((), ("rest",)),
    }


def test_a_taken_default_site_is_named() -> None:
    host = Host.assumed(ports={80: Port(default_server="/etc/nginx/sites-enabled/default")})
    with pytest.raises(ModelError, match=r"apps\.shop names no domain.*sites-enabled/default"):
        resolve.resolve_all(shop(domains=[]), host)
    resolve.resolve_all(shop(), host)


def test_a_site_that_would_lose_its_clients_is_named() -> None:
    host = Host.assumed(ports={80: Port(nameless_server="/etc/nginx/conf.d/blog.conf")})
    with pytest.raises(ModelError, match=r"conf\.d/blog\.conf on port 80.*default_server"):
        resolve.resolve_all(shop(), host)
    resolve.resolve_all(shop(state="absent"), host)


def test_every_change_of_the_lock_is_another_virtualenv() -> None:
    one = app(Host.assumed(pythons={"/usr/bin/python3": "3.11.2"}))
    other = app(Host.assumed(pythons={"/usr/bin/python3": "3.11.9"}))
    venvs = {release(it, lock=lock).paths.venv for it, lock in ((one, "a"), (one, "b"), (other, "a"))}
    assert len(venvs) == 3


def test_the_manifest_holds_no_secret() -> None:
    resolved = app(secrets={"KEY": "canary-1"}, environment={"OTHER": "canary-2"})
    assert "canary" not in repr(releases.manifest(release(resolved), "v1", "c", "l"))
    assert releases.environment(SHOP, {"KEY": "canary-1"}, resolved)["KEY"] == "canary-1"


@pytest.mark.parametrize(
    ("extra", "kept"),
    [
        ("", ""),
        ("add_header a b;\n", "add_header a b;\n"),
        ("allow all; location /x { return 1; location y { deny all; } } deny all;", "allow all;  deny all;"),
        (
            "if ($a) { return 403; }\nproxy_buffering off;\nset $b 'location {';",
            "if ($a) { return 403; }\n\nset $b 'location {';",
        ),
        ("proxy_buffering on;", ""),
    ],
)
def test_nginx_extra_holds_for_streams_as_well(extra: str, kept: str) -> None:
    assert "must" not in str(checks.nginx_extra(extra))
    assert checks.for_streams(extra) == kept


def test_the_annotated_example_names_every_key_and_is_in_order() -> None:
    variables = yaml.safe_load((ROOT / "docs/example-apps.yml").read_text())
    assert faults(variables) == []
    sites.sites(resolve.resolve_all(variables, Host.assumed()))

    def named(keys: tuple[schema.Key, ...], values: list[dict[str, Any]]) -> set[str]:
        missing = {key.name for key in keys} - {name for value in values for name in value}
        inner: dict[int, tuple[tuple[schema.Key, ...], list[dict[str, Any]]]] = {}
        for key in keys:
            if key.keys:
                present = [value[key.name] for value in values if key.name in value]
                if key.type in ("names", "mappings"):
                    present = [one for value in present for one in value.values()]
                inner.setdefault(id(key.keys), (key.keys, []))[1].extend(
                    one for one in present if isinstance(one, dict)
                )
        for group, present in inner.values():
            missing |= named(group, present)
        return missing

    assert named(schema.APP, list(variables["apps"].values())) == set()
    assert {key.name for key in schema.SETTINGS} - set(variables) == set()


@pytest.mark.parametrize("key", schema.APP, ids=lambda key: key.name)
def test_the_schemas_own_examples_are_valid(key: schema.Key) -> None:
    beside: dict[str, Any] = {
        "build_secrets": {"build": "true", "secrets": {"NPM_TOKEN": "x1y2z3"}},
        "hsts": {"tls": "self_signed"},
    }.get(key.name, {})
    assert faults({"apps": {"shop": {**SHOP, **beside, key.name: key.example}}}) == []


@pytest.mark.parametrize(
    ("entry", "vault", "message"),
    [
        ({"build": "a && b"}, {}, "build is 'a && b'; has '&&', which only a shell understands"),
        ({"build_secrets": ["A"]}, {}, "the app has no `build`"),
        ({"build": "x", "build_secrets": ["A"]}, {}, "names A, which is no secret of the app's; the app has none"),
        ({"build": "x", "build_secrets": ["AB"]}, {"ABC": "x1y2z3"}, "names AB, which is no secret of the app's; did you mean ABC?"),
        ({"build": "x", "build_secrets": ["ABC"]}, {"ABC": "x1y2z3"}, None),
        ({"build": "x", "build_secrets": ["A-B"]}, {}, "must be the name of one of the app's secrets"),
        ({"files": {"../a": "x"}}, {}, "files.../a must be the place of a file inside the code"),
        ({"files": {"a//b": "x"}}, {}, "must be the place of a file inside the code"),
        ({"files": {".slipway/a": "x"}}, {}, "is in a folder of the kit"),
        ({"files": {"a": 3}}, {}, "must name a file of the inventory, such as files/local_settings.py.j2"),
        ({"files": {"a": "x/"}}, {}, "must name a file of the inventory"),
        ({"files": {"a": "x", "a/b": "y"}}, {}, "files.a/b is below a, which is a file"),
        ({"files": {"web/static/a.css": "x"}, "static": {"/s/": "web/static/"}}, {}, "a folder of `static`, which nginx serves to every client"),
        ({"files": {"a.css": "x"}, "static": {"/s/": "."}}, {}, "which nginx serves to every client"),
        ({"files": {"web/statics/a.css": "x"}, "static": {"/s/": "web/static"}}, {}, None),
        ({"hooks": {"setup": {"tasks": "hooks/a.yml"}}}, {}, "hooks.setup must be `command`: it runs inside of the build"),
        ({"hooks": {"setup": ["true", "false"]}}, {}, None),
        ({"source": {"package": "httpbin==1", "build": "x"}}, {}, "`build` goes with path, git and archive"),
        ({"source": {"path": "x", "build": "a | b"}}, {}, "source.build is 'a | b'; has '|'"),
    ],
)  # fmt: skip
def test_what_is_built_and_placed(entry: dict[str, Any], vault: dict[str, Any], message: str | None) -> None:
    reported = faults({"apps": {"shop": {**SHOP, **entry}}, "vault_apps": {"shop": {"secrets": vault}}})
    assert len(reported) == (message is not None), reported
    assert not message or message in reported[0]


def test_what_a_build_depends_on() -> None:
    """The values of secrets and the settings of serving are no part of it."""
    host = Host.assumed()

    def digest(**more: Any) -> str:
        entry = {**SHOP, "build": "make", **more}
        app = resolve.resolve("shop", entry, settings.settings({}, host), host, host.memory)
        return releases.build_digest(app, ["code"])

    assert digest() == digest(workers=7, threads=3, domains=["other.test"])
    assert len({digest(), digest(build=["make", "make install"]), digest(requirements=["flask"])}) == 3
    hidden = releases.build_environment({"A": "1", "B": "2"}, ["B"])
    assert hidden == {"A": "1", "B": releases.UNSET}


def test_a_build_user_for_each_app() -> None:
    assert layout.builder("shop") == "shop_build"
    assert layout.builder("a" * 26) == "a" * 26 + "_build"
    long = {layout.builder("a" * 26 + end) for end in "bc"}
    assert len(long) == 2
    assert {len(name) for name in long} == {names.USER_LIMIT}
    assert all(name.startswith("a" * 17 + "_") and name.endswith("_build") for name in long)


def test_processes_are_programs_of_the_release() -> None:
    made = app(
        processes={
            "worker": {"command": "celery -n {number}-{release}", "count": 2, "stop_timeout": "10m"},
            "bot": "python bot.py",
        }
    )
    it = release(made)
    assert [one.name for one in it.programs] == ["web", "worker.1", "worker.2", "bot.1"]
    second = it.programs[2]
    assert (second.unit, second.stop, second.overlap, second.soak) == (
        f"slipway-shop-{it.release_id}.worker.2",
        600,
        True,
        5.0,
    )
    assert second.log == f"/var/log/slipway/shop/{it.release_id}.worker.2.log"
    assert processes.words(made.processes[0], 2, "v1-00000001") == ("celery", "-n", "2-v1-00000001")


def test_an_app_that_cannot_run_twice_has_no_process_that_can() -> None:
    made = app(overlap=False, processes={"worker": "celery", "bot": {"command": "python bot.py", "overlap": True}})
    assert [one.overlap for one in made.processes] == [False, True]


def test_an_app_of_processes_alone_is_no_site_and_has_no_gunicorn() -> None:
    variables = {"apps": {"bot": {"source": {"path": "/x"}, "processes": {"bot": "python bot.py"}}}}
    assert faults(variables) == []
    [made] = resolve.resolve_all(variables, Host.assumed())
    it = release(made)
    assert (it.serving.packages, [one.name for one in it.programs]) == ((), ["bot.1"])
    assert sites.sites([made]) == []
    assert set(artefacts.release(it)) == {
        f"slipway-bot-{it.release_id}.bot.1{suffix}" for suffix in (".service", "-log.service")
    }


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("celery -A shop beat", "celery beat"),
        ("celery -A shop worker -B", "celery with its beat"),
        ("rqscheduler --interval 5", "rqscheduler"),
        ("python manage.py run_huey", "run_huey"),
        ("celery -A shop worker", ""),
        ("python bot.py", ""),
    ],
)
def test_a_scheduler_gets_a_suggestion(command: str, expected: str) -> None:
    suggested = list(processes.suggestions(app(processes={"one": command})))
    assert [expected in text and "set overlap: false" in text for text in suggested] == ([True] if expected else [])
    assert not list(processes.suggestions(app(processes={"one": {"command": command, "overlap": False}})))


def test_manifests_of_apps_without_processes_are_as_before() -> None:
    made = release(app())
    data = typed.plain(releases.manifest(made, "v1", "", ""))
    assert set(data["programs"][0]) == {"name", "unit", "unit_file", "log", "log_pipe", "stop"}


def test_no_fault_shows_a_password() -> None:
    for users in (
        {"guest": "hunter2"},
        {"a:b": "hunter2hunter2"},
        {"guest": {"a": "hunter2"}},
        {"guest": True},
        "hunter2",
    ):
        for variables in (shop(basic_auth=users), {**shop(), "vault_apps": {"shop": {"basic_auth": users}}}):
            texts = faults(variables)
            assert texts
            assert not [text for text in texts if "hunter2" in text]


def test_the_vault_may_hold_the_passwords() -> None:
    variables = {**shop(), "vault_apps": {"shop": {"basic_auth": {"guest": "hunter2hunter2"}}}}
    assert faults(variables) == []
    [one] = resolve.resolve_all(variables, Host.assumed())
    assert one.basic_auth
    assert "hunter2" not in repr(one)
    assert not app().basic_auth


def test_the_longest_location_sets_the_timeouts() -> None:
    times = app(locations={"/report": {"request_timeout": 300}, "/upload": {"max_body_size": "1G"}}).timeouts
    assert (times.request, times.longest, times.gunicorn, times.graceful, times.stop) == (30, 300, 305, 305, 315)
    assert (times.drain, times.linger) == (300, 300)
    times = app(locations={"/quick": {"request_timeout": 5}}).timeouts
    assert (times.request, times.longest, times.gunicorn) == (30, 30, 35)


def test_locations_are_below_the_mount() -> None:
    def matches(**changes: Any) -> list[tuple[str, int, int]]:
        return [(one.match, one.request_timeout, one.max_body_size) for one in app(**changes).locations]

    assert matches(mount="/shop") == [("/shop/", 30, 10 * 1024**2)]
    limits = {"/up": {"max_body_size": "1K"}, "/report/": {"request_timeout": 9}}
    assert matches(mount="/shop", locations=limits) == [
        ("/shop/", 30, 10 * 1024**2),
        ("/shop/report/", 9, 10 * 1024**2),
        ("= /shop/report", 30, 10 * 1024**2),
        ("= /shop/up", 30, 1024),
    ]
    assert matches(locations={"/a": {"request_timeout": 8}, "/a/": {"request_timeout": 9}})[1:] == [
        ("= /a", 8, 10 * 1024**2),
        ("/a/", 9, 10 * 1024**2),
    ]


@pytest.mark.parametrize(
    ("folder", "hidden"),
    [
        ("/x/inventories/staging", True),
        ("/x/Staging/", True),
        ("/x/production", False),
        ("/staging/live", False),
        ("", False),
    ],
)
def test_search_engines_skip_what_is_not_production(folder: str, hidden: bool) -> None:
    def resolved(**changes: Any) -> App:
        return resolve.resolve_all({**shop(**changes), settings.FOLDER: folder}, Host.assumed())[0]

    assert resolved().noindex is hidden
    assert resolved(noindex=False).noindex is False
    assert resolved(noindex=True).noindex is True


def test_headers_of_the_kit_the_user_and_nginx_extra() -> None:
    def headers(**changes: Any) -> dict[str, str]:
        return {one.name: one.value for one in app(**changes).headers}

    assert headers() == manners.HEADERS
    assert headers(headers={"x-frame-options": "DENY"})["x-frame-options"] == "DENY"
    assert "X-Frame-Options" not in headers(headers={"x-frame-options": "DENY"})
    assert "Referrer-Policy" not in headers(headers={"referrer-policy": ""})
    assert "X-Frame-Options" not in headers(nginx_extra="add_header 'X-Frame-Options' DENY always;")
    assert headers(nginx_extra="location /shop/x { add_header X-Frame-Options DENY; }") == manners.HEADERS
    given = {"headers": {"X-A": "1", "X-B": "2"}}
    variables = [one.variable for name in ("a-1", "a") for one in front.headers(name, given, False) if one.is_custom]
    assert len(set(variables)) == 4


@pytest.mark.parametrize(
    ("requests", "seconds"), [("10/s", 1), ("1/s", 1), ("60/m", 1), ("30/m", 2), ("7/m", 9), ("1/m", 60)]
)
def test_a_limited_client_learns_when_to_come_again(requests: str, seconds: int) -> None:
    limit = app(rate_limit={"requests": requests}).rate_limit
    assert limit is not None
    assert (limit.rate, limit.retry, limit.burst) == (requests.replace("/", "r/"), seconds, 20)
