"""Checks a host's answer against the contract of the module that was called.

A host is untrusted: an attacker on it decides what its Python answers. So only the keys in `GENERAL` and the module's
`RESULT` (next to its `SPEC`) are accepted, and each value must fit. A contract is plain data:

- a word of `KINDS`: a value of that kind;
- `[contract]`: a list of such values;
- `{"key": contract, ...}`: a mapping with these keys. `key?` may be missing or null, and is null then;
- `{"<kind>": contract}`: a mapping whose keys are of that kind.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from .contract import names
from .host.system.installed import ENTRIES
from .terminal import visible

LIMIT = 8 << 20
"""Most bytes of an answer. Facts of a host with 100 apps take 200 kB; `--diff` adds all files of a set."""

LINE, TEXT = 4096, 1 << 20
"""Most characters of a line, such as a path (PATH_MAX), and of a longer text."""

SHOWN = 60
"""Most characters of a wrong value in a message."""

Contract = Any
"""See above. mypy has no recursive type for such a plain literal."""


class Unfit(Exception):
    """An answer that no module of the kit gives. The text names the key and its fault."""


def _pattern(what: str, pattern: str, longest: int = LINE) -> tuple[str, Callable[[Any], Any]]:
    compiled = re.compile(pattern)

    def take(value: Any) -> Any:
        if not isinstance(value, str) or len(value) > longest or not compiled.fullmatch(value):
            raise ValueError
        return value

    return what, take


def _shown(what: str, longest: int, lines: bool) -> tuple[str, Callable[[Any], Any]]:
    def take(value: Any) -> Any:
        if not isinstance(value, str) or len(value) > longest:
            raise ValueError
        return visible(value) if lines else visible(value).replace("\n", "\\n").replace("\t", "\\t")

    return what, take


def _integer(what: str, lowest: int) -> tuple[str, Callable[[Any], Any]]:
    def take(value: Any) -> Any:
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value < 1 << 53:
            raise ValueError
        return value

    return what, take


def _bool(value: Any) -> Any:
    if not isinstance(value, bool):
        raise ValueError
    return value


KINDS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "bool": ("true or false", _bool),
    "int": _integer("a whole number", -(1 << 53)),
    "count": _integer("a whole number that is not negative", 0),
    # These become part of files, commands and paths. No such value can end a directive, a line or a word there.
    "app": _pattern("an app's name", names.APP.pattern),
    "release": _pattern("a release's id", names.RELEASE.pattern, 100),
    "account": _pattern("the name of a user or group", r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?", 32),
    "word": _pattern("a word of letters, digits and ._:+~@-", r"([A-Za-z0-9_][A-Za-z0-9._:+~@-]*)?", 200),
    "package": _pattern("a package's name", r"[A-Za-z0-9/][A-Za-z0-9._:+~@()/-]*", 200),
    "path": _pattern("an absolute path without quotes, backslashes and ;{}$#", r"""/[^\x00-\x1f\x7f-\x9f"'\\;{}$#]*"""),
    # A whole file, which goes back to the same host unchanged.
    "file": _pattern("a text without control characters", r"[^\x00-\x08\x0e-\x1f\x7f]*", TEXT),
    # Texts for people.
    "line": _shown(f"a text of at most {LINE} characters", LINE, lines=False),
    "text": _shown(f"a text of at most {TEXT} characters", TEXT, lines=True),
}
"""The kinds of single values: each in words, with the function that accepts it or raises ValueError."""

_DIFF = {"before?": "text", "after?": "text", "before_header?": "line", "after_header?": "line", "prepared?": "text"}

GENERAL: Mapping[str, Contract] = {
    "changed?": "bool",
    "failed?": "bool",
    "skipped?": "bool",
    "msg?": "text",
    "rc?": "int",
    "stdout?": "text",
    "stderr?": "text",
    "module_stdout?": "text",
    "module_stderr?": "text",
    "exception?": "text",
    "warnings?": ["text"],
    "failures?": [
        {"app": "line", "release": "line", "reason": "text", "hint": "text", "log": ["text"], "source?": "line"}
    ],
}
"""The fields that every module may return, besides `diff`."""


def parse(line: str) -> dict[str, Any]:
    """Read an answer, which is one line of JSON.

    Raises:
        Unfit: It is not a mapping in valid JSON.
    """

    def refuse(name: str) -> NoReturn:
        raise ValueError(name)

    try:
        answer = json.loads(line, parse_constant=refuse)
    except RecursionError:
        raise Unfit("it is nested too deeply") from None
    except MemoryError:
        raise Unfit("it takes too much memory") from None
    except ValueError:
        raise Unfit("it is not valid JSON") from None
    if not isinstance(answer, dict):
        raise Unfit("it is not a mapping")
    return answer


def accept(contract: Mapping[str, Contract], answer: Mapping[str, Any]) -> dict[str, Any]:
    """Select the keys of an answer that the contract names, and check their values.

    If the answer reports that the module failed or was skipped, all other keys may be missing.

    Raises:
        Unfit: A key is missing, or its value does not fit.
    """
    given = dict(answer)
    taken = {key: value for key, value in _mapping(GENERAL, given, "").items() if key in given}
    if diff := given.get("diff"):
        taken["diff"] = _value([_DIFF], diff if isinstance(diff, list) else [diff], "diff")
        for one in taken["diff"]:
            for key in [key for key, text in one.items() if text is None]:
                del one[key]  # Ansible chooses a diff's format by its keys
    if taken.get("failed") or taken.get("skipped"):
        contract = {f"{key.removesuffix('?')}?": inner for key, inner in contract.items()}
    results = _mapping(contract, given, "")
    return {**taken, **{key: value for key, value in results.items() if key in given}}


def _value(contract: Contract, value: Any, at: str) -> Any:
    if isinstance(contract, str):
        what, take = KINDS[contract]
        try:
            return take(value)
        except ValueError:
            raise Unfit(f"`{at}` is {_quoted(value)} and not {what}") from None
    if isinstance(contract, list):
        if not isinstance(value, list):
            raise Unfit(f"`{at}` is {_quoted(value)} and not a list")
        _few(value, at)
        return [_value(contract[0], item, f"{at}[{number}]") for number, item in enumerate(value)]
    if not isinstance(value, dict):
        raise Unfit(f"`{at}` is {_quoted(value)} and not a mapping")
    return _mapping(contract, value, at)


def _mapping(contract: Mapping[str, Contract], value: Mapping[str, Any], at: str) -> dict[str, Any]:
    prefix = f"{at}." if at else ""
    first = next(iter(contract), "")
    if first.startswith("<"):
        _few(value, at)
        return {
            _value(first[1:-1], key, f"{at} (a key)"): _value(contract[first], item, f"{prefix}{_name(key)}")
            for key, item in value.items()
        }
    made = {}
    for name, inner in contract.items():
        key = name.removesuffix("?")
        if value.get(key) is not None:
            made[key] = _value(inner, value[key], f"{prefix}{key}")
        elif name == key:
            raise Unfit(f"`{prefix}{key}` is missing")
        else:
            made[key] = None
    return made


def _few(value: Any, at: str) -> None:
    if len(value) > ENTRIES:
        raise Unfit(f"`{at}` has {len(value)} entries, more than {ENTRIES}")


def _name(key: Any) -> str:
    return visible(str(key))[:SHOWN].replace("\n", "\\n")


def _quoted(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return visible(ascii(value) if not isinstance(value, str) else repr(value[: SHOWN * 2]))[:SHOWN]
