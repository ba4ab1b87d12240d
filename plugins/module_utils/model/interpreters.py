"""Which Python an app runs on: one of the host's own, or one that the kit has uv install there.

The installed one is known before any host is asked. Its patch release is the one that the uv of the kit has, or that of an
archive which the inventory names. Its folder is named after both. So every host and every run gets the same, and a release's
id does not depend on what is installed when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..contract import names

KNOWN = {
    "3.10": "3.10.22",
    "3.11": "3.11.18",
    "3.12": "3.12.16",
    "3.13": "3.13.18",
    "3.14": "3.14.10",
    "3.15": "3.15.2",
}
"""The newest patch release of each Python that the kit's uv can fetch; it knows their hashes. A test asks it."""
OLDEST = (3, 10)
"""The oldest that gunicorn 27 runs on."""


class NoInterpreter(Exception):
    """There is no such Python, here or to be installed; the message says what to do."""


@dataclass(frozen=True)
class Interpreter:
    """What runs an app."""

    path: str
    version: str
    folder: str = ""
    """Of one that is installed for the apps; empty for one of the host's own."""


def installed(version: str, sha256: str = "") -> Interpreter:
    """The one that the kit installs, from uv's own archive, or from one of the inventory's with this hash."""
    folder = f"{names.PYTHONS}/{version}{'-' if sha256 else ''}{sha256[:8].lower()}"
    return Interpreter(f"{folder}/python/bin/python{_minor(version)}", version, folder)


def choose(wanted: str | None, on_host: Mapping[str, str], default: str, archives: Mapping[str, str]) -> Interpreter:
    """The interpreter that an app gets on a host.

    Args:
        wanted: a version such as `3.13`, a path, or None for the host's `python3`.
        on_host: the host's own, path to version; empty when no host was asked.
        default: the path of the host's `python3`.
        archives: the versions that the inventory has archives of, with their SHA-256.

    Raises:
        NoInterpreter: there is none.
    """
    if not on_host:
        path = default if wanted is None else wanted if wanted.startswith("/") else f"/usr/bin/python{wanted}"
        return Interpreter(path, "unknown" if wanted is None or wanted.startswith("/") else wanted)
    shown = ", ".join(f"{version} ({path})" for path, version in sorted(on_host.items()))
    if wanted is None:
        wanted = default if default in on_host else next(iter(sorted(on_host)), default)
    for path, version in sorted(on_host.items()):
        if path == wanted or _minor(version) == wanted:
            if _numbers(_minor(version)) < OLDEST:
                raise NoInterpreter(
                    f"Python {version} at {path} is too old: gunicorn 27 needs 3.10; this host has {shown}. "
                    f'Write a newer version, such as python: "{next(reversed(KNOWN))}", which the kit installs'
                )
            return Interpreter(path, version)
    if wanted.startswith("/"):
        raise NoInterpreter(
            f"python {wanted} is not on this host; it has {shown}. Put it there, or write its version alone, such as "
            '"3.13", which the kit installs'
        )
    offered = sorted((version for version in archives if _minor(version) == wanted), key=_numbers)
    if offered:
        return installed(offered[-1], archives[offered[-1]])
    if wanted in KNOWN:
        return installed(KNOWN[wanted])
    raise NoInterpreter(
        f"python {wanted} is not on this host, which has {shown}, and the kit's uv knows {', '.join(KNOWN)} only. "
        "Change `python`, or name an archive of it in python_archives"
    )


def _minor(version: str) -> str:
    return version.rpartition(".")[0]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
