"""Draws docs/performance/serving.svg from results.json: `python -m benchmarks.serving.plot` (requirements/bench.txt)."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .figures import LOADS, SERVING, TUNED_KEPT, TUTORIAL, Sample, against

RESULTS = Path(__file__).with_name("results.json")
PLOT = Path(__file__).parents[2] / "docs/performance/serving.svg"
APPS = {"flask": "Flask", "django": "Django", "fastapi": "FastAPI"}
LOOKS = {
    TUTORIAL: ("#c2410c", "o", "the tutorials' settings"),
    TUNED_KEPT: ("#1d4ed8", "D", "tuned by hand, kept connections"),
}
MEASURES = (
    (
        "cpu",
        "times as much processor time for an answer  (further left is better)",
        (0.1, 5.0),
        (0.1, 0.2, 0.5, 1, 2, 5),
    ),
    ("rps", "times as many requests per second  (further right is better)", (0.3, 60.0), (0.5, 1, 2, 5, 10, 20, 50)),
)


def draw(samples: list[Sample], path: Path) -> None:
    """One panel for each app and measure; a dot is the median of the rounds, its line reaches over all of them."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    pyplot.rcParams.update(
        {"font.size": 9, "svg.hashsalt": "slipway", "svg.fonttype": "none", "font.family": "sans-serif"}
    )
    figure, panels = pyplot.subplots(2, len(APPS), figsize=(11, 7.2), sharey=True, layout="constrained")
    for row, (measure, title, limits, ticks) in enumerate(MEASURES):
        for column, (app, name) in enumerate(APPS.items()):
            panel = panels[row][column]
            low, high = limits
            panel.set_xscale("log")
            panel.set_xlim(low, high)
            panel.axvline(1, color="#111827", linewidth=1, zorder=1)
            for side, (rival, (colour, marker, label)) in enumerate(LOOKS.items()):
                for place, test in enumerate(SERVING):
                    height = place + (side - 0.5) * 0.34
                    ratio = against(samples, app, test, rival, measure)
                    if ratio is None:  # the rival answered no request: off every scale
                        x = high if measure == "rps" else low
                        panel.plot(
                            x,
                            height,
                            marker=">" if measure == "rps" else "<",
                            color=colour,
                            clip_on=False,
                            markersize=7,
                        )
                        panel.annotate("no answer at all", (x, height), xytext=(-8 if measure == "rps" else 8, 0), textcoords="offset points", ha="right" if measure == "rps" else "left", va="center", fontsize=7.5, color=colour)  # fmt: skip
                        continue
                    panel.plot(
                        [max(ratio.low, low), min(ratio.high, high)],
                        [height, height],
                        color=colour,
                        linewidth=1.6,
                        alpha=0.55,
                    )
                    panel.plot(
                        min(max(ratio.median, low), high),
                        height,
                        marker=marker,
                        color=colour,
                        markersize=5.5,
                        label=label if place == 0 else None,
                        linestyle="none",
                        clip_on=False,
                    )
            panel.set_yticks(range(len(SERVING)), [LOADS[test] for test in SERVING])
            panel.set_ylim(len(SERVING) - 0.5, -0.5)
            panel.grid(axis="x", color="#e5e7eb", linewidth=0.8)
            for edge in range(1, len(SERVING)):
                panel.axhline(edge - 0.5, color="#f3f4f6", linewidth=0.8, zorder=0)
            panel.set_axisbelow(True)
            panel.tick_params(axis="y", length=0)
            panel.xaxis.set_major_locator(FixedLocator(ticks))
            panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            panel.xaxis.set_minor_locator(NullLocator())
            panel.spines[["top", "right", "left"]].set_visible(False)
            if row == 0:
                panel.set_title(name, fontweight="bold", fontsize=11)
            if column == 1:
                panel.set_xlabel(title, fontweight="bold", labelpad=6)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2, frameon=False)
    figure.suptitle("Slipway, compared with", x=0.01, ha="left", fontsize=12, fontweight="bold")
    path.parent.mkdir(parents=True, exist_ok=True)
    # No date in the file: the same figures are the same picture.
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)
    pyplot.close(figure)


def main() -> None:
    """Draw the plot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.plot", description=__doc__)
    parser.add_argument("path", nargs="?", type=Path, default=PLOT, help="another file, such as picture.png")
    samples = json.loads(RESULTS.read_text(encoding="utf-8"))["serving"]["samples"]
    draw([Sample(**one) for one in samples], parser.parse_args().path)


if __name__ == "__main__":
    main()
