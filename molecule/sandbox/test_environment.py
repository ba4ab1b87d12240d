"""Thousands of values of any content reach every process of an app to the byte, under both process managers.

Of any text, that is: Ansible itself takes no bytes that are not UTF-8. The launcher does (tests/unit/module_utils/programs/test_launcher.py).
"""

from __future__ import annotations

import base64
import json
import os
import random
import time
from pathlib import Path

from sandbox import HOSTS, play, python, within

COUNT = 3000
"""Variables of one deploy; more would not fit into what the kernel passes on to a process, with the long ones."""
SEED = int(os.environ.get("SLIPWAY_SEED") or time.time())

PIECES = [
    *" \t\n\r\"'`$%\\#;,=&|<>()[]{}!*?~^@:/.-+_aZ09", "\x01", "\x1b", "\x7f", "\x85", "\u2028", "\ufeff", "é", "日本", "🚢",
    "%(ENV_PATH)s", "%n", "%%", "%h", "${HOME}", "$HOME", "$$", "$(id)", "`id`", "{{ 7 * 7 }}", "{% raw %}", "{#", "\\n", "\\\\", "\\x41", "\r\n",
    '"""', "'''", "<%", "!vault |", "!unsafe ", "null", "true", "1e3", "0x1F", "---\n", "- ", "a: b", "\\\n", "[program:x]\n", "\nUser=root\n",
]  # fmt: skip
LONG = ("x" * 100_000, "日" * 33_000, '"\\%$#' * 20_000)
PROBES = ("", " ", "  both ends  ", "\n", "a\n", "\n\nb", "\t", "-----BEGIN KEY-----\nab+/=\n-----END KEY-----\n")


def generated(seed: int) -> dict[str, str]:
    """Names and values, of every kind."""
    chance = random.Random(seed)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
    values = {f"PROBE_{number}": value for number, value in enumerate((*PROBES, *LONG, *PIECES))}
    while len(values) < COUNT:
        name = chance.choice(letters) + "".join(chance.choices(letters + "0123456789", k=chance.randint(5, 40)))
        values[name] = "".join(chance.choices(PIECES, k=min(200, int(chance.expovariate(0.12)))))
    return values


DUMP = "import base64, json, os; print(json.dumps({os.fsdecode(k): base64.b64encode(v).decode() for k, v in os.environb.items()}))"
HOOK = "import base64, json, os; json.dump({os.fsdecode(k): base64.b64encode(v).decode() for k, v in os.environb.items()}, open(os.environ['SLIPWAY_SHARED'] + '/hook.json', 'w'))"
ASK = """
import http.client
connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=30)
connection.request("GET", "/environ", headers={"Host": "keeper.test"})
print(connection.getresponse().read().decode())
"""
RUN = "cd /srv/keeper/current && ./exec --user keeper --venv $PWD/venv environment.json -- python3 -c '%s'"


def test_every_value_arrives_to_the_byte(tmp_path: Path) -> None:
    values = generated(SEED)
    (tmp_path / "values.json").write_text(json.dumps(values))
    completed = play(
        "deploy",
        app="keeper",
        values=str(tmp_path / "values.json"),
        hooks={"before_activate": {"command": ["python3", "-c", HOOK]}},
    )
    assert completed.returncode == 0, completed.stdout
    wanted = {name: value.encode("utf-8", "surrogateescape") for name, value in values.items()}
    for host in HOSTS:
        for who, answers in (
            ("gunicorn", python(host, ASK)),
            ("a hook", json.loads(within(host, "cat", "/srv/keeper/shared/hook.json"))),
            ("a one-off command", json.loads(within(host, "sh", "-c", RUN % DUMP))),
        ):
            arrived = {name: base64.b64decode(answers[name]) for name in wanted if name in answers}
            wrong = [name for name in wanted if arrived.get(name) != wanted[name]]
            assert not wrong, f"SLIPWAY_SEED={SEED}: {who} on {host}: {len(wrong)} differ, such as " + "; ".join(
                f"{name}: {wanted[name][:80]!r} became {arrived.get(name, b'nothing')[:80]!r}" for name in wrong[:3]
            )
