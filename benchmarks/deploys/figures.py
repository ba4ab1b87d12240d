"""Writes the figures as tables in docs/performance.md and as plots next to it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.hosts import ROOT
from tests.load.figures import insert

from .contenders import CONTENDERS, OPERATIONS
from .settings import DEFAULT

PAGE = ROOT / "docs/performance.md"
PLOTS = ROOT / "docs/performance"
NAMES = {"slipway": "Slipway", "floor": "floor", "restart": "restart", "folders": "release folders"}
TITLES = {
    "first": "first deploy",
    "nothing": "no change",
    "code": "new code",
    "configuration": "one setting",
    "dependency": "new dependency",
    "rollback": "rollback",
}

GROWING = {"files": "source files"}
"""The words for the kinds whose command has another word."""

Runs = list[dict[str, Any]]


def spread(values: Iterable[float], unit: str = "") -> str:
    """Write the median, and the least and the most in brackets if there are several values."""
    ordered = sorted(values)
    if len(ordered) == 1:
        return f"{ordered[0]:.1f}{unit}"
    return f"{statistics.median(ordered):.1f}{unit} ({ordered[0]:.1f} to {ordered[-1]:.1f})"


def counted(part: dict[str, Any]) -> str:
    """Write the number of rounds, and the kind of the figures."""
    return "1 round" if part["rounds"] == 1 else f"{part['rounds']} rounds; median (least to most)"


def pick(runs: Runs, **wanted: object) -> Runs:
    """Select the runs with these values."""
    return [one for one in runs if all(one[key] == value for key, value in wanted.items())]


def ratios(runs: Runs, contender: str, rival: str, operation: str) -> list[float]:
    """Divide one contender's seconds by another's of the same round."""
    ours = {one["round"]: one["seconds"] for one in pick(runs, contender=contender, operation=operation)}
    theirs = {one["round"]: one["seconds"] for one in pick(runs, contender=rival, operation=operation)}
    return [ours[number] / theirs[number] for number in ours if number in theirs]


def floor_table(part: dict[str, Any]) -> str:
    """Write a table of every operation: seconds, ratios, tasks, and lost requests."""
    runs = part["runs"]
    lines = [
        f"Measured on {part['when']}, {counted(part)}.",
        "",
        "| | floor, s | Slipway, s | Slipway ÷ floor | restart ÷ Slipway | release folders ÷ Slipway |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for operation in OPERATIONS:
        seconds = {
            name: [one["seconds"] for one in pick(runs, contender=name, operation=operation)] for name in CONTENDERS
        }
        cells = [TITLES[operation], spread(seconds["floor"]), spread(seconds["slipway"])]
        cells += [spread(ratios(runs, "slipway", "floor", operation)) if operation != "nothing" else "-"]
        cells += [spread(ratios(runs, name, "slipway", operation)) for name in ("restart", "folders")]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "| | tasks on the host: Slipway | restart | release folders | lost requests: floor | Slipway | restart | release folders |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for operation in OPERATIONS:
        cells = [TITLES[operation]]
        for name in ("slipway", "restart", "folders"):
            cells.append(f"{max(one['tasks'] or 0 for one in pick(runs, contender=name, operation=operation))}")
        for name in ("floor", "slipway", "restart", "folders"):
            picked = pick(runs, contender=name, operation=operation)
            asked = sum(one["requests"] for one in picked)
            cells.append(f"{sum(one['lost'] for one in picked)} of {asked}" if asked else "-")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def growth_table(part: dict[str, Any]) -> str:
    """Write a table of the seconds for more of everything."""
    runs = part["runs"]
    operations = list(dict.fromkeys(one["operation"] for one in runs))
    when = " and ".join(sorted({one["when"] for one in runs}))
    lines = [
        f"Measured on {when}, {counted(part)}, in seconds.",
        "",
        f"| | {' | '.join(TITLES[operation] for operation in operations)} |",
        f"|---|{'---:|' * len(operations)}",
    ]
    for kind, size in dict.fromkeys((one["kind"], one["size"]) for one in runs):
        picked = pick(runs, kind=kind, size=size)
        cells = [spread(one["seconds"] for one in pick(picked, operation=operation)) for operation in operations]
        what = GROWING.get(kind, kind)
        lines.append(f"| {size} {what.removesuffix('s') if size == 1 else what} | {' | '.join(cells)} |")
    return "\n".join(lines)


def settings_table(part: dict[str, Any]) -> str:
    """Write a table of every setting's seconds, and their ratio to the default's of the same round."""
    runs = part["runs"]
    lines = [
        f"Measured on {part['when']}, {counted(part)}.",
        "",
        "| hosts | setting | operation | seconds | ÷ the defaults |",
        "|---:|---|---|---:|---:|",
    ]
    for hosts, name, operation in dict.fromkeys((one["hosts"], one["contender"], one["operation"]) for one in runs):
        picked = pick(runs, hosts=hosts, operation=operation)
        seconds = spread(one["seconds"] for one in pick(picked, contender=name))
        ratio = "-" if name == DEFAULT else spread(ratios(picked, name, DEFAULT, operation))
        lines.append(f"| {hosts} | {name} | {TITLES[operation]} | {seconds} | {ratio} |")
    return "\n".join(lines)


def plot(part: dict[str, Any], path: Path) -> None:
    """Plot the seconds of every contender, grouped by operation."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "slipway"  # the same figures are the same file
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 4.2))
    colours = {"floor": "#9aa5b1", "slipway": "#0b6e99", "restart": "#e08e45", "folders": "#c45b5b"}
    shown: Sequence[str] = ("floor", "slipway", "restart", "folders")
    for index, name in enumerate(shown):
        heights, low, high = [], [], []
        for operation in OPERATIONS:
            values = [one["seconds"] for one in pick(part["runs"], contender=name, operation=operation)]
            middle = statistics.median(values)
            heights.append(middle)
            low.append(middle - min(values))
            high.append(max(values) - middle)
        places = [group + (index - 1.5) * 0.2 for group in range(len(OPERATIONS))]
        axes.bar(places, heights, 0.18, label=NAMES[name], color=colours[name], yerr=[low, high], capsize=2)
    axes.set_xticks(range(len(OPERATIONS)), [TITLES[operation] for operation in OPERATIONS])
    axes.set_ylabel("seconds, median; bars from least to most")
    axes.set_title(f"One host, one app: what a deploy takes ({part['rounds']} rounds)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.tight_layout()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def write(kept: dict[str, Any]) -> None:
    """Write the measurements into the page."""
    page = PAGE.read_text(encoding="utf-8")
    if "floor" in kept:
        plot(kept["floor"], PLOTS / "deploys.svg")
        picture = "![Seconds of every contender for every operation](performance/deploys.svg)"
        page = insert(page, f"{floor_table(kept['floor'])}\n\n{picture}", "deploys")
    if "growth" in kept:
        page = insert(page, growth_table(kept["growth"]), "growth")
    if "settings" in kept:
        page = insert(page, settings_table(kept["settings"]), "settings")
    PAGE.write_text(page, encoding="utf-8")
