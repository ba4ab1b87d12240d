"""`python -m benchmarks.deploys.versions COMMIT [ROUNDS]`: Slipway as it is, and as it was at a commit, by turns.

Each has its own host and app, and the tools of this checkout (ansible-core). gunicorn begins each further worker some time after
the last. So the ratio with one worker shows what all else takes.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import hosts
from benchmarks.hosts import CACHE, ROOT, Host
from tests.load.figures import insert

from .app import App
from .contenders import Slipway
from .figures import PAGE, TITLES, spread
from .measure import run

OPERATIONS = ("nothing", "code", "rollback", "code")
"""In this order in each round. After a rollback only new code can be deployed."""
WORKERS = (2, 1)
ROUNDS = 8


def checked_out(commit: str) -> Path:
    """The files of a commit, with the tools of this checkout. Raises CalledProcessError for an unknown one."""
    folder = CACHE / "version"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", commit], stdout=subprocess.PIPE, check=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder


def dated(commit: str) -> str:
    """The day of a commit."""
    argv = ["git", "-C", str(ROOT), "log", "-1", "--format=%cs", commit]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def measure(earlier: Path, rounds: int, workers: int) -> dict[str, dict[str, list[float]]]:
    """The seconds of each operation, of the version as it was and as it is."""
    seconds: dict[str, dict[str, list[float]]] = {operation: {"was": [], "is": []} for operation in OPERATIONS}
    with hosts.fresh(2) as fresh:
        both = {"was": _version("was", fresh[:1], earlier, workers), "is": _version("is", fresh[1:], ROOT, workers)}
        for name in both:
            for operation in ("first", *OPERATIONS):  # to warm up
                run(both[name], operation, clients=False)
        for number in range(rounds):
            for operation in OPERATIONS:
                for name in both if number % 2 else reversed(both):
                    seconds[operation][name].append(run(both[name], operation, clients=False).seconds)
    return seconds


def _version(name: str, fresh: Sequence[Host], root: Path, workers: int) -> Slipway:
    return Slipway(name, fresh, App.new(name), root=root, workers=workers)


def table(measured: dict[int, dict[str, dict[str, list[float]]]], was: str, rounds: int, today: str) -> str:
    """Write the seconds with the usual workers, and the ratios."""
    lines = [
        f"The version of {was} and that of {today}, {rounds} rounds; median (least to most).",
        "",
        "| | before, s | now, s | now ÷ before | with one worker |",
        "|---|---:|---:|---:|---:|",
    ]
    for operation in dict.fromkeys(OPERATIONS):
        usual, single = (measured[workers][operation] for workers in WORKERS)
        cells: list[Any] = [TITLES[operation], spread(usual["was"]), spread(usual["is"])]
        cells += [_ratio(usual), _ratio(single)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _ratio(seconds: dict[str, list[float]]) -> str:
    ratios = [now / before for now, before in zip(seconds["is"], seconds["was"], strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def main() -> None:
    """Measure both, and write the table into the page."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.deploys.versions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("commit", help="the earlier version")
    parser.add_argument("rounds", nargs="?", type=int, default=ROUNDS)
    given = parser.parse_args()
    earlier = checked_out(given.commit)
    measured = {workers: measure(earlier, given.rounds, workers) for workers in WORKERS}
    text = table(measured, dated(given.commit), given.rounds, dated("HEAD"))
    print(text)
    PAGE.write_text(insert(PAGE.read_text(encoding="utf-8"), text, "versions"), encoding="utf-8")


if __name__ == "__main__":
    main()
