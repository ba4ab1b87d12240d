"""What was measured, as ratios within one run, and these as tables."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from .variants import Variant

KIT = "Slipway"
BARE, TUTORIAL, TUNED_SYNC, TUNED_KEPT = "bare", "tutorial", "tuned, sync", "tuned, kept"
T = TypeVar("T")


@dataclass(frozen=True)
class Sample:
    """One run of wrk. Times are milliseconds; `cpu` is the microseconds that the whole host spent on one answer."""

    part: str
    round: int
    app: str
    test: str
    server: str
    cpu: float
    rps: float
    p50: float
    p99: float
    size: float
    errors: int


@dataclass(frozen=True)
class Ratio:
    """The median of one ratio per round, and the smallest and largest of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Ratio:
        """The ratio that these rounds found."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"**{_short(self.median)}** ({_short(self.low)} to {_short(self.high)})"


def _short(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def against(samples: Iterable[Sample], app: str, test: str, rival: str, measure: str) -> Ratio | None:
    """Slipway's figure over the rival's, round by round; None where a rival answered nothing, or too little to measure its cost."""
    ours, other = (
        {one.round: getattr(one, measure) for one in samples if (one.app, one.test, one.server) == (app, test, server)}
        for server in (KIT, rival)
    )
    values = [ours[number] / other[number] for number in ours if other.get(number, 0) > 0]
    return Ratio.of(values) if values and len(values) == len(ours) else None


def tried(samples: Sequence[Sample], app: str, test: str, variant: str, measure: str) -> Ratio | None:
    """The variant's figure over the default's: the mean of the default's before and after it in the same round."""
    row = [one for one in samples if (one.app, one.test) == (app, test)]
    values = []
    for place, one in enumerate(row):
        if one.server != variant or not getattr(one, measure):
            continue
        before = next((two for two in reversed(row[:place]) if two.server == KIT and two.round == one.round), None)
        after = next((two for two in row[place:] if two.server == KIT and two.round == one.round), None)
        near = [getattr(two, measure) for two in (before, after) if two]
        if near and all(near):
            values.append(getattr(one, measure) / statistics.fmean(near))
    return Ratio.of(values) if values else None


LOADS = {
    "json": "quick: JSON",
    "gzip": "page (gzip)",
    "upload": "upload of 64 kB",
    "static": "static file of 16 kB",
    "static gzip": "static file (gzip)",
    "slow 8": "slow mix: JSON beside 8 requests of 2 s",
    "100 slow lines": "slow clients: JSON beside 100 slow lines",
    "page": "page of 14 kB",
    "slow 12": "JSON beside 12 requests of 2 s",
}
"""The loads, as pages and plots name them."""
SERVING = ("json", "gzip", "upload", "static", "static gzip", "slow 8", "100 slow lines")
"""The loads of the kit and its rivals."""
NAMES = {"plain": "A callable", "flask": "Flask", "django": "Django", "fastapi": "FastAPI"}
RIVALS = {
    TUTORIAL: "tutorial",
    TUNED_SYNC: "tuned, `sync`",
    TUNED_KEPT: "tuned, kept connections",
    BARE: "bare",
}
MEASURES = {"cpu": "processor time", "rps": "requests/s", "p50": "p50", "p99": "p99"}


def serving(samples: Sequence[Sample]) -> str:
    """A table for each app: each load against each rival, and before that the kit's own processor time of an answer."""
    tables = []
    for app, name in NAMES.items():
        lines = [
            f"| load | Slipway, µs | against | {' | '.join(MEASURES.values())} |",
            f"|---|---:|---|{'---|' * len(MEASURES)}",
        ]
        for test in SERVING:
            costs = [one.cpu for one in samples if (one.app, one.test, one.server) == (app, test, KIT)]
            for rival, title in RIVALS.items():
                if any((one.app, one.test, one.server) == (app, test, rival) for one in samples):
                    cells = [_cell(against(samples, app, test, rival, measure)) for measure in MEASURES]
                    lines.append(f"| {LOADS[test]} | {statistics.median(costs):.0f} | {title} | {' | '.join(cells)} |")
        if len(lines) > 2:
            tables.append("\n".join([f"{name}:", "", *lines]))
    return "\n\n".join(tables)


def tuning(samples: Sequence[Sample], variants: Sequence[Variant]) -> str:
    """A table for each app and kind of load: what another setting serves of what the default serves."""
    tables = []
    for title, tests, measures in (
        ("JSON and the page", ("json", "page"), (("rps", "requests/s"), ("cpu", "CPU"))),
        ("JSON beside slow requests", ("slow 12",), (("rps", "requests/s"), ("p50", "p50"), ("p99", "p99"))),
        (
            "The page compressed, static files, uploads",
            ("gzip", "static", "static gzip", "upload"),
            (("rps", "requests/s"), ("cpu", "CPU")),
        ),
    ):
        for app, name in NAMES.items():
            rows = []
            for variant in variants:
                if variant.app == app and set(tests) & set(variant.tests):
                    cells = [
                        _cell(tried(samples, app, test, variant.key, measure), "")
                        for test in tests
                        for measure, _ in measures
                    ]
                    rows.append(f"| {variant.group} | {variant.name} | {' | '.join(cells)} |")
            if rows:
                head = [f"{LOADS[test]}: {word}" for test in tests for _, word in measures]
                lines = [f"{title}, {name}:", "", f"| setting | instead | {' | '.join(head)} |"]
                tables.append("\n".join([*lines, "|---|---|" + "---|" * len(head), *rows]))
    return "\n\n".join(tables)


def _cell(ratio: Ratio | None, nothing: str = "∞") -> str:
    return str(ratio) if ratio else nothing
