"""Keeps secrets out of what is reported."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable

LOOKED_AT = 2048
"""Characters of a value that are looked at for what a secret looks like: the pattern takes time by the square of them."""

SHORTEST = 6
"""Characters from which on a secret is hidden. The probe runs without the rest of the kit: a test compares it with the contract's."""


def option(arguments: list[str], name: str) -> str:
    """Return the value of an option of the command line."""
    return arguments[arguments.index(name) + 1] if name in arguments[:-1] else ""


def _secrets(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return (value, name) of the environment values that no message may repeat, the longest first.

    Exceptions quote connection strings and keys, and the answer goes into logs. NAMES are the app's secrets. Of the other
    variables those count whose name or value says that it is one; all else stays readable, a path above all.
    """
    named = set(names)
    sure = re.compile(r"SECRET|TOKEN|KEY|PASS|PWD", re.IGNORECASE)
    likely = re.compile(r"DSN|CREDENTIAL|AUTH", re.IGNORECASE)
    plain = re.compile(r"[A-Za-z_][A-Za-z_.:\-]*|[\d.:]+|/[\w./\-]*")
    # A password in a URL; and what looks generated.
    within = re.compile(r"\w://[^/@]*:.+@|\A(?=.*\d)(?=.*[A-Za-z])[\w+/=-]{20,}\Z", re.DOTALL)
    base = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "VIRTUAL_ENV", "NOTIFY_SOCKET", "PWD", "OLDPWD"}
    forms = []
    for name, value in os.environ.items():
        if name in base or len(value) < SHORTEST or (name.startswith("SLIPWAY_") and name not in named):
            continue
        by_name = (
            sure.search(name)
            or (likely.search(name) and not plain.fullmatch(value))
            or within.search(value[:LOOKED_AT])
        )
        if name in named or by_name:
            forms += [(form, name) for form in {value, repr(value)[1:-1], value.strip()} if len(form) >= SHORTEST]
    return sorted(forms, key=lambda pair: -len(pair[0]))


SECRETS = _secrets(option(sys.argv, "--secrets").split(","))  # before the app can change its environment


def masked(text: str) -> str:
    """Put `$NAME` for every secret value of the environment. Before a text is cut, or half a secret is left."""
    for value, name in SECRETS:
        text = text.replace(value, f"${name}")
    return text
