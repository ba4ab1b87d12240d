"""Commands: single ones, lists of them, and text that only a shell would understand."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.model import checks, commands


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("python manage.py migrate --noinput", [("python", "manage.py", "migrate", "--noinput")]),
        ("""python -c 'a && b; c > d $HOME * `x`'""", [("python", "-c", "a && b; c > d $HOME * `x`")]),
        (r"python a\;b \$HOME x\ y", [("python", "a;b", "$HOME", "x y")]),
        ('say "a && b" "c;d"', [("say", "a && b", "c;d")]),
        ("flask --app web:create_app('x') db", None),
        ("flask --app \"web:create_app('x')\" db", [("flask", "--app", "web:create_app('x')", "db")]),
        ("pip install requests[socks] a?b {x,y} --set=a=b c#d e~f", [("pip", "install", "requests[socks]", "a?b", "{x,y}", "--set=a=b", "c#d", "e~f")]),
        ("cost 5$ $", [("cost", "5$", "$")]),
        (["sh", "-c", "a && b"], [("sh", "-c", "a && b")]),
        (["python", "a b.py"], [("python", "a b.py")]),
        (["python a.py", "./b"], [("python", "a.py"), ("./b",)]),
        ([["./a"], ["./b", "c d"]], [("./a",), ("./b", "c d")]),
        (["python a.py", ["sh", "-c", "x; y"]], [("python", "a.py"), ("sh", "-c", "x; y")]),
        (["true"], [("true",)]),
    ],
)  # fmt: skip
def test_what_the_commands_are(value: Any, wanted: list[tuple[str, ...]] | None) -> None:
    if wanted is None:
        assert commands.fault(value)
    else:
        assert commands.fault(value) is None
        assert list(commands.parse(value)) == wanted


LIST, SHELL = "write a list of commands", "[sh, -c,"


@pytest.mark.parametrize(
    ("text", "mark", "remedy"),
    [
        ("python migrate.py && python seed.py", "'&&'", LIST),
        ("a||b", "'||'", LIST),
        ("a; b", "';'", LIST),
        ("a &", "'&'", LIST),
        ("a | b", "'|'", SHELL),
        ("a > b", "'>'", SHELL),
        ("a 2>&1", "'2>&'", SHELL),
        ("a >> b", "'>>'", SHELL),
        ("a < b", "'<'", SHELL),
        ("a << b", "'<<'", SHELL),
        ("(a)", "'('", SHELL),
        ("a $(b)", "'$('", SHELL),
        ('a "$(b)"', "'$('", SHELL),
        ("a `b`", "'`'", SHELL),
        ('a "`b`"', "'`'", SHELL),
        ("a $HOME", "'$HOME'", SHELL),
        ("a ${HOME}", "'${'", SHELL),
        ('a "$HOME"', "'$HOME'", SHELL),
        ("a *.py", "'*'", SHELL),
        ("~/bin/a", "'~'", SHELL),
        ("a # b", "'#'", SHELL),
        ("a\nb", "more than one line", "list of commands"),
        ("a \\\n  b", "more than one line", "one line"),
        ("DEBUG=1 a", "sets DEBUG", "`environment`"),
        ("  DEBUG=1 A=2 a", "sets DEBUG", "[env,"),
        ("a 'b' && c", "'&&'", LIST),
        ("a \"b\" 'c' ; d", "';'", LIST),
        ("a \\\\&& c", "'&&'", LIST),
    ],
)
def test_what_only_a_shell_understands(text: str, mark: str, remedy: str) -> None:
    for value in (text, {"command": text}, [f"x {text}" if "sets" not in mark and mark != "'#'" else f"{text} y", "z"]):
        fault = checks.hook(value)
        assert fault is not None and mark in fault and remedy in fault


@pytest.mark.parametrize(
    "value", ["", "  ", [], [""], ["a", 1], ["a b", 1], ["a b", ""], [[]], [["a b", "c"]], [["a"], [["b"]]], ["a\0"], "a\0", "a 'b", [["a"], "b && c"], {"x": "y"}, {"command": "a", "tasks": "b"}]
)  # fmt: skip
def test_what_is_no_command(value: Any) -> None:
    assert checks.hook(value)


@pytest.mark.parametrize("empty", ["''", "'' x", '" "', [" "], ["", "x"], [["ls"], [" ", "x"]]])
def test_an_empty_program_is_refused(empty: object) -> None:
    assert "must be a command and its arguments" in str(commands.fault(empty))
