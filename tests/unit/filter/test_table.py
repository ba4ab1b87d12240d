"""The list of releases, for people and for programs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.filter.table import human, listing, rows, table, unheard


def release(**change: Any) -> dict[str, Any]:
    return {
        "app": "shop",
        "id": "v1-00000001",
        "version": "v1",
        "when": "2026-01-01T00:00:00Z",
        "who": "ann",
        "bytes": 1234567,
        "current": False,
        "previous": False,
        "bad": None,
        **change,
    }


def test_a_table_has_a_line_for_each() -> None:
    shown = table(
        [
            release(current=True),
            release(id="v0-00000000", previous=True, bytes=12),
            release(id="x-00000002", when="", who="", bad="it hung\nat import"),
        ]
    )
    assert shown.splitlines() == [
        "app   release      current since         by   size",
        "shop  v1-00000001  2026-01-01T00:00:00Z  ann  1.2 MB  current",
        "shop  v0-00000000  2026-01-01T00:00:00Z  ann  12 B    previous",
        "shop  x-00000002   never                      1.2 MB  bad: it hung",
    ]


def test_a_bad_release_may_be_current_or_the_one_before_it() -> None:
    assert table([release(current=True, bad="rolled back")]).endswith("current, bad: rolled back")
    assert table([release(previous=True, bad="")]).endswith("previous, bad")


def test_no_release() -> None:
    assert table([]) == "no release"


@pytest.mark.parametrize(("count", "shown"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2.5e12, "2500.0 GB")])
def test_sizes(count: float, shown: str) -> None:
    assert human(count) == shown


def test_machines_get_the_releases_of_all_hosts() -> None:
    assert rows([{"releases": [release()]}, {"releases": []}, {}], ["a", "b", "c"]) == [{"host": "a", **release()}]


def test_the_listing_names_the_hosts_that_do_not_answer() -> None:
    states = {"one": {"releases": [release()]}, "two": {"trouble": "no route"}}
    sentence = "two: does not answer: no route. Next: ssh two"
    assert unheard(states) == [sentence]
    assert listing(states, "releases") == f"one:\n{table([release()])}\n! {sentence}"
    assert json.loads(listing(states, "releases", as_json=True)) == [{"host": "one", **release()}]
    assert listing({"one": states["one"]}, "releases") == table([release()])
    assert listing({"one": {"changed": False}}, "certificates") == "no certificate"
