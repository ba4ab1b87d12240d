"""A host that says what it likes does nothing on the controller: its Python answers as an attacker would."""

from __future__ import annotations

import json
import re
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sandbox import SUPERVISOR, SYSTEMD, play, within

FOLDER = "/root/hostile"

PYTHON = r"""#!/usr/bin/python3 -ISu
import json, subprocess, sys
how = json.load(open("/root/hostile/how.json"))
data = sys.stdin.buffer.read()
done = subprocess.run(["/usr/bin/python3", *sys.argv[1:]], input=data, stdout=subprocess.PIPE)
asked = sys.argv[-1].endswith("run.py") and json.loads(data)["module"]
if asked not in how:
    sys.stdout.buffer.write(done.stdout)
    sys.exit(done.returncode)
how = how[asked]
if "flood" in how:
    print('{"changed": false, "msg": "', end="")
    for _number in range(1024):
        sys.stdout.write("x" * (1 << 20))
    print('"}')
elif "raw" in how:
    print(how["raw"])
else:
    answer = json.loads(done.stdout.splitlines()[-1])
    answer.update(how.get("keys", {}))
    for path, value in how.get("values", {}).items():
        at = answer
        *parts, last = path.split(".")
        if (parts or [last])[0] not in answer:  # the lock, given back
            continue
        for part in parts:
            at = at[part]
        at[last] = value
    print(json.dumps(answer))
"""


@pytest.fixture(autouse=True)
def python() -> Iterator[None]:
    within(SYSTEMD, "mkdir", "-p", FOLDER)
    within(SYSTEMD, "sh", "-c", f"cat > {FOLDER}/python3; chmod 755 {FOLDER}/python3", stdin=PYTHON)
    yield
    within(SYSTEMD, "rm", "-r", FOLDER)


def ask(playbook: str, *options: str, **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a playbook on the host while its Python answers the modules of `how` in another way."""
    within(SYSTEMD, "sh", "-c", f"cat > {FOLDER}/how.json", stdin=json.dumps(how))
    return play(playbook, "--limit", f"all:!{SUPERVISOR}", *options, ansible_python_interpreter=f"{FOLDER}/python3")


def test_a_host_that_answers_as_it_should_is_served() -> None:
    assert ask("releases").returncode == 0


@pytest.mark.parametrize("module", ["lock", "instance"])
def test_a_host_runs_no_command_here(tmp_path: Path, module: str) -> None:
    command = f"-o ProxyCommand='touch {tmp_path}/owned'"
    keys = {
        "add_host": {
            "host_name": "elsewhere",
            "groups": ["web"],
            "host_vars": {"ansible_connection": "ssh", "ansible_ssh_common_args": command},
        },
        "add_group": "elsewhere",
        "ansible_facts": {
            "ansible_connection": "local",
            "slipway_releases": [],
            "ansible_python_interpreter": "/nowhere",
        },
        "_ansible_delegated_vars": {"ansible_host": "elsewhere"},
    }
    completed = ask("deploy", "-e", "app=keeper", **{module: {"keys": keys}})
    assert not (tmp_path / "owned").exists(), completed.stdout
    assert "elsewhere" not in completed.stdout
    assert completed.returncode == 0, completed.stdout


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("facts.nginx.user", "www-data;\nload_module /tmp/x.so", r"`facts\.nginx\.user` is 'www-data;\\nload_module"),
        ("facts.pythons", {"/usr/bin/python3": "3.11; id"}, r"is '3\.11; id' and not a word"),
        ("facts.apps", {"../../x": {}}, r"`facts\.apps \(a key\)` is '\.\./\.\./x' and not an app's name"),
        ("facts.cores", "{{ lookup('pipe', 'id') }}", r"`facts\.cores` is .* and not a whole number"),
        ("facts", [], r"`facts` is a list and not a mapping"),
    ],
)  # fmt: skip
def test_facts_that_are_none_fail_the_host(path: str, value: Any, why: str) -> None:
    completed = ask("deploy", lock={"values": {path: value}})
    assert completed.returncode == 2, completed.stdout
    assert re.search(f"answers to slipway.kit.lock is no answer of that module: .*{why}", completed.stdout), (
        completed.stdout
    )
    assert "Traceback" not in completed.stdout


def test_a_gigabyte_of_text_takes_no_gigabyte_here() -> None:
    completed = ask("releases", releases={"flood": True})
    assert completed.returncode == 2, completed.stdout
    assert "wrote more than 64 MiB" in completed.stdout
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 400 << 10  # kB, of the largest process


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ('{"a": ' * 200_000, "it is nested too deeply"),
        ('{"changed": NaN}', "it is not valid JSON"),
        ('{"changed": false, "releases": "' + "x" * (9 << 20) + '"}', "it is larger than 8 MiB"),
    ],
    ids=["deep", "NaN", "large"],
)
def test_what_is_no_answer_fails_the_host(raw: str, why: str) -> None:
    completed = ask("releases", releases={"raw": raw})
    assert completed.returncode == 2, completed.stdout[-3000:]
    assert f"answers to slipway.kit.releases is no answer of that module: {why}" in completed.stdout
    assert "Traceback" not in completed.stdout


@pytest.mark.parametrize("options", [(), ("-vvv",)], ids=["quiet", "-vvv"])
def test_what_a_host_says_does_not_steer_the_terminal(options: tuple[str, ...]) -> None:
    steering = "\x1b]0;owned\x07\x1b[2J\u202e\u009b8m"
    completed = ask("releases", *options, releases={"keys": {"failed": True, "msg": steering, "warnings": [steering]}})
    assert completed.returncode == 2
    assert not set(completed.stdout) & {*map(chr, range(32)), *map(chr, range(127, 160)), "\u202e"} - {"\n", "\t"}
    assert "\\x1b]0;owned\\x07\\x1b[2J\\u202e\\x9b8m" in completed.stdout
