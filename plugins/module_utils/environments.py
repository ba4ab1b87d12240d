"""The environments of a run: their folders, and whether it reads the variables of several, of which the last one would win."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ansible_collections.slipway.kit.plugins.module_utils.next_commands import short

VARIABLES = ("group_vars", "host_vars")
"""The folders of variables beside a list of hosts."""
ENDINGS = ("", ".yml", ".yaml", ".json", ".ini")
"""How the name of a list of hosts may end."""


def folders(sources: Iterable[str]) -> list[Path]:
    """Return the folders of these inventories, each once, without lists of hosts.

    Args:
        sources: the values of `-i`.
    """
    paths = [Path(source) for source in sources if "," not in source and Path(source).exists()]
    return list(dict.fromkeys((path if path.is_dir() else path.parent).resolve() for path in paths))


def refusal(sources: Sequence[str], group: str) -> str | None:
    """Why a run with these inventories is refused; None when they are one environment.

    Args:
        sources: the values of `-i`.
        group: the group whose hosts the kit manages.
    """
    return parent(sources) or mixed(sources, group)


def parent(sources: Iterable[str]) -> str | None:
    """Why a run with the folder of several environments is refused, as `-i inventories`; None where no source is one.

    Ansible would read the hosts of all of them, and no file of variables.
    """
    for source in sources:
        folder = Path(source)
        if "," in source or not folder.is_dir() or _is_environment(folder):
            continue
        inside = sorted(one.name for one in folder.glob("[!.]*/") if _is_environment(one))
        if inside:
            return (
                f"{short(source)} is no environment, but the folder of {' and '.join(inside)}; no host was touched. "
                f"Name one environment: -i {short(folder / inside[0])}"
            )
    return None


def _is_environment(folder: Path) -> bool:
    """Whether a folder has a list of hosts or folders of variables."""
    return any((folder / name).exists() for name in (*VARIABLES, *(f"hosts{ending}" for ending in ENDINGS)))


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
