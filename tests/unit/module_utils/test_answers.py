"""A host's answer: only the fields of the module's contract are accepted, and each must have its kind of value."""

from __future__ import annotations

import copy
import importlib
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.kit.plugins.action import resident as action_module
from ansible_collections.slipway.kit.plugins.module_utils import answers, resident
from ansible_collections.slipway.kit.plugins.module_utils.contract.facts import CONTRACT as FACTS
from ansible_collections.slipway.kit.plugins.module_utils.host.system import facts

from tests.unit.module_utils.test_resident import Host, action

MODULES = sorted(path.stem for path in (resident.PLUGINS / "modules").glob("*.py"))
PLUGINS = "ansible_collections.slipway.kit.plugins."
ACTIONS = {"access": {"key", "why"}, "packages": {"ansible_facts"}, "release": {"ansible_facts"}}
"""Fields that the actions of these modules add; a host must not send them."""


def module(name: str) -> Any:
    return importlib.import_module(f"{PLUGINS}modules.{name}")


def documented(type_: str) -> tuple[type, ...]:
    return {"dict": (dict,), "list": (list,), "bool": (str,), "int": (str,), "str": (str,)}[type_]


@pytest.mark.parametrize("name", MODULES)
def test_the_documentation_agrees_with_the_contract(name: str) -> None:
    returned: Mapping[str, Any] = yaml.safe_load(module(name).RETURN) or {}
    contract = {key.removesuffix("?"): inner for key, inner in module(name).RESULT.items()}
    assert set(returned) - {"failures"} - ACTIONS.get(name, set()) == set(contract)
    for key, inner in contract.items():
        assert isinstance(inner, documented(returned[key]["type"])), key
        if returned[key]["type"] in ("bool", "int"):
            assert inner == {"bool": "bool", "int": "count"}[returned[key]["type"]], key


def kinds(contract: Any) -> set[str]:
    if isinstance(contract, str):
        return {contract}
    if isinstance(contract, list):
        (inner,) = contract
        return kinds(inner)
    placeholders = {key[1:-1] for key in contract if key.startswith("<")}
    assert not placeholders or len(contract) == 1
    return placeholders.union(*(kinds(inner) for inner in contract.values()))


@pytest.mark.parametrize("name", MODULES)
def test_contracts_use_known_kinds(name: str) -> None:
    assert kinds(module(name).RESULT) <= set(answers.KINDS)
    assert not {"add_host", "add_group"} & set(module(name).RESULT)


def test_facts_of_this_machine_fit() -> None:
    collected = facts.collect(
        apps=[{"name": "shop", "root": "/srv/shop"}],
        packages=["g++", "libc6:amd64"],
        nginx_ports=[80, 443],
        tools={"uv": "/x"},
    )
    plain = json.loads(json.dumps(collected))
    assert answers.accept(module("facts").RESULT, {"changed": False, "ansible_facts": {"slipway": plain}}) == {
        "changed": False,
        "ansible_facts": {"slipway": plain},
    }


