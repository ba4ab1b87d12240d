"""What this host remembers of each app: the inventory of its last deploy, or the one that set it up.

And the settings of the host that each inventory applied last. They are in the same file, under a key that no app can have.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ...contract import names, origins
from ...contract.errors import HostError
from ..base import atomic

PATH = names.ORIGINS
APPLIED = "@applied"
"""The key of the settings; an older kit's file lacks it."""
DAMAGED = (
    "{} is damaged ({}). It says which inventory each app of this host belongs to. Restore it, or remove it: then each app "
    "belongs to the inventory that deploys it next"
)


def known(path: str = PATH) -> dict[str, str]:
    """Return the name of each app's inventory. Raises HostError as `_read` does."""
    return _owners(_read(path))


def applied(path: str = PATH) -> dict[str, dict[str, str]]:
    """Return the settings that each inventory applied last: their names, each with a value in JSON. Raises HostError."""
    return _applied(_read(path))


def _read(path: str) -> dict[str, Any]:
    """Read the file.

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
    return data


def _owners(data: Mapping[str, Any]) -> dict[str, str]:
    return {app: origin for app, origin in data.items() if isinstance(origin, str)}


def _applied(data: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    every = data.get(APPLIED)
    return {
        inventory: {name: value for name, value in settings.items() if isinstance(value, str)}
        for inventory, settings in (every.items() if isinstance(every, dict) else ())
        if isinstance(settings, dict)
    }


def _write(path: str, owners: Mapping[str, str], settings: Mapping[str, Mapping[str, str]]) -> None:
    """Write the file if it changes. Settings of an inventory without an app are forgotten."""
    before = _read(path)
    kept = {inventory: values for inventory, values in settings.items() if values and inventory in owners.values()}
    after = {**owners, **({APPLIED: kept} if kept else {})}
    if after != before:
        atomic.write_json(path, after)


def note(apps: Iterable[str], inventory: str, path: str = PATH) -> None:
    """Remember that these apps were deployed from an inventory. They belong to none if that has no name."""
    before = _read(path)
    after = {app: owner for app, owner in {**_owners(before), **dict.fromkeys(apps, inventory)}.items() if owner}
    _write(path, after, _applied(before))


def claim(apps: Iterable[str], inventory: str, path: str = PATH) -> None:
    """Remember the inventory that sets up these apps. Those of another one stay its own."""
    note(set(apps) - known(path).keys(), inventory, path)


def forget(app: str, path: str = PATH) -> None:
    """Forget an app that is removed."""
    before = _read(path)
    after = _owners(before)
    if after.pop(app, None) is not None:
        _write(path, after, _applied(before))


def apply(inventory: str, settings: Mapping[str, str], path: str = PATH) -> None:
    """Remember the settings that an inventory applies to the host.

    Where another one has applied a different value, that is no longer the host's, and so it is forgotten. An empty value means that
    the inventory has no use for the setting.
    """
    before = _read(path)
    after = {
        other: {name: value for name, value in values.items() if settings.get(name) in (None, "", value)}
        for other, values in _applied(before).items()
        if other != inventory
    }
    values = {**_applied(before).get(inventory, {}), **settings}
    after[inventory] = {name: value for name, value in values.items() if value}
    _write(path, _owners(before), after)


def check(app: str, inventory: str, path: str = PATH) -> None:
    """Refuse an app of another inventory.

    Raises:
        HostError: it belongs to another one.
    """
    if why := origins.refusal({app: known(path).get(app, "")}, inventory):
        raise HostError(why)
