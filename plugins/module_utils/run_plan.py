"""What a run does on a host, by its variables and by what it has noted about the host."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

from . import holding


@dataclass(frozen=True)
class Run:
    """What a run does on the host."""

    check: bool
    """Whether it changes nothing."""
    purpose: str
    """The role's `release_purpose`: `deploy`, `rollback` or `removal`."""
    releases: Mapping[str, str]
    """The apps with the releases that the run makes current, once these are known."""
    takes_over: bool = False
    """Whether it takes apps of another inventory over."""
    changed: Mapping[str, str | None] = field(default_factory=dict)
    """Those of `releases` that were not current before, each with the release that was."""
    hinted: Collection[str] = ()
    """The apps for which the report says what to try."""
    nginx_files: Collection[str] = ()
    """nginx's files that the switch has changed, or would change."""


def read(template: Callable[[Any], Any], task_vars: Mapping[str, Any], facts: holding.Facts) -> Run:
    """Return what a run does on the host with these variables and facts."""
    return Run(
        check=bool(task_vars.get("ansible_check_mode")),
        purpose=str(template(task_vars.get("release_purpose")) or ""),
        releases={holding.name(one): str(one["release"]) for one in holding.going(facts)},
        takes_over=boolean(template(task_vars.get("take_over", False))),
        changed=holding.changed(facts),
        hinted=holding.hinted(facts),
        nginx_files=tuple(facts.get("slipway_nginx_files") or ()),
    )
