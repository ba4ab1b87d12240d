"""The user and the limits of a command, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Cell:
    """The user and the limits of a command."""

    user: str
    group: str
    unit: str
    """Of its transient unit, without the suffix. One at a time has it: what an earlier run left under it is ended first."""
    properties: tuple[str, ...] = ()
    """The settings of that unit."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """Limits of each process, as prlimit(1) calls them."""
    apart: Mapping[str, int] = field(default_factory=dict)
    """Limits of each process where nothing limits all of them together."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str
    timed_out: bool = False
    stopped: str = ""
    """Why it was ended before its deadline, where `watch` asked for that."""


class Sink(Protocol):
    """Takes a command's standard output while it runs."""

    def add(self, data: bytes) -> None:
        """Take what was read; nothing at the end of the output."""

    def full(self) -> bool:
        """Whether nothing more is to be read now: the command then waits in its next write."""


Runner = Callable[[Sequence[str], Cell, float, "bytes | int", Callable[[], str] | None, "Sink | None"], Outcome]
"""Runs a command in its cell: see `confine.run`, whose arguments these are."""
