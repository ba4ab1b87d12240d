"""Filters that format results for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.slipway.kit.plugins.module_utils import log_lines

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


class FilterModule:
    """`slipway.kit.table`, `slipway.kit.certificates`, `slipway.kit.rows`, `slipway.kit.log_lines`."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"table": table, "certificates": certificates, "rows": rows, "log_lines": log_lines.merged}
