"""An app's lines on this host, by time: those of its programs in every kept release, and nginx's.

Each file of a log is read once, whatever it is called (`logfiles`). So nothing is lost or doubled when a log is rotated while
it is followed. What the lines say is read without rights (`apart`).
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ...contract import bounded, names, queries
from ...contract.errors import HostError
from ...contract.manifest import release_path
from ..base import apart
from ..process.masking import Masking
from ..system import releases
from . import access, logfiles
from .logfiles import LONGEST, QUIET, Cursors, Log, Part

LIMIT = 8 << 20
"""Bytes that are read of a file, from its end."""
LINES = 200_000
"""Lines that are read of a file at once. Short ones take many times their size in memory, and an app decides how short they are."""
ENTRIES, SIZE = 4000, 2 << 20
"""Entries of an answer, and their size in it."""
SECONDS, UNPACKING = 60.0, 25.0
"""For reading all logs, and those of them that are compressed: a small file may hold many gigabytes."""
TICK = 0.25
"""Seconds between two looks at a log that is followed."""
SLACK = 60.0
"""Seconds by which a line's time may be before its log began, or after it was last written."""
STAMP = re.compile(
    r"\[?(\d{4})[-/](\d{2})[-/](\d{2})[T ](\d{2}):(\d{2}):(\d{2})(?:[.,](\d{1,9}))?\s?(Z|[+-]\d{2}:?\d{2})?"
)
"""A time at the beginning of a line, as gunicorn, Python's logging, nginx and ISO 8601 write it."""
KEYS = ("time", "timestamp", "@timestamp", "ts", "asctime")
"""Where a line that is a JSON object has its time."""
REQUEST = re.compile(r'request: "[A-Z]+ (\S+)')
CHAINED = ("During handling of the above exception", "The above exception was the direct cause")
TRACEBACK = re.compile(r"\s*(?:\+ )?(?:Exception Group )?Traceback \(most recent call last\):")


@dataclass
class Entry:
    """Lines that belong together."""

    lines: list[str]
    stamp: float | None
    """The time in its first line."""
    offset: int
    """Where it begins in its file."""
    at: float | None = None
    """Its time; estimated where its first line has none."""

    def __post_init__(self) -> None:
        self.at = self.stamp


def read(
    root: str, every: Sequence[Log], since: float, pattern: str, follow: bool, cursors: Cursors | None, wait: float
) -> dict[str, Any]:
    """The entries since a time, or since the last call.

    Args:
        root: the app's.
        every: its logs.
        since: a time; entries before it are left out.
        pattern: a regular expression that is searched in each entry; empty for all.
        follow: whether more calls come. The last entry of a log then waits until it is complete.
        cursors: how far each file was read, from the last answer; None for the first.
        wait: seconds to wait for a new entry.

    Raises:
        HostError: the logs could not be read in time.
    """
    until = time.monotonic() + wait
    while cursors is not None and time.monotonic() < until and not logfiles.grown(every, cursors):
        time.sleep(TICK)
    parts = [part for log in every for part in logfiles.parts(log, since, cursors)]
    places: Cursors = {}
    try:
        answer = apart.apart(lambda: _read(parts, since, pattern, follow, cursors is not None), SECONDS)
        for part, end in zip(parts, answer["ends"], strict=True):
            if not part.packed:
                place = (end, logfiles.marked(part.number, end))
                places.setdefault(part.log.path, {})[str(part.inode)] = place
    finally:
        for part in parts:
            os.close(part.number)
    _mask(root, answer["entries"])
    return {
        "entries": answer["entries"],
        "left_out": answer["left_out"],
        "unread": [{"path": parts[index].path, "bytes": count} for index, count in answer["unread"]],
        "cursors": json.dumps(logfiles.remembered(places, cursors or {})),
    }


def _mask(root: str, entries: Sequence[dict[str, Any]]) -> None:
    """Hide the secrets of each entry's release; where it has none, those of all kept releases, and those of a query."""
    if not entries:
        return
    folder = f"{root}/releases"
    listed = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    hides: dict[str, Masking] = {}
    for release_id in filter(names.RELEASE.fullmatch, listed):
        if manifest := releases.manifest_or_none(root, release_id):
            hides[release_id] = Masking(release_path(root, release_id), manifest.secrets)
    for entry in entries:
        known = [hides[entry["release"]]] if entry["release"] in hides else hides.values()
        for hide in known:
            entry["text"] = hide(entry["text"], cut=len(entry["text"]) >= LONGEST)
        if not entry["release"]:
            entry["text"] = queries.masked(entry["text"])