GOOD: dict[str, Any] = {
    "schema": 2,
    "cores": 2, "memory": 1 << 33,
    "systemd": True, "ipv6": True, "packages_missing": ["nginx"], "tools": {"uv": True},
    "supervisor_running": False,
    "apps": {"shop": {"current": "v1-12345678", "releases": {"v1-12345678": {
        "code": "ab" * 32, "build": "ef" * 8, "placed": ["a.py"], "bad": None, "activated": "2026-01-01T00:00:00Z",
        "previous": None, "migrated": None, "complete": True, "mount": "/shop", "runs": ["controller-7-1"]}}, "removed_bad": {"v0-12345678": "rolled back\n(it hung)"}}},
    "deployed": ["shop"], "live": ["shop"], "ruled": [], "users": ["shop"], "origins": {"shop": "production"},
    "applied": {"production": {"nginx_http3": "true"}}, "pythons": {"/usr/bin/python3": "3.11.2"},
    "drifted": [], "firewall": [22, 80], "certificates": ["shop.example.com"],
    "nginx": {"installed": True, "user": "www-data", "group": "www-data", "main_conf": "distro",
        "distro_conf": "user www-data;\n", "running": True, "masked": False, "at_boot": True, "version": "1.22.1", "openssl": "", "http3": False, "welcome_page": None,
        "ports": [{"port": 80, "taken": None, "default_server": None, "nameless_server": None}], "sites": {"/etc/nginx/conf.d/slipway-site-x.conf": ["shop"]},
        "names": {"shop.test": ["shop"], "*.shop.test": ["shop"], "_": ["shop"]},
        "listening": {"/etc/nginx/conf.d/slipway-site-x.conf": [{"port": 443, "tls": True, "quic": False}]}},
}  # fmt: skip


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """GOOD with another value, or without one, at the path."""
    made = copy.deepcopy(GOOD)
    at: Any = made
    for part in path[:-1]:
        at = at[part]
    if value is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return made


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        (("nginx", "user"), "www-data;\nload_module /tmp/x.so", "nginx.user` is 'www-data;"),
        (("nginx", "user"), "x y", "not the name of a user or group"),
        (("nginx", "group"), "a" * 33, "not the name of a user or group"),
        (("nginx", "user"), ["www-data"], "nginx.user` is a list and not the name"),
        (("nginx", "user"), ..., "nginx.user` is missing"),
        (("nginx", "user"), None, "nginx.user` is missing"),
        (("nginx", "ports", 0, "default_server"), "/etc/nginx/x;}", "default_server` is '/etc/nginx/x;}' and not an absolute path"),
        (("nginx", "welcome_page"), "/etc/nginx/x\ny", "not an absolute path"),
        (("nginx", "sites"), {"/etc/nginx/{x": ["shop"]}, r"sites \(a key\)` is"),
        (("nginx", "distro_conf"), "user \x1b]0;x\x07;", "not a text without control characters"),
        (("nginx", "distro_conf"), "x" * (answers.TEXT + 1), "not a text without control characters"),
        (("pythons",), {"/usr/bin/python3": "3.11; reboot"}, "not a word"),
        (("pythons",), {"/usr/bin/python3\n": "3.11"}, "not an absolute path"),
        (("cores",), "2", "cores` is '2' and not a whole number"),
        (("cores",), True, "cores` is True"),
        (("cores",), -1, "not a whole number that is not negative"),
        (("cores",), 1e300, "cores` is 1e"),
        (("memory",), 10**300, "memory` is 1000"),
        (("systemd",), "yes", "systemd` is 'yes' and not true or false"),
        (("packages_missing",), ["-o=Dpkg::Pre-Invoke::=sh"], r"packages_missing\[0\]` is '-o=Dpkg"),
        (("packages_missing",), ["nginx"] * (answers.ENTRIES + 1), "has 10001 entries, more than 10000"),
        (("packages_missing",), {"nginx": 1}, "is a mapping and not a list"),
        (("apps",), {"../../x": {}}, r"apps \(a key\)` is '../../x' and not an app's name"),
        (("apps", "shop", "current"), "../../etc", "not a release's id"),
        (("apps", "shop", "releases"), {"x/y": {}}, r"releases \(a key\)` is 'x/y'"),
        (("apps", "shop", "releases", "v1-12345678", "code"), "../../.ssh/id_rsa", "not a word"),
        (("apps", "shop", "releases"), [], "is a list and not a mapping"),
        (("tools",), {"\x1b[2J": True}, r"is '\\x1b\[2J' and not a word"),
    ],
)  # fmt: skip
def test_facts_that_do_not_fit_are_refused(path: tuple[Any, ...], value: Any, why: str) -> None:
    with pytest.raises(answers.Unfit, match=why) as caught:
        answers.accept({"facts": FACTS}, {"facts": changed(path, value)})
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_facts_that_fit_come_as_they_are() -> None:
    assert answers.accept({"facts": FACTS}, {"changed": False, "facts": GOOD}) == {"changed": False, "facts": GOOD}


