"""The results of a call's apps: run in parallel, with failures as text for people.

Apart from what does the work, since most of a quick call's time is what Python has to load for it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ...contract.errors import HostError

T = TypeVar("T")
R = TypeVar("R")

#: What may go wrong on a host without being a fault of this code.
TROUBLE = (HostError, OSError, subprocess.SubprocessError)


@dataclass(frozen=True)
class Failure:
    """What went wrong with one app, for people."""

    app: str
    release_id: str
    reason: str
    hint: str = ""
    log: Sequence[str] = ()
    source: str = ""

    def __str__(self) -> str:
        text = f"{' '.join(filter(None, (self.app, self.release_id)))}: {self.reason}"
        if self.hint:
            text += f". Hint: {self.hint}"
        if self.log:
            text += f"\nLast lines of {self.source}:\n" + "\n".join(f"  {line}" for line in self.log)
        return text

    def as_result(self) -> dict[str, Any]:
        """The failure as a module returns it."""
        return {
            "app": self.app,
            "release": self.release_id,
            "reason": self.reason,
            "hint": self.hint,
            "log": list(self.log),
            "source": self.source,
        }


class Failed(Exception):
    """One or more apps of a call failed; what the call had begun was taken back."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        super().__init__("\n".join(map(str, failures)))
        self.failures = list(failures)


def parallel(function: Callable[[T], R], items: Sequence[T], at_once: int = 64) -> list[R]:
    """The results of calling the function on every item, in threads, in order; `at_once` of them at a time."""
    if len(items) < 2:
        return [function(item) for item in items]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=at_once) as pool:
        return list(pool.map(function, items))