def _read(parts: Sequence[Part], since: float, pattern: str, follow: bool, later: bool) -> dict[str, Any]:
    """What the files say; runs without rights."""
    search = re.compile(pattern).search if pattern else None
    by_part: list[list[dict[str, Any]]] = [[] for _ in parts]
    ends = [part.begin for part in parts]
    unread: list[tuple[int, int]] = []
    now, left, left_out, count, size = time.time(), LIMIT, 0, 0, 0
    rest, until = b"", time.monotonic() + UNPACKING
    for index in _order(parts) if later else range(len(parts)):
        part = parts[index]
        cut = not follow and part.cut and index + 1 < len(parts) and parts[index + 1].log == part.log
        try:
            data, begin, skipped = _data(part, later, left, until)
            data, rest = (rest if not skipped else b"") + data, b""
            if cut:
                data, rest = _without_last_line(data)
            grouped, ends[index] = _of_part(part, data, begin, follow, later, now)
        except Exception:  # an app writes the file, and must not hide the other ones
            ends[index], rest = part.size, b""
            unread.append((index, part.size - part.begin))
            continue
        if skipped and next((entry.stamp for entry in grouped if entry.stamp is not None), since) >= since:
            unread.append((index, skipped))
        for entry in grouped:
            text = "\n".join(entry.lines)[:LONGEST]
            at = entry.at if entry.at is not None else now
            if (at < since and not later) or (search and not search(text)) or not _about(part.log, text):
                continue
            if later and (count >= ENTRIES or size + _size(text) > SIZE):
                ends[index] = entry.offset  # the rest is for the next call
                left = 0
                break
            about = {"source": part.log.source, "release": part.log.release_id}
            by_part[index].append({"at": max(0, int(at * 1000)), **about, "text": text})
            count += 1
            size += _size(text)
        if later:
            left -= min(left, ends[index] - part.begin)
            if begin + len(data) < part.size and not part.packed:
                left = 0  # a newer file of this log comes after the rest
        by_part[index], beyond = _last(by_part[index])  # not all of every file at once
        left_out += beyond
    entries, beyond = _last(itertools.chain.from_iterable(by_part))
    return {"entries": entries, "left_out": left_out + beyond, "unread": unread, "ends": ends}


