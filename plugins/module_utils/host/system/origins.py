"""What this host remembers of each app: the inventory of its last deploy, or the one that set it up."""

from __future__ import annotations

import json
from collections.abc import Iterable

from ...contract import names, origins
from ...contract.errors import HostError
from ..base import atomic

PATH = names.ORIGINS
DAMAGED = (
    "{} is damaged ({}). It says which inventory each app of this host belongs to. Restore it, or remove it: then each app "
    "belongs to the inventory that deploys it next"
)


def known(path: str = PATH) -> dict[str, str]:
    """Return the name of each app's inventory.

    Raises:
        HostError: the file cannot be read. Who belongs where is not known then, and no run may guess.
    """
    try:
        with open(path, encoding="utf-8") as handle:
            data = json.load(handle)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise HostError(DAMAGED.format(path, error)) from error
    if not isinstance(data, dict):
        raise HostError(DAMAGED.format(path, "no JSON object"))
    return {app: origin for app, origin in data.items() if isinstance(origin, str)}


def note(apps: Iterable[str], inventory: str, path: str = PATH) -> None:
    """Remember that these apps were deployed from an inventory. They belong to none if that has no name."""
    before = known(path)
    after = {app: owner for app, owner in {**before, **dict.fromkeys(apps, inventory)}.items() if owner}
    if after != before:
        atomic.write_json(path, after)


def claim(apps: Iterable[str], inventory: str, path: str = PATH) -> None:
    """Remember the inventory that sets up these apps. Those of another one stay its own."""
    note(set(apps) - known(path).keys(), inventory, path)


def forget(app: str, path: str = PATH) -> None:
    """Forget an app that is removed."""
    before = known(path)
    if before.pop(app, None) is not None:
        atomic.write_json(path, before)


def check(app: str, inventory: str, path: str = PATH) -> None:
    """Refuse an app of another inventory.

    Raises:
        HostError: it belongs to another one.
    """
    if why := origins.refusal({app: known(path).get(app, "")}, inventory):
        raise HostError(why)
