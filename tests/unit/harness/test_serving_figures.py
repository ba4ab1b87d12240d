"""The serving benchmark: ratios of its samples, and variants that still fit the kit's templates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.serving import figures
from benchmarks.serving.figures import BARE, KIT, TUTORIAL, Sample
from benchmarks.serving.variants import VARIANTS

TEMPLATES = Path(__file__).parents[3] / "templates/nginx"


def sample(server: str, rps: float, number: int = 0, test: str = "json") -> Sample:
    return Sample("serving", number, "flask", test, server, cpu=1.0, rps=rps, p50=1.0, p99=2.0, size=3, errors=0)


def test_rounds_are_compared_one_by_one():
    samples = [sample(KIT, 200, 0), sample(TUTORIAL, 100, 0), sample(KIT, 30, 1), sample(TUTORIAL, 10, 1)]
    ratio = figures.against(samples, "flask", "json", TUTORIAL, "rps")
    assert ratio == figures.Ratio(2.5, 2.0, 3.0)
    assert str(ratio) == "**2.50** (2.00 to 3.00)"


def test_a_rival_that_answers_nobody_in_a_round_has_no_ratio():
    samples = [sample(KIT, 200, 0), sample(TUTORIAL, 0, 0), sample(KIT, 30, 1), sample(TUTORIAL, 10, 1)]
    assert figures.against(samples, "flask", "json", TUTORIAL, "rps") is None
    assert "| quick: JSON | 1 | tutorial | **1.00** (1.00 to 1.00) | ∞ |" in figures.serving(samples)


def test_a_rival_that_answers_too_few_has_no_processor_time():
    """Its host's idle time is taken off, and more than that is not left."""
    samples = [sample(KIT, 200), replace(sample(TUTORIAL, 1), cpu=-3.5)]
    assert figures.against(samples, "flask", "json", TUTORIAL, "cpu") is None
    assert figures.against(samples, "flask", "json", TUTORIAL, "rps") == figures.Ratio(200, 200, 200)


def test_a_table_has_a_line_for_each_load_and_rival_that_was_measured():
    samples = [
        sample(KIT, 200),
        sample(TUTORIAL, 100),
        sample(KIT, 50, test="static"),
        sample(BARE, 100, test="static"),
    ]
    lines = [line for line in figures.serving(samples).splitlines() if "**" in line]
    assert [line.split(" | ")[:3] for line in lines] == [
        ["| quick: JSON", "1", "tutorial"],
        ["| static file of 16 kB", "1", "bare"],
    ]
    assert lines[1].split(" | ")[4] == "**0.50** (0.50 to 0.50)"


def test_a_variant_is_compared_with_the_default_before_and_after_it():
    samples = [sample(KIT, 100), sample("v", 150), sample(KIT, 200), sample("w", 100), sample(KIT, 999, number=1)]
    assert figures.tried(samples, "flask", "json", "v", "rps") == figures.Ratio(1.0, 1.0, 1.0)
    assert figures.tried(samples, "flask", "json", "w", "rps") == figures.Ratio(0.5, 0.5, 0.5)
    assert figures.tried(samples, "flask", "json", "x", "rps") is None


def test_every_variant_changes_something_that_is_there():
    texts = "".join(path.read_text(encoding="utf-8") for path in TEMPLATES.iterdir())
    for variant in VARIANTS:
        for old, new in variant.nginx:
            assert old in texts, f"{variant.key}: no {old!r} in the templates"
            assert old != new
    keys = [(variant.app, variant.key) for variant in VARIANTS]
    assert len(set(keys)) == len(keys)
