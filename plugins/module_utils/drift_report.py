"""What on the hosts is no longer as the kit left it, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from . import drift_steps
from .contract.words import counted
from .overview import Problem, missing


def problems(states: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """Every deviation on every host, and the hosts that did not answer."""
    yield from missing(states)
    for host, state in states.items():
        for one in deviations(state):
            text = f"{one['subject']} {one['detail']}"
            app = "" if one["kind"] in ("leftover", "absent", "origin", "unserved") else one["app"]  # the text names it
            yield Problem(host, app, text, drift_steps.step(host, one))


def deviations(state: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """Those of one host and its apps."""
    if state.get("trouble"):
        return []
    return [*state["host"]["drift"], *(one for app in state["apps"] for one in app["drift"])]


def text(problems: Sequence[Problem], hosts: int) -> str:
    """The report about so many hosts for people."""
    lines = [f"! {problem}" for problem in problems]
    return "\n".join(lines) or f"Nothing has drifted ({counted(hosts, 'host')})."
