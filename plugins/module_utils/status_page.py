"""The overview as one page for a browser: it needs no other file and no network."""

from __future__ import annotations

import time
from collections.abc import Sequence
from html import escape
from pathlib import Path

from .contract.words import counted
from .overview import HEADING, NONE, TIMERS, Overview, Row, age, cells, failed, host_cells, timer_cells

PAGE = Path(__file__).with_name("status_page.html")
"""The page without its content, whose places are marked `@name@`."""
WIDTH, HEIGHT = 120, 28
"""Of a chart, in pixels."""
SORTED = (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)
"""The columns that sort by number."""
SORTED_TIMERS = (4, 5, 7)
"""Those of the timers."""


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
        columns = _columns(HEADING, shown, numbers, SORTED)
        chart = f'<td class="chart" data-label="5 minutes">{_chart(row)}</td>' if any(row.counts) else "<td></td>"
        rows.append(f'<tr class="{"bad" if bad else "good"}">{columns}{chart}</tr>')
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
        "verdict": "All is well" if not it.problems else counted(len(it.problems), "problem"),
        "state": "good" if not it.problems else "bad",
        "hosts": counted(hosts, "host"),
        "apps": counted(apps, "app"),
        "rate": f"{sum(rates):.1f} requests/s",
        "youngest": f"last start {age(min(since))} ago" if since else "no process runs",
        "heads": f'{_heads(HEADING, SORTED)}<th scope="col">5 minutes</th>',
        "rows": "".join(rows),
        "timers": _timers(it, now),
        "problems": f"<ul>{problems}</ul>" if problems else "",
    }
    html = PAGE.read_text(encoding="utf-8")
    for name, text in texts.items():
        html = html.replace(f"@{name}@", text)
    return html


def _columns(heading: Sequence[str], shown: Sequence[str], numbers: Sequence[object], by_number: Sequence[int]) -> str:
    """The cells of a row: what they show, and by which number they are sorted."""
    cells = []
    for index, (text, value) in enumerate(zip(shown, numbers, strict=True)):
        sorted_by_number = index in by_number
        classes = " ".join(["number"] * sorted_by_number + ["none"] * (text == NONE))
        key = f' data-value="{-1 if value is None else value}"' if sorted_by_number else ""
        cells.append(f'<td data-label="{escape(heading[index])}" class="{classes}"{key}>{escape(text)}</td>')
    return "".join(cells)


def _heads(heading: Sequence[str], by_number: Sequence[int]) -> str:
    """The buttons that sort a table; the heading's last word is the table's mark for problems."""
    return "".join(
        f'<th scope="col"{" class=number" if index in by_number else ""}><button type="button">{escape(name)}</button></th>'
        for index, name in enumerate(heading[:-1])
    )


def _timers(it: Overview, now: float) -> str:
    """The table of the timers; empty without any."""
    if not it.timers:
        return ""
    rows = []
    for one in it.timers:
        ago = now - one.began if one.began is not None else None
        ahead = one.next - now if one.next is not None else None
        numbers = ("", "", "", "", ago, one.seconds, "", ahead)
        columns = _columns(TIMERS, timer_cells(one, now), numbers, SORTED_TIMERS)
        rows.append(f'<tr class="{"bad" if failed(one) else "good"}">{columns}</tr>')
    heads = _heads(TIMERS, SORTED_TIMERS)
    return f"<h2>Timers</h2><table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _chart(row: Row) -> str:
    """Bars of the requests, with the failed ones in front."""
    highest = max(row.counts)
    step = WIDTH / len(row.counts)
    bars = _bars(row.counts, highest, step, "all") + _bars(row.failed, highest, step, "failed")
    label = f"{counted(sum(row.counts), 'request')} in 5 minutes, {sum(row.failed)} failed"
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
