"""Filters that format results for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.slipway.kit.plugins.module_utils import log_lines, overview

UNITS = ("B", "kB", "MB", "GB")


def table(releases: Sequence[Mapping[str, Any]]) -> str:
    """Format releases as a table, one line each."""
    lines = [("app", "release", "current since", "by", "size", "")]
    for one in releases:
        marks = [word for word in ("current", "previous") if one[word]]
        if one["bad"] is not None:
            marks.append(f"bad: {one['bad'].splitlines()[0]}" if one["bad"] else "bad")
        lines.append((one["app"], one["id"], one["when"] or "never", one["who"], human(one["bytes"]), ", ".join(marks)))
    if len(lines) == 1:
        return "no release"
    return "\n".join(_aligned(lines))


def certificates(rows: Sequence[Mapping[str, Any]]) -> str:
    """Format certificates as a table, one line each, with the last failure below its line."""
    lines = [("site", "names", "source", "issuer", "expires", "days", "renews")]
    failures = [""]
    for one in rows:
        kind = one["source"] if one["kind"] == one["source"] else f"{one['source']} ({one['kind']})"
        days = str(one["days"]) if one["expires"] else ""
        names = " ".join(one["domains"]) or "every other name"
        lines.append((one["site"], names, kind, one["issuer"], one["expires"][:10], days, one["renews"][:10]))
        failures.append(f"  failed {one['failed']}: {one['failure']}".replace(" :", ":") if one["failure"] else "")
    if len(lines) == 1:
        return "no certificate"
    texts = [text for pair in zip(_aligned(lines), failures, strict=True) for text in pair if text]
    return "\n".join(texts)


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in lines) for column in range(len(lines[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in lines]


def human(count: float) -> str:
    """Format a number of bytes with a suitable unit."""
    for unit in UNITS:
        if count < 1000 or unit == UNITS[-1]:
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def rows(results: Iterable[Mapping[str, Any]], hosts: Sequence[str], key: str = "releases") -> list[dict[str, Any]]:
    """Join the lists of that key, which a module returned on all hosts, into one."""
    return [{"host": host, **one} for host, result in zip(hosts, results, strict=True) for one in result.get(key) or ()]


TABLES: Mapping[str, Callable[[Sequence[Mapping[str, Any]]], str]] = {"releases": table, "certificates": certificates}
"""The tables, by the key of a module's result whose rows they show."""


def listing(states: Mapping[str, Mapping[str, Any]], key: str, as_json: bool = False) -> str:
    """List what each host returned under a key: its table, or one JSON list for all hosts. Name the hosts that did not answer."""
    if as_json:
        return json.dumps(rows(states.values(), list(states), key))
    tables = {host: TABLES[key](state.get(key) or ()) for host, state in states.items() if "trouble" not in state}
    blocks = [f"{host}:\n{text}" if len(states) > 1 else text for host, text in tables.items()]
    return "\n".join([*blocks, *(f"! {one}" for one in unheard(states))])


def unheard(states: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each host that did not answer."""
    return overview.silent(states)


class FilterModule:
    """`slipway.kit.listing`, `slipway.kit.unheard`, `slipway.kit.rows`, `slipway.kit.log_lines`."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"listing": listing, "unheard": unheard, "rows": rows, "log_lines": log_lines.merged}
