"""`python -m benchmarks.deploys [floor|growth|settings|KIND] [ROUNDS]`: measure, keep the figures, write them into the page.

KIND is one of what grows (hosts, apps, files, dependencies): it is measured again, and the others' figures stay.

Every round gives each contender a fresh host and takes it through every operation; ratios are of the same round.
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import hosts

from . import figures, settings
from .app import App
from .contenders import CONTENDERS, OPERATIONS, Slipway, contender
from .measure import Run, run

RESULTS = Path(__file__).with_name("results.json")
ROUNDS = 4
GROWTH = ("first", "nothing", "code")
"""The operations whose growth is measured."""
SIZES = {"hosts": (1, 5, 10, 20), "apps": (1, 5, 10), "files": (10, 500, 5000), "dependencies": (5, 20, 50, 100)}
"""More of what, and how many; `dependencies` are all that the app has, gunicorn aside."""


def floor(rounds: int) -> list[dict[str, Any]]:
    """All operations of all contenders."""
    runs = []
    for number in range(rounds):
        for name in CONTENDERS:
            with hosts.fresh() as fresh_hosts:
                one = contender(name, fresh_hosts, App.new(name))
                for operation in OPERATIONS:
                    runs.append({"round": number, **asdict(_reported(run(one, operation, phase=number / rounds)))})
    return runs


def growth(rounds: int, kinds: Collection[str] = SIZES) -> list[dict[str, Any]]:
    """Slipway with more of everything, one at a time."""
    runs = []
    for number in range(rounds):
        for kind in kinds:
            for size in SIZES[kind]:
                more = {kind: size}
                with hosts.fresh(more.get("hosts", 1)) as fresh_hosts:
                    app = App.new("slipway", more.get("files", 0), more.get("dependencies"))
                    one = Slipway("slipway", fresh_hosts, app, apps=more.get("apps", 1))
                    for operation in GROWTH:
                        result = _reported(run(one, operation, clients=False))
                        runs.append({"round": number, "kind": kind, "size": size, "when": today(), **asdict(result)})
    return runs


def today() -> str:
    """The date of a measurement."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _reported(one: Run) -> Run:
    print(f"{one.contender:10} {one.operation:14} {one.seconds:6.1f} s  {one.lost} of {one.requests} lost", flush=True)
    return one


def main() -> None:
    """Measure what is named, or everything; keep and show it."""
    parts: dict[str, Callable[[int], Iterable[dict[str, Any]]]] = {
        "floor": floor,
        "growth": growth,
        "settings": settings.measure,
    }
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.deploys", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="part",
        help=f"of {', '.join((*parts, *SIZES))}, or the rounds; all when none is named",
    )
    words = parser.parse_args().parts
    if wrong := [word for word in words if not word.isdigit() and word not in {*parts, *SIZES}]:
        parser.error(f"there is no part {', '.join(wrong)}")
    rounds = next((int(word) for word in words if word.isdigit()), ROUNDS)
    kept: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    if kinds := [kind for kind in SIZES if kind in words]:
        part = kept["growth"]
        runs = [*(one for one in part["runs"] if one["kind"] not in kinds), *growth(part["rounds"], kinds)]
        part["runs"] = sorted(runs, key=lambda one: list(SIZES).index(one["kind"]))
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    for name, measure in parts.items():
        if name in words or not (kinds or any(word in parts for word in words)):
            kept[name] = {"when": today(), "rounds": rounds, "runs": list(measure(rounds))}
            RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    figures.write(kept)


if __name__ == "__main__":
    main()
