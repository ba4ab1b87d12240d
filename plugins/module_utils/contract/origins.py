"""Which inventory an app of a host belongs to: the one of its last deploy.

Two environments may share a host. An app has one place there. So of two apps with the same name, each would replace the other.
"""

from __future__ import annotations

from pathlib import PurePath

FOLDER = "inventories"
"""Only an inventory in a folder of this name has a name: a checkout elsewhere may have another path each time."""


def name(inventory: str) -> str:
    """Return the name of an environment, by its folder (`inventories/production`); empty if it is elsewhere."""
    path = PurePath(inventory)
    return path.name if path.parent.name == FOLDER else ""


def refusal(app: str, origin: str, inventory: str) -> str:
    """Say why a run of one inventory does not touch an app of another one; empty where both are the same, or one is unknown.

    Args:
        app: the app.
        origin: the name of the inventory that deployed it to the host; empty if it is not known.
        inventory: that of this run.
    """
    if not origin or not inventory or origin == inventory:
        return ""
    return (
        f"The app {app} on this host belongs to {FOLDER}/{origin}, and this run reads {FOLDER}/{inventory}. If these are two "
        f"environments, each needs separate names for its apps on this host. If {inventory} takes the place of {origin}, run "
        f"once with -e take_over=true"
    )
