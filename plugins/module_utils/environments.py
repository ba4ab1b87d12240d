"""The environments of a run: their folders, and whether it reads the variables of several, of which the last one would win."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def folders(sources: Iterable[str]) -> list[Path]:
    """Return the folders of these inventories, each once, without lists of hosts.

    Args:
        sources: the values of `-i`.
    """
    paths = [Path(source) for source in sources if "," not in source and Path(source).exists()]
    return list(dict.fromkeys((path if path.is_dir() else path.parent).resolve() for path in paths))


def mixed(sources: Iterable[str], group: str) -> str | None:
    """Why a run with these inventories is refused; None when one of them at most has variables of the group.

    Args:
        sources: the values of `-i`.
        group: the group whose hosts the kit manages.
    """
    folders: dict[Path, str] = {}
    for source in sources:
        path = Path(source)
        folder = path if path.is_dir() else path.parent
        names = (group, f"{group}.yml", f"{group}.yaml", f"{group}.json")
        if path.exists() and any((folder / "group_vars" / name).exists() for name in names):
            folders.setdefault(folder.resolve(), os.path.relpath(source))
    given = list(folders.values())
    if len(given) < 2:
        return None
    which = f"{', '.join(given[:-1])} and {given[-1]} {'both' if len(given) == 2 else 'all'}"
    return (
        f"{which} have variables of the group {group}, and the last ones would be used on all hosts; no host was touched. "
        "Run one environment at a time."
    )
