"""The overview as one page for a browser: it needs no other file and no network."""

from __future__ import annotations

import time
from collections.abc import Sequence
from html import escape
from pathlib import Path

from .overview import HEADING, WEB, Overview, Row, age, cells, host_cells

PAGE = Path(__file__).with_name("status_page.html")
"""The page without its content, whose places are marked `@name@`."""
WIDTH, HEIGHT = 120, 28
"""Of a chart, in pixels."""
SORTED = (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)
"""The columns that sort by number."""


def page(it: Overview, now: float) -> str:
    """The text of the page."""
    states = {one.host: one for one in it.hosts}
    troubled = {(problem.host, problem.app) for problem in it.problems}
    rows = []
    for row in it.rows:
        state = states[row.host]
        shown = (*cells(row, now), *host_cells(state))
        numbers = (
            "", "", "", now - row.since if row.since is not None else -1, row.workers, row.requests_per_second,
            row.error_share, row.p95_ms, row.memory, row.restarts, row.queue, state.disk_percent,
            state.certificate_days, state.drift,
        )  # fmt: skip
        bad = (row.host, row.app) in troubled or (row.host, "") in troubled
        columns = "".join(
            f'<td data-label="{escape(HEADING[number])}"'
            + (f' class="number" data-value="{-1 if value is None else value}"' if number in SORTED else "")
            + f">{escape(text)}</td>"
            for number, (text, value) in enumerate(zip(shown, numbers, strict=True))
        )
        chart = f'<td class="chart" data-label="5 minutes">{_chart(row)}</td>' if row.program == WEB else "<td></td>"
        rows.append(f'<tr class="{"bad" if bad else "good"}">{columns}{chart}</tr>')
    heads = "".join(
        f'<th scope="col"{" class=number" if number in SORTED else ""}><button type="button">{escape(name)}</button></th>'
        for number, name in enumerate(HEADING[:-1])
    )
    problems = "".join(
        f"<li><span>{escape(f'{one.host}: {one.app} {one.text}' if one.app else f'{one.host}: {one.text}')}.</span>"
        f"<code>{escape(one.next)}</code></li>"
        for one in it.problems
    )
    hosts, apps = len(it.hosts), len({row.app for row in it.rows})
    rates = [row.requests_per_second for row in it.rows if row.requests_per_second is not None]
    since = [now - row.since for row in it.rows if row.since is not None]
    texts = {
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now)),
        "verdict": "All is well" if not it.problems else _count(len(it.problems), "problem"),
        "state": "good" if not it.problems else "bad",
        "hosts": _count(hosts, "host"),
        "apps": _count(apps, "app"),
        "rate": f"{sum(rates):.1f} requests/s",
        "youngest": f"last start {age(min(since))} ago" if since else "no process runs",
        "heads": f'{heads}<th scope="col">5 minutes</th>',
        "rows": "".join(rows),
        "problems": f"<ul>{problems}</ul>" if problems else "",
    }
    html = PAGE.read_text(encoding="utf-8")
    for name, text in texts.items():
        html = html.replace(f"@{name}@", text)
    return html


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _chart(row: Row) -> str:
    """Bars of the requests, with the failed ones in front."""
    if not row.counts:
        return ""
    highest = max(1, *row.counts)
    step = WIDTH / len(row.counts)
    bars = _bars(row.counts, highest, step, "all") + _bars(row.failed, highest, step, "failed")
    label = f"{sum(row.counts)} requests in 5 minutes, {sum(row.failed)} failed"
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{label}">'
        f"<title>{label}</title>{bars}</svg>"
    )


def _bars(counts: Sequence[int], highest: int, step: float, kind: str) -> str:
    return "".join(
        f'<rect class="{kind}" x="{number * step:.1f}" y="{HEIGHT - height:.1f}" width="{step - 1:.1f}" height="{height:.1f}"/>'
        for number, count in enumerate(counts)
        if (height := max(1.5, HEIGHT * count / highest) if count else 0)
    )