INTERNAL = {
    "add_host": {"host_name": "x", "host_vars": {"ansible_connection": "ssh", "ansible_ssh_common_args": "-o ProxyCommand=id"}},
    "add_group": "x",
    "ansible_facts": {"ansible_python_interpreter": "/tmp/x", "slipway_releases": []},
    "_ansible_no_log": False,
    "_ansible_delegated_vars": {"ansible_host": "x"},
    "__ansible_type": "WarningSummary",
    "ansible_job_id": "../../x",
    "deprecations": [{"msg": "x"}],
    "results": [{"changed": True}],
    "invocation": {"module_args": {}},
    "unreachable": True,
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_internal_keys_are_not_taken(name: str) -> None:
    contract = {key: inner for key, inner in module(name).RESULT.items() if key != "ansible_facts"}
    taken = answers.accept(contract, {"failed": True, "msg": "x", **INTERNAL})
    assert taken == {"failed": True, "msg": "x"}


def test_facts_of_other_names_are_not_taken() -> None:
    answer = {"changed": False, "ansible_facts": {"slipway": GOOD, "ansible_connection": "local", "apps": {}}}
    assert answers.accept(module("facts").RESULT, answer)["ansible_facts"] == {"slipway": GOOD}


def test_what_people_read_cannot_steer_their_terminal() -> None:
    taken = answers.accept(
        {"made": ["line"]},
        {
            "changed": True, "made": ["a\n\x9b2J"], "msg": "x\x1b]52;c;aGk=\x07\n\tnext \u202eevil\r", "warnings": ["\x1b[8m"],
            "diff": {"before": "\x1b[2J\n", "after": "b\n", "add_host": 1},
        },
    )  # fmt: skip
    assert taken == {
        "changed": True,
        "made": ["a\\n\\x9b2J"],
        "msg": "x\\x1b]52;c;aGk=\\x07\n\tnext \\u202eevil\\r",
        "warnings": ["\\x1b[8m"],
        "diff": [{"before": "\\x1b[2J\n", "after": "b\n"}],
    }


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"changed": "yes"}, "`changed` is 'yes' and not true or false"),
        ({"msg": ["x"]}, "`msg` is a list"),
        ({"diff": "x"}, r"`diff\[0\]` is 'x' and not a mapping"),
        ({"warnings": [{"event": 1}]}, r"`warnings\[0\]` is a mapping"),
        ({"failures": [{"app": "x"}]}, r"`failures\[0\].release` is missing"),
        ({"msg": "x" * (answers.TEXT + 1)}, "not a text of at most"),
        ({}, "`made` is missing"),
    ],
)
def test_answers_of_the_wrong_types_are_refused(answer: dict[str, Any], why: str) -> None:
    with pytest.raises(answers.Unfit, match=why):
        answers.accept({"made": ["line"]}, answer)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"a": ' * 100_000, "nested too deeply"),
        ('{"a": ' + "[" * 500_000 + "]" * 500_000 + "}", "nested too deeply"),
        ('{"a": NaN}', "not valid JSON"),
        ('{"a": ' + "9" * 10_000 + "}", "not valid JSON"),
        ('{"a"', "not valid JSON"),
    ],
    ids=["open", "closed", "NaN", "digits", "cut"],
)
def test_lines_that_are_no_answer(line: str, why: str) -> None:
    with pytest.raises(answers.Unfit, match=why):
        answers.parse(line)


# The action

EVIL = {"changed": False, "releases": [], "add_host": {"host_name": "x"}}


def test_the_action_takes_nothing_but_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host((0, json.dumps(EVIL), ""))
    assert action(monkeypatch, host)._execute_module() == {"changed": False, "releases": []}


def test_nor_does_it_from_a_module_that_ansible_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    made = action(monkeypatch, Host(), pipelining=False)
    kept = {"_ansible_parsed": True, "warnings": [object()]}
    monkeypatch.setattr(ActionBase, "_execute_module", lambda _self, **_given: {**EVIL, **kept, "stdout_lines": ["x"]})
    assert made._execute_module() == {"changed": False, "releases": [], **kept}


@pytest.mark.parametrize(
    ("out", "why"),
    [
        ('{"changed": false, "releases": "x"}', "slipway.kit.releases is no answer of that module: `releases` is 'x' and not a list. Nothing"),
        ('{"a": ' * 100_000, "it is nested too deeply"),
    ],
)  # fmt: skip
def test_an_answer_that_does_not_fit_fails_the_host(monkeypatch: pytest.MonkeyPatch, out: str, why: str) -> None:
    with pytest.raises(AnsibleActionFail) as caught:
        action(monkeypatch, Host((0, out, "")))._execute_module()
    assert why in str(caught.value)


def low_level(monkeypatch: pytest.MonkeyPatch, execute: Any) -> Any:
    made = action(monkeypatch, Host())
    monkeypatch.delattr(made, "_low_level_execute_command")
    monkeypatch.setattr(ActionBase, "_low_level_execute_command", lambda _self, _command: execute())
    return made._low_level_execute_command


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_an_answer_that_is_too_large_fails_the_host(monkeypatch: pytest.MonkeyPatch, stream: str) -> None:
    answer = {"rc": 0, "stdout": "", "stderr": "", stream: "x" * (answers.LIMIT + 1)}
    with pytest.raises(AnsibleActionFail, match="it is larger than 8 MiB"):
        low_level(monkeypatch, lambda: answer)("command")


def test_a_connection_that_keeps_all_that_a_host_says_runs_out_of_room() -> None:
    """In a separate process, as Ansible forks one: the limit is that of a process."""
    script = f"""
import resource, sys
sys.path[:0] = [{str(resident.PLUGINS.parents[0] / "collections")!r}]
from ansible_collections.slipway.kit.plugins.action.resident import ROOM, bounded
before = resource.getrlimit(resource.RLIMIT_DATA)
try:
    with bounded():
        said = b""
        while len(said) < 1 << 30:
            said += bytes(8 << 20)
except MemoryError:
    print(len(said) < ROOM, resource.getrlimit(resource.RLIMIT_DATA) == before)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.stdout == "True True\n", result.stderr


def test_a_host_that_runs_out_of_room_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Any:
        raise MemoryError

    with pytest.raises(AnsibleActionFail, match="it is larger than 8 MiB"):
        low_level(monkeypatch, fail)("command")
    assert action_module.ROOM > 4 * answers.LIMIT
