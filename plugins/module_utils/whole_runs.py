"""Whether a run does every step of a playbook: the steps belong together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

KIT = Path(__file__).resolve().parents[2]
PREFIX = "slipway.kit."
"""How the name of a playbook of the installed collection begins."""
PARTS = ("preflight.yml", "rollout.yml", "setup.yml")
"""Playbooks that others import."""
OF_MOLECULE = ("molecule-notest", "notest", "molecule-idempotence-notest")
"""Tags that molecule always skips."""


def is_ours(path: str) -> bool:
    """Whether a play is in a playbook of the kit.

    Args:
        path: the play's file and line.
    """
    return bool(path) and Path(path.rpartition(":")[0]).resolve().is_relative_to(KIT)


def playbooks(options: Mapping[str, Any]) -> list[str]:
    """The names of the playbooks that a run with these options of the command line is of, such as `site.yml`.

    Empty where one of them is not the kit's, or only a part of one: any step may be in it.
    """
    paths = [str(one) for one in options.get("args") or ()]
    names = [f"{one.removeprefix(PREFIX)}.yml" if one.startswith(PREFIX) else Path(one).name for one in paths]
    ours = all(one.startswith(PREFIX) or Path(one).resolve().is_relative_to(KIT) for one in paths)
    return names if ours and not {*names} & {*PARTS} else []


def refusal(options: Mapping[str, Any]) -> str | None:
    """Why a run with these options of the command line would leave out steps; None where it does them all."""
    tags = [str(tag) for tag in options.get("tags") or ()]
    skipped = [tag for tag in map(str, options.get("skip_tags") or ()) if tag not in OF_MOLECULE]
    if start := options.get("start_at_task"):
        option = f"--start-at-task '{start}'"
    elif skipped:
        option = f"--skip-tags {','.join(skipped)}"
    elif tags and "all" not in tags:
        option = f"--tags {','.join(tags)}"
    else:
        return None
    return (
        f"{option} would leave out steps that belong together, and no host was touched. The steps of the kit have no tags. "
        "Run the whole playbook, for one app with -e app=NAME."
    )
