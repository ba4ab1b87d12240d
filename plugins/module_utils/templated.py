"""Renders what the user wrote in an inventory, as plain values. What does not render is a fault that says what to write."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ansible.errors import AnsibleError, AnsibleUndefinedVariable

from . import generated
from .model.validation import Fault, secret

SYNTAX = "Syntax error in template"
"""How ansible-core's message begins about a text that no template can be made of."""
VERBATIM = "; correct the template, or write !unsafe before a text that is none"


def plain(
    value: Any,
    template: Callable[[Any], Any],
    path: tuple[Any, ...] = (),
    faults: list[Fault] | None = None,
    known: Collection[str] = (),
) -> Any:
    """`value` with every template in it rendered, as plain mappings, lists and scalars.

    A leaf that does not render raises, or becomes one of `faults` when such a list is given. The fault names the nearest of
    the `known` names.
    """
    if isinstance(value, str) or not isinstance(value, Mapping | list | tuple):
        try:
            rendered = template(value)
        except AnsibleError as exc:
            if faults is None:
                raise
            faults.append(Fault(path, _unrendered(exc, path, known)))
            return None
        if faults is not None and isinstance(value, str) and generated.named_by(value, rendered):
            faults.append(
                Fault(path, f"contains {generated.NOT_A_VALUE}; write that secret yourself, in ansible-vault")
            )
            return None
        if isinstance(rendered, Mapping | list | tuple):  # a whole mapping out of one expression
            return plain(rendered, template, path, faults, known)
        return rendered
    if isinstance(value, Mapping):
        return {key: plain(item, template, (*path, key), faults, known) for key, item in value.items()}
    return [plain(item, template, (*path, number), faults, known) for number, item in enumerate(value)]


def names(variables: Mapping[str, Any]) -> set[str]:
    """The names that a template of the inventory may use: of variables, and of secrets and the like in an app's entry."""
    known: set[str] = set(map(str, variables))
    for apps in (variables.get("apps"), variables.get("vault_apps")):
        for entry in apps.values() if isinstance(apps, Mapping) else ():
            for key, value in entry.items() if isinstance(entry, Mapping) else ():
                known.update(map(str, [key, *value] if isinstance(value, Mapping) else [key]))
    return known


def _unrendered(exc: AnsibleError, path: tuple[Any, ...], known: Collection[str]) -> str:
    """Why a value does not render; of a secret only where it is sure that the reason does not quote it."""
    if isinstance(exc, AnsibleUndefinedVariable):
        if exc.message == "'secrets' is undefined":
            return (
                f"does not render: {exc.message}, since only templates of `files` have it; write the secret's variable"
            )
        return f"does not render: {exc.message}{nearest(exc.message, known) or '; define it in the inventory, or correct its name'}"
    if "decrypt" in exc.message:
        return "cannot be decrypted; give the vault's password with --ask-vault-pass or --vault-password-file"
    hint = VERBATIM if exc.message.startswith(SYNTAX) else ""
    return f"does not render{'' if secret(path) else f': {exc.message}'.rstrip('.')}{hint}"


def nearest(message: str, known: Collection[str]) -> str:
    """`; did you mean X?` for the name that a message about an undefined one quotes last; empty where none is near."""
    words = re.findall(r"'([A-Za-z_]\w*)'", message)
    near = difflib.get_close_matches(words[-1], sorted(known), n=1, cutoff=0.8) if words else []
    return f"; did you mean {near[0]}?" if near else ""
