"""The variables of `-e`, with a command as the user wrote it.

Ansible splits `-e command='flask db current'` at its spaces: `command` would be `flask`. So the command is read from the
option itself, which the shell has passed as one text.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ansible import context
from ansible.parsing.splitter import parse_kv
from ansible.utils.vars import load_extra_vars

NAME = "command"


def variables(loader: Any) -> dict[str, Any]:
    """The variables, without those that Ansible reads from the words of the command."""
    given = dict(load_extra_vars(loader))
    if (text := written()) is not None:
        for name in _words(text):
            given.pop(name, None)
        given[NAME] = text
    return given


def written() -> str | None:
    """The command of the last `-e command=…`; None where it is given in another way."""
    prefix = f"{NAME}="
    options = [str(option) for option in context.CLIARGS.get("extra_vars") or ()]
    texts = [option.strip().removeprefix(prefix) for option in options if option.strip().startswith(prefix)]
    if not texts:
        return None
    text = texts[-1]
    # The user has quoted it once more.
    quoted = len(text) > 1 and text[0] in "'\"" and text[-1] == text[0] and text.count(text[0]) == 2
    return text[1:-1] if quoted else text


def swallowed(known: Collection[str]) -> str | None:
    """The first `name=value` in the command that Ansible reads as one of the `known` variables; None without one."""
    words = _words(text) if (text := written()) is not None else {}
    return next((f"{name}={value}" for name, value in words.items() if name in known), None)


def _words(text: str) -> dict[str, Any]:
    return {name: value for name, value in parse_kv(f"{NAME}={text}").items() if name != NAME}
