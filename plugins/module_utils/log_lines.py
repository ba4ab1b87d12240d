"""The entries of several hosts' logs, merged and shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from . import next_commands, overview
from .contract.words import counted


def line(entry: Mapping[str, Any], as_json: bool) -> str:
    """An entry of logs that are followed: for people, or a JSON object on one line for programs."""
    return json.dumps(entry) if as_json else text(entry)


def text(entry: Mapping[str, Any]) -> str:
    """An entry for people: its first line with time, host and source, the others below it."""
    when = datetime.fromtimestamp(entry["at"] / 1000, timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    first, *others = str(entry["text"]).split("\n")
    return "\n".join([f"{when} {entry['host']} {entry['source']} | {first}", *(f"    | {line}" for line in others)])


def merged(states: Mapping[str, Mapping[str, Any]], as_json: bool = False) -> str:
    """The entries of all hosts by time, how many were left out, and the hosts that did not answer."""
    entries = [{"host": host, **entry} for host, state in states.items() for entry in state.get("entries") or ()]
    entries.sort(key=lambda entry: entry["at"])
    if as_json:
        return json.dumps(entries)
    notes = (note for host, state in states.items() for note in left_out(host, state))
    shown = list(map(text, entries)) or [_nothing(states)]
    return "\n".join([*notes, *shown, *(f"! {problem}" for problem in overview.silent(states))])


def _nothing(states: Mapping[str, Mapping[str, Any]]) -> str:
    """Why there is no line."""
    if any(state.get("deployed", True) for state in states.values()):
        return "no line"
    return "no line: no host has a release of the app"


def left_out(host: str, state: Mapping[str, Any]) -> Iterator[str]:
    """What a host's answer lacks of the requested lines, and how to see it."""
    if count := state.get("left_out"):
        yield f"{host}: {counted(count, 'earlier entry is', 'earlier entries are')} left out; ask for fewer with -e since=… or -e grep=…"
    for one in state.get("unread") or ():
        pager = "zless" if one["path"].endswith(".gz") else "less"
        command = next_commands.reached(f"ssh {host} sudo {pager} {one['path']}", host, state.get("by"))
        yield (
            f"{host}: the first {_size(one['bytes'])} of {one['path']} were not read; "
            f"see them with {re.sub('^ssh', 'ssh -t', command)}"
        )


def _size(count: int) -> str:
    """A number of bytes for people."""
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else counted(count, "byte")
