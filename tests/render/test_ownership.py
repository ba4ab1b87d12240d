"""Users may not set again what the templates set: the tables hold exactly that."""

from __future__ import annotations

import re

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.model import (
    artefacts,
    checks,
    ownership,
    resolve,
    schema,
    settings,
)
from ansible_collections.slipway.kit.plugins.module_utils.model.types import App, Host

from tests.releases import release

from .conftest import template

REPEATABLE = {"proxy_set_header", "proxy_hide_header", "if", "add_header", "include", "error_page", "set"}
"""Directives that may be repeated there."""
HARDENING = re.compile(
    r"Limit|MemoryMax|CPUQuota|TasksMax|UMask|RestartSec|OOMPolicy|Protect|Private|Restrict|Read|Lock|RemoveIPC|Keyring|Device|NoNew|Capability|"
    r"Ambient|SystemCall|IPAddress|ExecStartPre|LogRateLimit|FileDescriptor|Sockets"
)
"""What a unit sets and `unit_extra` may override: the key is for them."""


def app(manager: str) -> App:
    limits = {"memory": "1G", "tasks": 99, **({"cpu": 1.5} if manager == "systemd" else {})}
    entry = {"module": "web:app", "mount": "/shop", "limits": limits, "network": "open"}
    (shop,) = resolve.resolve_all({"apps": {"shop": entry}, "process_manager": manager}, Host.assumed())
    return shop


def test_nginx() -> None:
    host_settings = settings.settings({}, Host.assumed())
    (text,) = [
        template(entry["src"], entry["dest"], entry["vars"])
        for entry in artefacts.nginx_sites(host_settings, Host.assumed(), [app("systemd")], {})
        if entry.get("src") == "nginx/locations.conf.j2"
    ]
    inside = text[text.index("location /shop/ {") :].partition("location @")[0]
    names = set(re.findall(r"(?m)^    ([a-z_0-9]+) ", inside)) - REPEATABLE
    assert names == set(ownership.NGINX)
    assert {name.lower() for name in re.findall(r"(?m)^    proxy_set_header (\S+) ", inside)} == ownership.HEADERS


@pytest.mark.parametrize("manager", ["systemd", "supervisor"])
def test_units(manager: str) -> None:
    files = artefacts.release(release(app(manager)))
    ((name, (src, names)),) = [
        (name, made)
        for name, made in files.items()
        if made[0] in ("systemd/app.service.j2", "supervisor/program.conf.j2")
    ]
    text = template(src, name, names)
    section = text[text.index("[Service]" if manager == "systemd" else "[program:") :].partition("[Install]")[0]
    directives = {word for word in re.findall(r"(?m)^([A-Za-z_]+)=", section) if not HARDENING.match(word)}
    assert directives
    assert {word.lower() for word in directives} <= set(ownership.UNIT)


def test_the_keys_that_are_named_exist() -> None:
    inner = {f"{key.name}.{one.name}" for key in schema.APP for one in key.keys}
    known = {key.name for key in schema.APP} | inner
    for words in [*ownership.NGINX.values(), *ownership.UNIT.values()]:
        assert set(re.findall(r"`([^`]+)`", words)) <= known


@pytest.mark.parametrize("name", ownership.NGINX)
def test_a_directive_of_the_kit_s_is_refused_by_name(name: str) -> None:
    fault = checks.nginx_extra(f"add_header A b;\n{name} 1;\n")
    assert fault and f"must not set {name}: " in fault
    assert checks.nginx_extra(f"location /shop/x/ {{ {name} 1; }}") is None
    assert checks.nginx_extra(f"add_header {name} 1; # {name} 2;") is None


@pytest.mark.parametrize(
    "line", ["proxy_set_header Host x;", "proxy_set_header 'host' x;", 'proxy_set_header "X-Real-IP" x;']
)
def test_a_header_of_the_kit_s_is_refused(line: str) -> None:
    assert "must not set the header" in (checks.nginx_extra(line) or "")
    assert checks.nginx_extra("proxy_set_header X-Mine x;") is None


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("Environment=A=b", "`environment`"),
        ("EnvironmentFile=-/etc/x", "`environment`"),
        ("ExecStart=/bin/true", "`module`"),
        ("User=root", "own user"),
        ("Type = simple", "fixed"),
        ("TimeoutStopSec=5", "`timeouts.stop`"),
        ("environment=A=b", "`environment`"),
        ("Command=x", "`module`"),
        ("user=root", "own user"),
        ("stdout_logfile=/x", "log"),
    ],
)
def test_a_line_of_the_kit_s_in_a_unit_is_refused_with_the_key(line: str, key: str) -> None:
    fault = checks.unit_extra(f"# {line}\n; {line}\nCPUQuota=150%\n{line}\n")
    assert fault and line.partition("=")[0].strip() in fault and key in fault
    assert checks.unit_extra(f"# {line}\nCPUQuota=150%\nMemoryHigh=1G\nProtectHome=no\npriority=10\n") is None
