"""The files of nginx that only the controller can make: the users of `basic_auth`, and the user's own error pages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from . import passwords, reading, rendering
from .inventory import Inventory
from .model import manners
from .model.resolve import users
from .model.settings import FOLDER
from .model.types import App

LIMIT = 256 * 1024
"""Bytes of a page: all of them travel in a module call."""


class PagesError(Exception):
    """A folder of error pages that cannot be used: why, as the end of a sentence that begins with its key."""


def texts(inventory: Inventory, mask: str = "") -> dict[str, str]:
    """The files of the host's present apps, by their path there.

    Args:
        inventory: the host's.
        mask: what is shown in the place of a password's hash; the hash itself by default.

    Raises:
        PagesError: a page cannot be used.
    """
    base = Path(str(inventory.variables[FOLDER]))
    made = {}
    for app in inventory.apps:
        if app.state == "absent":
            continue
        if app.basic_auth:
            made[app.nginx_users_file] = _users(inventory, app, mask)
        if app.error_pages:
            pages = dict(error_pages(base, app.error_pages))
            made |= {f"{app.error_pages_folder}/{name}": text for name, text in pages.items()}
    return made


def _users(inventory: Inventory, app: App, mask: str) -> str:
    both = users(inventory.entry(app.name), inventory.vault(app.name))
    return f"# {rendering.MANAGED}\n" + "".join(
        f"{name}:{mask}\n" if mask else passwords.line(app.name, name, password)
        for name, password in sorted(both.items())
    )


def error_pages(base: Path, folder: str) -> Iterator[tuple[str, str]]:
    """The user's own error pages: name to text.

    Raises:
        PagesError: the folder or one of its files cannot be used.
    """
    place = base / os.path.expanduser(folder)
    try:
        names = sorted(name for name in os.listdir(place) if not name.startswith("."))
    except OSError as exc:
        raise PagesError(
            f"is {folder}, which is no folder that can be read ({exc.strerror}: {place}); correct it"
        ) from None
    if not names:
        raise PagesError(f"is {folder}, which has no page ({place}); add error.html, or leave the key out")
    for name in names:
        if name not in manners.PAGES:
            raise PagesError(
                f"is {folder}, which has {name}; only pages such as error.html, 502.html and 502.json belong there"
            )
        yield name, _page(place / name, place, base, f"{folder}/{name}")


def _page(path: Path, place: Path, base: Path, shown: str) -> str:
    try:
        data = reading.published(path, place, base, LIMIT)
        if len(data) > LIMIT:
            raise PagesError(f"has {shown} of more than {LIMIT // 1024} KiB; make it smaller")
        text = data.decode()
    except (OSError, UnicodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is no UTF-8"
        raise PagesError(f"has {shown}, which cannot be read ({why}); correct it") from None
    if not text.strip():
        raise PagesError(f"has {shown}, which is empty; write the page, or remove it")
    return text
