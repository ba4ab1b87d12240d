"""Filters that show results to people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

UNITS = ("B", "kB", "MB", "GB")


def table(releases: Sequence[Mapping[str, Any]]) -> str:
    """Releases as a table, one line each."""
    rows = [("app", "release", "current since", "by", "size", "")]
    for one in releases:
        mark = (
            "current"
            if one["current"]
            else f"bad: {one['bad'].splitlines()[0]}"
            if one["bad"]
            else "previous"
            if one["previous"]
            else ""
        )
        rows.append((one["app"], one["id"], one["when"] or "never", one["who"], human(one["bytes"]), mark))
    if len(rows) == 1:
        return "no release yet"
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def human(count: float) -> str:
    """Bytes in the unit that suits them."""
    for unit in UNITS:
        if count < 1000 or unit == UNITS[-1]:
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


class FilterModule:
    """`slipway.kit.table`."""

    def filters(self) -> dict[str, Callable[[Any], str]]:
        """The filters by name."""
        return {"table": table}
