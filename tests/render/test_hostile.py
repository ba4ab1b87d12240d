"""Every text in an inventory is refused, or every template writes it as that very value.

The judges are the readers' own rules: Python's and supervisor's parsers, and the two short ones below that read nginx's
and systemd's files. A value that broke out of its place would change what they find besides that value.
"""

from __future__ import annotations

import ast
import configparser
import copy
import functools
import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.model import (
    artefacts,
    releases,
    resolve,
    schema,
    validation,
)
from ansible_collections.slipway.kit.plugins.module_utils.model import settings as hosts_settings
from ansible_collections.slipway.kit.plugins.module_utils.model.types import Host, Release
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.releases import release
from tests.render.conftest import template

HOSTILE = st.lists(
    st.sampled_from(
        [
            *"\"'\\{}[]()%;#$/:=,.*~@ \n\r\t\0\x0b\x85\u2028éab0",
            "{{ 7 * 7 }}", "{% raw %}", "{#", '"""', "'''", "%(ENV_PATH)s", "%n", "${x}", "$host", "; }", "} server {",
            "\n[Install]\n", "\n[program:x]\n", "\\\n", "../", "/", "web:app", "create_app()", "example.com", "a=b;",
            "import os\n", "x = 1\n", "CPUQuota=1%\n", "add_header A b;\n", "-e", "location /x {", "192.0.2.0/24", "::1",
        ]
    ),
    max_size=6,
).map("".join)  # fmt: skip
GOOD: dict[str, Any] = {
    "module": "web:app",
    "source": {"git": "ssh://git@example.com/shop.git", "version": "v1"},
    "domains": ["shop.example.com"],
    "interface": "wsgi",
    "mount": "/shop",
    "static": {"/static/": "static", "/media/": "shared/media"},
    "environment": {"A": "b"},
    "health": {"path": "/healthz"},
    "headers": {"X-A": "b"},
    "locations": {"/up": {"request_timeout": 9}, "/down/": {"request_timeout": 8}},
    "rate_limit": {"requests": "1/s", "connections": 2},
    "allow": ["192.0.2.0/24"],
    "basic_auth": {"guest": "hunter2hunter2"},
    "noindex": True,
    "gunicorn_extra": "statsd_prefix = 'shop'\n",
    "nginx_extra": "add_header A b;\n",
    "unit_extra": "Nice=5\n",
}
MANY = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def rendered(name: str, manager: str, entry: dict[str, Any], **variables: Any) -> tuple[Release, dict[str, str]] | None:
    """The release and its files by kind; None when the inventory is refused."""
    variables = {"apps": {name: entry}, "process_manager": manager, **variables}
    if validation.validate(variables):
        return None
    host = Host.assumed()
    host_settings = hosts_settings.settings(variables, host)
    (app,) = resolve.resolve_all(variables, host)
    made = release(app)
    entries = [*artefacts.nginx_base(host_settings, host), *artefacts.nginx_sites(host_settings, host, [app], {})]
    files = {
        item["src"]: template(item["src"], item["dest"], item.get("vars", {})) for item in entries if "src" in item
    }
    files |= {src: template(src, dest, names) for dest, (src, names) in artefacts.release(made).items()}
    files["environment"] = json.dumps(releases.environment(entry, {}, app))
    return made, files


def nginx(text: str) -> list[tuple[int, list[str]]]:
    """Every directive with its depth, as nginx splits a file (ngx_conf_read_token)."""
    directives: list[tuple[int, list[str]]] = []
    words: list[str] = []
    depth = at = 0
    while at < len(text):
        here = text[at]
        if here in " \t\r\n":
            at += 1
        elif here == "#":
            at = (text + "\n").index("\n", at)
        elif here in ";{}":
            assert (here == "}") != bool(words), f"{here} after {words}"
            if words:
                directives.append((depth, words))
            words, at = [], at + 1
            depth += {"{": 1, "}": -1, ";": 0}[here]
            assert depth >= 0
        else:
            quote = here if here in "\"'" else ""
            end = at + len(quote)
            while True:
                assert end < len(text), "the file ends inside a word"
                if text[end] == "\\":
                    end += 2
                elif quote and text[end] == quote:
                    end += 1
                    break
                elif not quote and (text[end] in " \t\r\n;" or (text[end] == "{" and text[end - 1] != "$")):
                    break
                else:
                    end += 1
            assert not quote or text[end] in " \t\r\n;{)", "text after a closing quote"
            words.append(text[at:end])
            at = end
    assert depth == 0 and not words
    return directives


