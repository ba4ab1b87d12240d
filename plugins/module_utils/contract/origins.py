"""Which inventory an app of a host belongs to: the one of its last deploy. And which one applied the settings of the host.

Two environments may share a host. An app has one place there. So of two apps with the same name, each would replace the other. The
same holds for the settings that are in files of the host, such as nginx's.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

FOLDER = "inventories"
"""Only an inventory in a folder of this name has a name: a checkout elsewhere may have another path each time."""


def name(inventory: str) -> str:
    """Return the name of an environment, by its folder (`inventories/production`); empty if it is elsewhere. Links are followed."""
    path = Path(os.path.realpath(inventory))
    return path.name if path.parent.name == FOLDER else ""


def theirs(owners: Mapping[str, str], inventory: str) -> dict[str, str]:
    """The apps that belong to other inventories than this one, each with the name of its inventory.

    Args:
        owners: the apps, each with the name of the inventory that deployed it to the host; empty if that is not known.
        inventory: the name of this run's, empty if it has none.
    """
    return {app: owner for app, owner in owners.items() if owner and owner != inventory}


def refusal(owners: Mapping[str, str], inventory: str) -> str:
    """Say why a run of one inventory does not touch apps of others; empty where there are none.

    Args:
        owners: the apps, each with the name of the inventory that deployed it to the host; empty if that is not known.
        inventory: the name of this run's, empty if it has none.
    """
    others = theirs(owners, inventory)
    if not others:
        return ""
    whose = " and ".join(f"the app {app} belongs to {FOLDER}/{owner}" for app, owner in others.items())
    names = list(dict.fromkeys(others.values()))
    this, same = f"{FOLDER}/{inventory}", ""
    if not inventory:
        this = f"an inventory that is in no folder {FOLDER}/"
        same = f"If it is the same environment, deploy it from {' and '.join(f'{FOLDER}/{one}' for one in names)}. "
    return (
        f"On this host {whose}, and this run reads {this}. {same}If these are separate environments, each needs separate "
        f"names for its apps. If {inventory or 'this one'} takes the place of {' and '.join(names)}, add -e take_over=true to this run; a deploy "
        "takes over all apps if it has no -e app"
    )


def counting(
    applied: Mapping[str, Mapping[str, str]], owners: Mapping[str, str], live: Collection[str]
) -> dict[str, Mapping[str, str]]:
    """Return the settings that inventories have applied which have an app on the host.

    Args:
        applied: the settings that each inventory applied to the host last.
        owners: the apps, each with the name of its inventory.
        live: the apps with a current release.
    """
    present = {owner for app, owner in owners.items() if app in live}
    return {inventory: settings for inventory, settings in applied.items() if inventory in present}


def difference(
    applied: Mapping[str, Mapping[str, str]],
    settings: Mapping[str, str],
    inventory: str,
    written: Collection[str],
) -> str:
    """Say which settings of the host another inventory has applied with other values; empty where there are none.

    Args:
        applied: the settings that each inventory applied to the host last, in JSON.
        settings: those of this run, in JSON; an empty text for one that does not matter to it.
        inventory: the name of this run's inventory, empty if it has none.
        written: the settings that this inventory has; the others have their defaults.
    """
    this = f"{FOLDER}/{inventory}" if inventory else f"an inventory that is in no folder {FOLDER}/"
    differing = [
        (name, value, other, theirs[name])
        for other, theirs in sorted(applied.items())
        for name, value in settings.items()
        if other != inventory and value and theirs.get(name) and theirs[name] != value
    ]
    if not differing:
        return ""
    lines = "; ".join(
        f"{name} is {theirs} in {FOLDER}/{other}, and {value}{'' if name in written else ' by default'} in {this}"
        for name, value, other, theirs in differing
    )
    names = list(dict.fromkeys(name for name, *_ in differing))
    it, them = ("it", "its value") if len(names) == 1 else ("each", "the values")
    return (
        f"This host has one value of {' and '.join(names)} for all of its apps, and its inventories differ: {lines}. Write the same "
        f"value of {it} in both. To change the host, add -e take_over=true to this run, which applies {them} of {this}"
    )
