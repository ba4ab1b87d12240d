"""`python -m benchmarks.serving [--quick] [serving] [tuning]`, from the project's folder."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.load.figures import insert

from . import figures
from .figures import Sample
from .host import APPS, ROOT, Server
from .load import Target, crowd, wait, wrk
from .variants import VARIANTS

RESULTS = Path(__file__).with_name("results.json")
PAGE = ROOT / "docs/performance.md"
JSON = "/api"
PARTS = ("serving", "tuning")
ROUNDS = 5
TRIES = 3
"""How often a load without slow clients is repeated that got no answer: only a machine that stood still explains that."""


@dataclass(frozen=True)
class Test:
    """What the fast clients ask for, and who is there beside them."""

    path: str = JSON
    connections: int = 16
    headers: Mapping[str, str] | None = None
    upload: int = 0
    """The bytes that each request sends."""
    crowd: str = ""
    clients: int = 0
    seconds: int = 1
    rounds: int = 9
    """The most rounds of it: those that take long are fewer."""


BROWSER = {"Accept-Encoding": "gzip"}
TESTS = {
    "json": Test(),
    "page": Test("/page"),
    "gzip": Test("/page", headers=BROWSER),
    "upload": Test("/upload", upload=64 * 1024),
    "static": Test("/static/site.css"),
    "static gzip": Test("/static/site.css", headers=BROWSER),
    "100 slow lines": Test(crowd="lines", clients=100, seconds=2, rounds=3),
    "slow 8": Test(crowd="sleepers", clients=8, seconds=3, rounds=3),
    "slow 12": Test(crowd="sleepers", clients=12, seconds=2, rounds=2),
}


class Bench:
    """The host, and every figure so far."""

    def __init__(self, server: Server, rounds: int, busy: float) -> None:
        self.server = server
        self.rounds = rounds
        self.busy = busy
        """The machine's load before the measurement."""
        self.samples: list[Sample] = []
        self._idle = 0.0

    def settle(self) -> None:
        """Measure what all the waiting processes use by themselves in a second."""
        before = self.server.cpu()
        time.sleep(2)
        self._idle = self.server.spent(before) / 2

    def measure(self, part: str, number: int, app: str, test: str, server: str, target: Target) -> None:
        """Put one load on one server."""
        how = TESTS[test]
        with contextlib.ExitStack() as stack:
            if how.crowd:
                wait(target)
                stack.enter_context(crowd(target, how.crowd, how.clients))
            for _ in range(TRIES):
                before, begun = self.server.cpu(), time.monotonic()
                answer = wrk(target, how.path, how.connections, how.seconds, how.headers, how.upload)
                used = self.server.spent(before) - self._idle * (time.monotonic() - begun)
                if how.crowd or answer.rps:
                    break
        if how.crowd:
            wait(target)
        cost = used / (answer.rps * how.seconds) * 1e6 if answer.rps else 0.0
        self.samples.append(
            Sample(
                part=part,
                round=number,
                app=app,
                test=test,
                server=server,
                cpu=round(cost, 1),
                rps=round(answer.rps, 1),
                p50=answer.p50,
                p99=answer.p99,
                size=round(answer.size),
                errors=answer.errors,
            )
        )

    def serving(self) -> None:
        """The kit against its rivals: per round, app and test one after the other, each time another one first."""
        rivals = self.server.rivals()
        self.settle()
        for number in range(self.rounds):
            started = time.monotonic()
            for app in APPS:
                servers = {figures.KIT: self.server.kit(app), **rivals[app.name]}
                for test in app.tests:
                    if number < TESTS[test].rounds:
                        for name in _turned(list(servers), number):
                            self.measure("serving", number, app.name, test, name, servers[name])
            print(f"serving, round {number + 1} of {self.rounds}: {time.monotonic() - started:.0f} s", flush=True)

    def tuning(self) -> None:
        """The kit's defaults against other settings: the default again before every third variant."""
        targets = dict(zip(VARIANTS, self.server.variants(VARIANTS), strict=True))
        self.settle()
        for number in range(self.rounds):
            started = time.monotonic()
            for app in APPS:
                for test, how in TESTS.items():
                    variants = [one for one in VARIANTS if one.app == app.name and test in one.tests]
                    if number >= how.rounds or not variants:
                        continue
                    for place, variant in enumerate(_turned(variants, number * 5)):
                        if place % 3 == 0:
                            self.measure("tuning", number, app.name, test, figures.KIT, self.server.kit(app))
                        self.measure("tuning", number, app.name, test, variant.key, targets[variant])
            print(f"tuning, round {number + 1} of {self.rounds}: {time.monotonic() - started:.0f} s", flush=True)


def _turned(names: Sequence[figures.T], number: int) -> list[figures.T]:
    """Change the order in each round, so that other load on the machine affects all servers alike."""
    place = number % len(names)
    turned = [*names[place:], *names[:place]]
    return turned[::-1] if number % 2 else turned


def keep(part: str, bench: Bench) -> None:
    """Put the part's figures into results.json, and its tables into the page."""
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    results[part] = {
        "measured": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "rounds": bench.rounds,
        "busy": round(bench.busy),
        "samples": [asdict(one) for one in bench.samples if one.part == part],
    }
    # One sample a line: a later run shows in a diff what has changed.
    text = json.dumps(results, ensure_ascii=False).replace('{"part"', '\n{"part"')
    RESULTS.write_text(text + "\n", encoding="utf-8")
    when = f"Measured on {results[part]['measured']}, {bench.rounds} rounds."
    if bench.busy > (os.cpu_count() or 1):
        when += f" The machine was busy (a load of {bench.busy:.0f}): compare the processor time alone."
    samples = [Sample(**one) for one in results[part]["samples"]]
    tables = figures.serving(samples) if part == "serving" else figures.tuning(samples, VARIANTS)
    picture = "\n\n![Slipway against its rivals](performance/serving.svg)" if part == "serving" else ""
    page = insert(PAGE.read_text(encoding="utf-8"), f"{when}\n\n{tables}{picture}", part)
    PAGE.write_text(page, encoding="utf-8")
    if part == "serving":
        if importlib.util.find_spec("matplotlib"):
            subprocess.run([sys.executable, "-m", "benchmarks.serving.plot"], cwd=ROOT, check=True)
        else:
            print("no plot: run `make .venv/bench`, then `python -m benchmarks.serving.plot`")


def main() -> int:
    """Measure, keep the figures, write the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="part", help=f"of {' and '.join(PARTS)}; {PARTS[0]} when none is named"
    )
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help="how often each is measured; the slow loads less often"
    )
    parser.add_argument("--quick", action="store_true", help="one round, and nothing is written: does it work at all?")
    options = parser.parse_args()
    if wrong := set(options.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(wrong))}")
    if not shutil.which("wrk"):
        parser.error("wrk, which sends the requests, is not on this machine: apt-get install wrk")

    busy = os.getloadavg()[1]
    server = Server()
    try:
        server.create()
        bench = Bench(server, 1 if options.quick else options.rounds, busy)
        for part in options.parts or PARTS[:1]:
            getattr(bench, part)()
            if options.quick:
                print(figures.serving(bench.samples) if part == "serving" else figures.tuning(bench.samples, VARIANTS))
            else:
                keep(part, bench)
    finally:
        server.destroy()
    failed = [one for one in bench.samples if one.server == figures.KIT and (one.errors or not one.rps)]
    for one in failed:
        print(f"FAULT  Slipway lost {one.errors} answers: {one}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
