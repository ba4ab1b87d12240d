"""The commands of the judge: see the package."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import __doc__ as usage
from . import visits

HERE = Path(__file__).parent
SETTLED = ("pages", "below_a_path", "requests", "crashes", "hung", "permissions", "neighbours"), ("daemons",)
"""Chapters that run in parallel, and what waits for them."""
REBOOTED = (("reboot",),)


def judge(phases: Sequence[Sequence[str]]) -> int:
    """Run the chapters of each phase at the same time, and show what pytest says about each; 1 when one has failed."""

    def one(chapter: str) -> subprocess.CompletedProcess[str]:
        options = [
            "-q",
            "-s",
            "-rs",
            "-p",
            "no:cacheprovider",
            "--durations=0",
            "--durations-min=0.1",
            f"--rootdir={HERE}",
        ]
        return subprocess.run(
            [sys.executable, "-m", "pytest", *options, str(HERE / f"{chapter}.py")],
            cwd=HERE.parents[1],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    bad = []
    for phase in phases:
        with ThreadPoolExecutor(len(phase)) as pool:
            for chapter, result in zip(phase, pool.map(one, phase), strict=True):
                print(f"----- {chapter}\n{result.stdout}")
                bad += [chapter] if result.returncode else []
    print(f"failed: {', '.join(bad)}" if bad else "everything is as it should be")
    return 1 if bad else 0


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["settled"]:
            sys.exit(judge(SETTLED))
        case ["rebooted"]:
            sys.exit(judge(REBOOTED))
        case ["visit", "start"]:
            sys.exit(visits.start())
        case ["visit", "on"]:
            visits.ask_until_stopped()
        case ["visit", "end"]:
            sys.exit(visits.end())
        case _:
            sys.exit(usage)
