"""The variables of `-e`, with a command or a pattern as the user wrote it.

Ansible splits `-e command='flask db current'` at its spaces: `command` would be `flask`. So such a text is read from the option
itself, which the shell has passed as one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from ansible import context
from ansible.errors import AnsibleError
from ansible.parsing.splitter import parse_kv
from ansible.utils.vars import load_extra_vars

COMMAND, GREP = "command", "grep"
WHOLE = (COMMAND, GREP)
"""The variables that may have spaces."""


def variables(loader: Any) -> dict[str, Any]:
    """The variables, without those that Ansible reads from the words of a command."""
    given = dict(load_extra_vars(loader))
    for name in WHOLE:
        if (text := written(name)) is not None:
            for word in _words(name, text):
                given.pop(word, None)
            given[name] = text
    return given


def written(name: str) -> str | None:
    """The text of the last option that gives the variable; None where the variable is given in another way."""
    prefix = f"{name}="
    options = [str(option) for option in context.CLIARGS.get("extra_vars") or ()]
    texts = [option.strip().removeprefix(prefix) for option in options if option.strip().startswith(prefix)]
    if not texts:
        return None
    text = texts[-1]
    # The user has quoted it once more.
    quoted = len(text) > 1 and text[0] in "'\"" and text[-1] == text[0] and text.count(text[0]) == 2
    return text[1:-1] if quoted else text


def swallowed(known: Collection[str]) -> Iterator[tuple[str, str]]:
    """Each `name=value` in a text that Ansible reads as one of the `known` variables, after the variable of the text."""
    for name in WHOLE:
        if (text := written(name)) is not None:
            yield from ((name, f"{word}={value}") for word, value in _words(name, text).items() if word in known)


def _words(name: str, text: str) -> dict[str, Any]:
    try:
        parsed = parse_kv(f"{name}={text}")
    except AnsibleError:  # a quote without its end: the check of the variable names it
        return {}
    return {word: value for word, value in parsed.items() if word != name}