def systemd(text: str) -> list[tuple[str, str, str]]:
    """Every setting as (section, name, value); a backslash at a line's end joins the next one (systemd.syntax(7))."""
    directives, section = [], ""
    for line in re.sub(r"\\\n", " ", text).split("\n"):
        if line.startswith("["):
            section = line
        elif line.strip() and line[0] not in "#;":
            name, equals, value = line.partition("=")
            assert equals and re.fullmatch(r"[A-Za-z]+", name.strip()), line
            directives.append((section, name.strip(), value.strip()))
    return directives


def judge(name: str, entry: dict[str, Any], **variables: Any) -> bool:
    """Whether the inventory was accepted; if so, everything in the files is in its place."""
    accepted = False
    for manager in ("systemd", "supervisor"):
        result = rendered(name, manager, entry, **variables)
        if result is None:
            continue
        accepted = True
        app, files = result
        gunicorn(app, files)
        directives(app, files)
        if manager == "systemd":
            unit(app, files["systemd/app.service.j2"])
        else:
            program(app, files["supervisor/program.conf.j2"])
        environment = json.loads(files["environment"])
        assert {key: environment[key] for key in entry["environment"]} == {
            key: str(value) for key, value in entry["environment"].items()
        }
    return accepted


def gunicorn(it: Release, files: dict[str, str]) -> None:
    body = ast.parse(files["gunicorn/gunicorn.conf.py.j2"]).body
    extra = files.get("gunicorn/gunicorn_extra.py.j2", "")
    assert ast.dump(ast.parse(extra)) == ast.dump(ast.parse(it.app.gunicorn_extra))
    values = {
        target.id: node.value
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert ast.literal_eval(values["wsgi_app"]) == it.app.module
    assert ast.literal_eval(values["bind"]) == f"unix:{it.paths.socket}"
    assert [type(node) for node in body] == statements()[: None if it.app.gunicorn_extra else -1]


@functools.cache
def statements() -> list[type[ast.stmt]]:
    """The kinds of statements in a gunicorn configuration; the last one reads the user's part."""
    result = rendered("shop", "systemd", GOOD)
    assert result
    return [type(node) for node in ast.parse(result[1]["gunicorn/gunicorn.conf.py.j2"]).body]


def directives(it: Release, files: dict[str, str]) -> None:
    for src, text in files.items():
        if src.startswith("nginx/") and src.endswith(".conf.j2"):
            nginx(text)
    (server,) = (words for depth, words in nginx(files["nginx/site.conf.j2"]) if words[0] == "server_name")
    assert server[1:] == list(it.app.domains or ("_",))
    places = [words for depth, words in nginx(files["nginx/locations.conf.j2"]) if depth == 0]
    assert all(words[0] == "location" for words in places)
    assert [words[2] for words in places if words[1] == "^~"] == [
        folder.prefix for folder in (*it.app.static, *it.app.media)
    ]
    wanted = [name for one in it.app.locations for name in (one.match, *([one.stream] if one.own_stream else []))]
    assert [" ".join(words[1:]) for words in places[-len(wanted) :]] == wanted
    assert wanted[0] == (it.app.mount if it.app.mount == "/" else it.app.mount + "/")
    values = [words[1] for depth, words in nginx(files["nginx/upstream.conf.j2"]) if depth == 1 and words[0] == '""']
    assert [re.sub(r'\\(["\\])', r"\1", value[1:-1]) for value in values] == [
        one.value for one in it.app.headers if one.is_custom
    ]
    assert {words[0] for _depth, words in nginx(files["nginx/headers.conf.j2"])} == {"add_header"}


def unit(it: Release, text: str) -> None:
    directives = systemd(text)
    assert list(dict.fromkeys(section for section, _name, _value in directives)) == ["[Unit]", "[Service]", "[Install]"]
    (description,) = (value for _section, name, value in directives if name == "Description")
    assert description.replace("%%", "%") == f"{it.app.name} {it.release_id}, {it.app.module}"
    assert "%" not in description.replace("%%", "")
    assert [name for section, name, _value in directives if section == "[Install]"] == ["WantedBy"]
    (start,) = (value for _section, name, value in directives if name == "ExecStart")
    assert shlex.split(start)[-1] == it.paths.gunicorn_conf


def program(it: Release, text: str) -> None:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    parser.read_string(text)
    assert parser.sections() == [f"program:{it.programs[0].unit}"]
    assert shlex.split(parser[parser.sections()[0]]["command"])[-1] == it.paths.gunicorn_conf


def changed(**keys: Any) -> dict[str, Any]:
    return {**copy.deepcopy(GOOD), **keys}


def test_a_closed_network_is_closed_in_the_unit() -> None:
    for network, wanted in (("open", []), ("local", [("IPAddressDeny", "any"), ("IPAddressAllow", "localhost")])):
        result = rendered("shop", "systemd", changed(network=network))
        assert result
        directives = systemd(result[1]["systemd/app.service.j2"])
        assert [(name, value) for _section, name, value in directives if name.startswith("IPAddress")] == wanted


def test_a_limit_of_processors_is_one_in_the_unit() -> None:
    for limits, wanted in (({}, []), ({"cpu": 1.5}, ["150%"]), ({"cpu": 0.07}, ["7%"])):
        result = rendered("shop", "systemd", changed(limits=limits))
        assert result
        directives = systemd(result[1]["systemd/app.service.j2"])
        assert [value for _section, name, value in directives if name == "CPUQuota"] == wanted


@pytest.mark.parametrize("manager", ["systemd", "supervisor"])
def test_what_workers_learn_about_memory(manager: str) -> None:
    """The kernel's limit is only systemd's."""
    result = rendered("shop", manager, changed(limits={}, recycle={}, gunicorn_extra=""))
    assert result
    text = result[1]["gunicorn/gunicorn.conf.py.j2"]
    assert not re.search("recycle=|limit=|max_requests", text)
    changes = {"limits": {"memory": "1G"}, "recycle": {"requests": 20, "memory": "64M"}, "gunicorn_extra": ""}
    result = rendered("shop", manager, changed(**changes))
    assert result
    text = result[1]["gunicorn/gunicorn.conf.py.j2"]
    assert f"recycle={64 << 20}," in text
    assert ("limit=1073741824," in text) == (manager == "systemd")
    assert "max_requests = 20\nmax_requests_jitter = 2\n" in text


def test_every_hole_in_the_sandbox_is_one_in_the_unit() -> None:
    """And no other directive changes."""

    def directives_of(**sandbox: list[str]) -> set[tuple[str, str]]:
        result = rendered("shop", "systemd", changed(sandbox=sandbox))
        assert result
        lines = systemd(result[1]["systemd/app.service.j2"])
        return {(name, value.replace(result[0].release_id, "ID")) for _section, name, value in lines}

    closed = directives_of()
    for hole, directives in {
        "home": {"ProtectHome"},
        "tmp": {"PrivateTmp", "ReadWritePaths"},
        "processes": {"ProtectProc"},
        "devices": {"PrivateDevices", "DevicePolicy"},
        "priorities": {"SystemCallFilter"},
    }.items():
        assert {name for name, _value in directives_of(allow=[hole]) - closed} == directives
    assert {name for name, _value in directives_of(write=["/srv/media"]) - closed} == {"ReadWritePaths"}


def test_the_good_one_is_accepted() -> None:
    assert judge("shop", GOOD)


@MANY
@given(HOSTILE)
@example('"""')
@example("{{ 7 * 7 }}")
@example("%n\\")
@example("' + str(1) + '")
def test_a_factory_s_argument(text: str) -> None:
    """A factory may get any text, as a Python literal."""
    assert judge("shop", changed(module=f"web:create_app({text!r})"))


@MANY
@given(HOSTILE)
def test_module(text: str) -> None:
    judge("shop", changed(module=text))


@MANY
@given(HOSTILE)
def test_name(text: str) -> None:
    judge(text, GOOD)


@MANY
@given(HOSTILE)
def test_domain(text: str) -> None:
    judge("shop", changed(domains=[text]))


@MANY
@given(HOSTILE)
def test_mount(text: str) -> None:
    judge("shop", changed(mount=f"/{text}"))


@MANY
@given(HOSTILE, HOSTILE)
def test_static(prefix: str, folder: str) -> None:
    judge("shop", changed(static={f"/{prefix}/": "static"}))
    judge("shop", changed(static={"/static/": folder}))
    judge("shop", changed(static={f"/{prefix}/": "shared/media"}))
    judge("shop", changed(static={"/media/": f"shared/{folder}"}))


@MANY
@given(HOSTILE, HOSTILE)
@example("A", "{{ 7 * 7 }}\n\"'%$\\")
def test_environment(name: str, value: str) -> None:
    judge("shop", changed(environment={name: "x"}))
    assert judge("shop", changed(environment={"A": value})) or "\0" in value


@MANY
@given(HOSTILE)
def test_health(text: str) -> None:
    for key in ("path", "body", "host"):
        judge("shop", changed(health={key: text}))


@MANY
@given(HOSTILE)
def test_sizes_versions_and_interpreters(text: str) -> None:
    judge("shop", changed(max_body_size=text))
    judge("shop", changed(limits={"memory": text}))
    judge("shop", changed(python=f"/{text}"))
    judge("shop", changed(source={"git": text, "version": text}))


@MANY
@given(HOSTILE, HOSTILE)
@example("A", 'b" "')
@example("A", "{{ 7 * 7 }}\\")
@example("A", "a; } b {")
@example("A", "$host")
def test_headers(name: str, value: str) -> None:
    judge("shop", changed(headers={f"X-{name}": "b"}))
    judge("shop", changed(headers={"X-A": value}))


@MANY
@given(HOSTILE)
def test_locations_and_limits(text: str) -> None:
    judge("shop", changed(locations={f"/{text}": {"request_timeout": 9}}))
    judge("shop", changed(locations={"/up": {"max_body_size": text}}))
    judge("shop", changed(rate_limit={"requests": text}))
    judge("shop", changed(allow=[text]))


@MANY
@given(HOSTILE)
@example("fe80::1%eth0")
@example("192.0.2.0/255.255.255.0")
def test_trusted_proxies(text: str) -> None:
    if judge("shop", GOOD, nginx_trusted_proxies=[text]):
        assert re.fullmatch(r"[0-9a-f.:]+(/\d+)?", text)


@MANY
@given(HOSTILE)
@example("a'b {")
@example("add_header A b")
@example('add_header A "b;')
@example("if ($x) { return 403; }")
@example("# don't } {")
@example("set $a ${b}c;")
def test_nginx_extra(text: str) -> None:
    judge("shop", changed(nginx_extra=text))


@MANY
@given(HOSTILE)
@example("CPUQuota=1%\\")
def test_unit_extra(text: str) -> None:
    judge("shop", changed(unit_extra=text))


@MANY
@given(HOSTILE)
@example("def pre_fork(server, worker):\n    '''\n\n    # {{ 7 * 7 }}\n    '''\n")
def test_gunicorn_extra(text: str) -> None:
    judge("shop", changed(gunicorn_extra=text))


def texts(keys: tuple[schema.Key, ...], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every key that takes text."""
    for key in keys:
        if {"str", "size", "list", "names", "mappings"} & set(key.type.split("|")):
            yield (*path, key.name)
        if key.type not in ("names", "mappings"):
            yield from texts(key.keys, (*path, key.name))


def put(entry: dict[str, Any], path: tuple[str, ...], text: str) -> None:
    """Write the text in the place of a key, in the shape that the key has."""
    *above, name = path
    keys: tuple[schema.Key, ...] = schema.APP
    for part in above:
        keys = schema.table(keys)[part].keys
        inner = entry.get(part)
        entry[part] = entry = dict(inner) if isinstance(inner, dict) else {}
    kinds = schema.table(keys)[name].type.split("|")
    shapes = {"names": {text: text}, "mappings": {text: {"request_timeout": 9}}, "list": [text]}
    entry[name] = shapes.get(kinds[0], text) if len(kinds) == 1 else text


@settings(MANY, max_examples=150)
@given(st.sampled_from(sorted(texts(schema.APP))), HOSTILE)
def test_any_key_of_an_app(path: tuple[str, ...], text: str) -> None:
    """A key that is new to the schema is tried here by itself."""
    entry = copy.deepcopy(GOOD)
    if path[0] == "source" and len(path) == 2 and path[1] not in ("version", "sha256"):
        entry["source"] = {"version": "v1"} if path[1] == "git" else {}
    put(entry, path, text)
    judge("shop", entry)


@MANY
@given(st.sampled_from([key.name for key in schema.SETTINGS if key.name != "process_manager"]), HOSTILE)
def test_any_setting(name: str, text: str) -> None:
    kind = schema.table(schema.SETTINGS)[name].type
    judge("shop", GOOD, **{name: [text] if kind == "list" else text})


def test_real_extras_are_accepted() -> None:
    assert judge(
        "shop", changed(nginx_extra='if ($arg_x) { return 403; }\nset $a ${host}b; # don\'t }\nadd_header A "b; }";')
    )
    assert judge("shop", changed(unit_extra="# why\nCPUQuota=150%\n\nNice=5"))
