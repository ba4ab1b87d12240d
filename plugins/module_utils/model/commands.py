"""Commands as users write them: which words they are, and what in them only a shell would understand.

No shell reads a command of the kit. A command that a user writes for a shell would not fail, but get arguments: `migrate &&
seed` runs the first with two words more. So a text with a shell's characters is refused, and the message says how to write it.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

from .spelling import as_yaml

Command = tuple[str, ...]
"""A program and its arguments."""

_OPERATOR = re.compile(r"&&|\|\||[0-9]?>>|[0-9]?>&|<<|[0-9]?[<>]|[|&;()]")
_VARIABLE = re.compile(r"\$(?:\(|\{|[A-Za-z_][A-Za-z0-9_]*|[@*#?!0-9])")
_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


def parse(value: Any) -> tuple[Command, ...]:
    """The commands of a checked value: a text, a list of words, or a list of commands (see `several`)."""
    if isinstance(value, str):
        return (tuple(shlex.split(value)),)
    if several(value):
        return tuple(parse(item)[0] for item in value)
    return (tuple(value),)


def several(value: Any) -> bool:
    """Whether a list has commands, not one command's words: no program has a space in its name, and no word is a list."""
    first = value[0] if value else ""
    return not isinstance(first, str) or len(first.split()) > 1


def fault(value: Any, single: bool = False, variable: str = "") -> str | None:
    """What is wrong with a text, a list of words or a list of commands; None when it can be run.

    Args:
        value: the text or the list.
        single: whether several commands are not possible here.
        variable: the variable of `-e` that has the value; empty for a key.
    """
    if isinstance(value, str):
        return _text(value, single, variable)
    if not value:
        return "must be a command and its arguments"
    if not several(value):
        return None if all(map(_word, value)) and value[0].strip() else "must be a command and its arguments"
    for item in value:
        if not isinstance(item, str | list | tuple) or (not isinstance(item, str) and several(item)):
            return f"item {as_yaml(item)} must be a command: a text, or a list of its words"
        if problem := fault(item):
            return f"item {as_yaml(item)} {problem}"
    return None


def _word(word: Any) -> bool:
    return isinstance(word, str) and "\0" not in word


def _text(text: str, single: bool, variable: str) -> str | None:
    if "\0" in text:
        return "must be a command and its arguments"
    if variable and re.match(r"\s*\[\S", text):  # `[` is a program, too
        return f"is a list in a text: write {_given(variable, '…', '…')}"
    if problem := shell(text, single, variable):
        return problem
    try:
        return None if "".join(shlex.split(text)[:1]).strip() else "must be a command and its arguments"
    except ValueError as exc:
        return f"is no command: {exc}"


def shell(text: str, single: bool = False, variable: str = "") -> str | None:
    """What of a command's text only a shell would understand, and how to write it instead; None when there is nothing."""
    begin = re.match(r"\s*(\S+)", text)
    if begin and _SETTING.match(begin[1]):
        words = _given(variable, "env", begin[1], "…") if variable else f'[env, "{begin[1]}", …]'
        return f"sets {begin[1].partition('=')[0]} in front of a command, as a shell does: write it in `environment`, or use {words}"
    quote, at, text = "", 0, text.strip()
    while at < len(text):
        here = text[at]
        if quote == "'":
            quote = "" if here == quote else quote
        elif here == "\\" and at + 1 < len(text) and text[at + 1] != "\n":
            at += 1
        elif here == "`" or _VARIABLE.match(text, at):
            name = "`" if here == "`" else _VARIABLE.match(text, at)[0]  # type: ignore[index]
            return _refusal(name, single, variable)
        elif here == '"':
            quote = "" if quote else here
        elif quote:
            pass
        elif here == "'":
            quote = here
        elif here in "\\\n":
            return f"has more than one line: write {'' if single else 'a list of commands, one item each, or '}one line"
        elif operator := _OPERATOR.match(text, at):
            return _refusal(operator[0], single, variable)
        elif here == "*" or (here in "#~" and (at == 0 or text[at - 1].isspace())):
            return _refusal(here, single, variable)
        at += 1
    return None


def _given(variable: str, *words: str) -> str:
    """How to give a list of words by a variable of `-e`: Ansible reads only JSON as a list there."""
    return f"-e {shlex.quote(json.dumps({variable: words}, ensure_ascii=False))}"


def _refusal(mark: str, single: bool, variable: str) -> str:
    remedy = f"use {_given(variable, 'sh', '-c', '…')}" if variable else 'use [sh, -c, "…"]'
    if mark in ("&&", ";", "&", "||") and not single:
        remedy = 'write a list of commands, such as ["python a.py", "python b.py"], or [sh, -c, "…"]'
    return f"has {as_yaml(mark)}, which only a shell understands, and none reads it: {remedy}; to pass it unchanged, put it in quotes"
