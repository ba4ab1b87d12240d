"""`nginx_extra` stays inside its app's location: real nginx is the judge, and the early check agrees with it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.model import checks
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.render.conftest import nginx_below, program

LEAVES = {
    "a brace": "} location /pwn { return 200;",
    "no space of nginx's": 'set $a x\u00a0"}; } location /pwn { return 200 "y";',
    "another one": 'set $a x\u2003"}; } location /pwn { return 200 "y";',
    "a vertical tab": 'set $a x\x0b"}; } location /pwn { return 200 "y";',
    "a quote inside of a word": 'set $a x"; } location /pwn { set $a "y";',
    "a comment's end": "# {\n} location /pwn { return 200;",
    "a hash inside of a word": "set $a x#; } location /pwn { return 200 y;#",
    "a continued line": "set $a \\\n; } location /pwn { return 200;",
    "an escaped quote": 'set $a "\\\\"; } location /pwn { set $a "\\\\";',
    "a variable's brace": "set $a ${; } location /pwn { return 200;",
    "a variable's braces": "set $a ${{; } location /pwn { return 200;",
    "a brace behind a parenthesis": 'if ($a = "x"){} } location /pwn { return 200;',
    "a server": "} } server { listen 127.0.0.1:18081; location / { return 200;",
    "no end": "if ($a) {",
    "no end of a quote": "add_header A 'b;",
    "a half word": "add_header A b",
}
FINE = {
    "a block": "if ($arg_x) { return 403; }",
    "a comment with an apostrophe": "# don't } {",
    "a comment at the end": "add_header A b; # }",
    "a variable": "set $a ${host}b;",
    "a quoted brace": 'add_header A "} location /pwn {";',
    "an escaped space": "add_header A b\\ c;",
    "a continued value": 'add_header A "b\nc";',
    "no space of nginx's": "set $a x\u00a0y;",
    "a quote inside of a word": "set $a x'y;",
    "a hash inside of a word": "set $a x#y;",
    "a pattern": 'if ($uri ~ "^/x{2,3}[}]$") { return 404; }',
}


@pytest.fixture(scope="module")
def top() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="e", dir="/tmp") as folder:
        yield Path(folder)


def judged(top: Path, extra: str) -> subprocess.CompletedProcess[str]:
    """What nginx says about an app's file with this in it, whatever the check says."""
    shutil.rmtree(top / "etc", ignore_errors=True)
    entry = {"module": "web:app", "source": {"path": "."}, "domains": ["shop.test"], "nginx_extra": extra}
    command = nginx_below(top, {"apps": {"shop": entry}, "nginx_http_port": 18080})
    return subprocess.run([*command, "-t"], capture_output=True, text=True, errors="replace", timeout=20, check=False)


@pytest.mark.parametrize("name", LEAVES)
def test_nothing_leaves_its_location(top: Path, name: str) -> None:
    """Refused at once, and by nginx if the check had missed it."""
    result = judged(top, LEAVES[name])
    assert result.returncode != 0, result.stderr
    assert f"in {top}/etc/nginx/slipway/shop.extra.conf:" in result.stderr, result.stderr
    assert checks.nginx_extra(LEAVES[name])


@pytest.mark.parametrize("name", FINE)
def test_what_is_fine_is_accepted(top: Path, name: str) -> None:
    result = judged(top, FINE[name])
    assert result.returncode == 0, result.stderr
    assert checks.nginx_extra(FINE[name]) is None


@pytest.mark.parametrize("text", ["set $a \0;", "set $a b;\r\n", "set $a \x1b;"])
def test_control_characters_are_refused(text: str) -> None:
    assert "control characters" in (checks.nginx_extra(text) or "")


def test_lua_is_read_by_nginx_alone() -> None:
    """Its blocks follow Lua's rules: a brace in a string, a line without a semicolon."""
    assert checks.nginx_extra('content_by_lua_block {\n    ngx.say("}")\n    local a = {}\n}\n') is None


@pytest.fixture(scope="module")
def bare() -> Iterator[Path]:
    """A configuration that includes the file `extra` in a location."""
    with tempfile.TemporaryDirectory(prefix="b", dir="/tmp") as folder:
        here = Path(folder)
        (here / "nginx.conf").write_text(
            f"pid {here}/pid; error_log {here}/log; events {{}}\n"
            f"http {{ access_log off; server {{ listen 127.0.0.1:18080; location / {{ include {here}/extra; }} }} }}\n"
        )
        yield here


PIECES = st.sampled_from(
    [
        "set $a ", "set $b c;", "if ($a) ", "b", ";", ";\n", "{", "}", '"', "'", "#", "\n", " ", "\u00a0", "\\", "$", "${", "(", ")",
        " }", "{ ", "\u2028", "\x85", "return 200;", "é",
    ]
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(PIECES, max_size=12).map("".join))
@example("set $a ${{b;")
@example("set $a '\\'';")
@example('set $a "b")c;')
@example("set $a b\\")
@example("#\\\n}")
def test_the_check_and_nginx_agree(bare: Path, text: str) -> None:
    """nginx stops at the first fault of any kind; of structure it finds none that the check has not."""
    (bare / "extra").write_text(text, encoding="utf-8")
    result = subprocess.run(
        [program("nginx"), "-t", "-c", bare / "nginx.conf", "-e", bare / "log", "-p", bare],
        capture_output=True, text=True, errors="replace", timeout=20, check=False,
    )  # fmt: skip
    fault = checks.nginx_extra(text)
    if result.returncode == 0:
        assert fault is None, text
    elif fault is None:
        assert "unexpected" not in result.stderr, result.stderr