def _last(entries: Iterable[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """The last entries by time that an answer holds, and how many are before them."""
    ordered = sorted(entries, key=lambda entry: int(entry["at"]))
    kept, size = len(ordered), 0
    while kept and len(ordered) - kept < ENTRIES and size + _size(ordered[kept - 1]["text"]) <= SIZE:
        kept -= 1
        size += _size(ordered[kept]["text"])
    return ordered[kept:], kept


def _size(text: str) -> int:
    """The characters of a text in an answer, where each one that is not ASCII takes six or twelve."""
    return len(json.dumps(text))


def _order(parts: Sequence[Part]) -> list[int]:
    """The order in which files are read: a log that is flooded is the last, so that it does not hold up the others."""
    backlog: Counter[str] = Counter()
    for part in parts:
        backlog[part.log.path] += part.size - part.begin
    return sorted(range(len(parts)), key=lambda index: (backlog[parts[index].log.path], index))


def _about(log: Log, text: str) -> bool:
    """Whether a line of nginx's is about the app."""
    if log.mount in ("", "/"):
        return True
    if log.source == logfiles.NGINX:
        request = access.parse(text)
        path = request.path if request else ""
    else:
        match = REQUEST.search(text)
        path = match[1] if match else log.mount
    return path == log.mount or path.startswith(f"{log.mount}/")


def _data(part: Part, later: bool, left: int, until: float) -> tuple[bytes, int, int]:
    """What is to be read of a file, where that begins, and how many bytes before it are not read.

    The first call reads the end of a file. Later ones leave nothing out: what is beyond the bytes that are `left` is for the
    next call.
    """
    if part.packed:
        data, skipped = _unpacked(part.number, until)
        begin = skipped
    else:
        begin = part.begin if later else max(part.begin, part.size - LIMIT)
        data = os.pread(part.number, min(part.size - begin, left if later else LIMIT), begin)
        skipped = begin - part.begin
    first = data.find(b"\n") + 1 if skipped else 0  # in the middle of a line
    if data.count(b"\n") > LINES:
        if later and not part.packed:
            return data[: len(data) - len(data.split(b"\n", LINES)[-1])], begin, skipped
        first = max(first, len(data.rsplit(b"\n", LINES + 1)[0]) + 1)
        skipped = begin + first - part.begin if not part.packed else skipped + first
    return data[first:], begin + first, skipped


def _without_last_line(data: bytes) -> tuple[bytes, bytes]:
    """The whole lines, and the begin of a line of which the rest is in the next file."""
    whole = data.rfind(b"\n") + 1
    return data[:whole], data[whole:][:LONGEST]


def _of_part(part: Part, data: bytes, begin: int, follow: bool, later: bool, now: float) -> tuple[list[Entry], int]:
    """The entries of a file with their times, and how far it was read."""
    unfinished = part.changed > now - QUIET or begin + len(data) < part.size
    whole = data.rfind(b"\n") + 1
    if not follow or (part.moved and not unfinished) or (not whole and len(data) >= LIMIT):
        whole = len(data)  # no more of the line comes, or no program writes such a line
    entries = list(group(data[:whole], begin, part.log.source == logfiles.NGINX))
    end = begin + whole
    if follow and unfinished and entries and end - entries[-1].offset < LONGEST:
        end = entries.pop().offset  # more of it may come
    if not part.log.of_nginx:
        doubt(entries, part.log.since, part.changed)
    fill(entries, part.log.since, part.changed, later, now)
    return entries, end


def _unpacked(number: int, until: float) -> tuple[bytes, int]:
    """The end of a compressed file, and how many bytes are before it. Raises HostError where that takes too long."""
    data, size = b"", 0
    with os.fdopen(os.dup(number), "rb") as raw, gzip.GzipFile(fileobj=io.BufferedReader(raw)) as packed:
        try:
            while piece := packed.read(1 << 20):
                data += piece
                size += len(piece)
                if len(data) > 2 * LIMIT:  # not for each piece: it copies all that is kept
                    data = data[-LIMIT:]
                if time.monotonic() > until:
                    raise HostError("it takes too long to unpack")
        except (OSError, EOFError):
            pass
    data = data[-LIMIT:]
    return data, size - len(data)


def group(data: bytes, begin: int, access_log: bool = False) -> Iterator[Entry]:
    """Lines that belong together: a traceback with the line before it, and lines that are indented.

    One that follows another traceback belongs to it only if Python says so, or if a line with a time began the entry.
    """
    entry: Entry | None = None
    open_traceback = traced = False
    offset = begin
    for raw in data.replace(b"\r", b" ").splitlines(keepends=True):
        line = raw.decode("utf-8", "replace").rstrip("\n")
        at = moment(line, access_log)
        begins = bool(TRACEBACK.match(line))
        more = (
            entry is not None
            and at is None
            and (
                open_traceback
                or not line.strip()
                or line[0] in " \t|"
                or line.startswith(CHAINED)
                or (begins and (entry.at is not None or not traced))
            )
        )
        if entry is not None and more:
            if len(entry.lines) < 2000:
                entry.lines.append(line)
        else:
            if entry is not None:
                yield entry
            entry, traced = Entry([line], at, offset), False
        if begins:
            open_traceback = traced = True
        elif open_traceback and line.strip() and line[0] not in " \t|+":
            open_traceback = False  # the exception itself
        offset += len(raw)
    if entry is not None:
        yield entry


def moment(line: str, access_log: bool = False) -> float | None:
    """The time that a line begins with, or that a line of nginx's access log has in it; None without one."""
    head = line[:400]
    if head.startswith("{"):
        try:
            data = bounded.loads(line, bounded.LINE)
        except ValueError:
            return None
        value = next((data[key] for key in KEYS if isinstance(data, dict) and key in data), "")
        head = str(value) if isinstance(value, (str, int, float)) else ""
        if re.fullmatch(r"\d{10}(?:\.\d+)?", head):
            return float(head)
    match = STAMP.match(head)
    if match is None:
        request = access.parse(line) if access_log else None
        return request.when if request else None
    *fields, fraction, zone = match.groups()
    text = "{}-{}-{}T{}:{}:{}".format(*fields) + f".{(fraction or '0')[:6]:0<6}"
    try:
        when = datetime.fromisoformat(text)
        if zone:
            digits = "+00:00" if zone == "Z" else f"{zone[:3]}:{zone[-2:]}"
            when = datetime.fromisoformat(text + digits)
        return when.timestamp()
    except (ValueError, OverflowError):
        return None


def doubt(entries: Sequence[Entry], first: float, last: float) -> None:
    """Forget times that cannot be: an app may write any, and hide its lines by them, or move those around them."""
    for entry in entries:
        if entry.at is not None and not first - SLACK <= entry.at <= last + SLACK:
            entry.at = None


def fill(entries: Sequence[Entry], first: float, last: float, later: bool, now: float) -> None:
    """Give a time to entries without one: evenly between those around them in the file."""
    if later:
        for entry in entries:
            entry.at = now if entry.at is None else entry.at
        return
    index, before = 0, first
    while index < len(entries):
        at = entries[index].at
        if at is not None:
            before = at
            index += 1
            continue
        end = index
        while end < len(entries) and entries[end].at is None:
            end += 1
        after = entries[end].at if end < len(entries) else last
        after = max(before, after if after is not None else last)
        begin = before or after
        for number in range(index, end):
            entries[number].at = begin + (after - begin) * (number - index + 1) / (end - index + (end < len(entries)))
        index = end
