"""What the authority answered in certbot's last run, from certbot's log.

certbot prints less than it logs: neither the kind of an error, nor when the authority may be asked again. The log is untrusted: its
user writes it, and it holds whatever the authority answered.
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from . import confined
from .settings import Settings, Trouble

LOG = "letsencrypt.log"
BEGUN = "Saving debug log to "
"""What certbot prints when it has begun a new log. Without it, the log is an earlier run's."""
ANSWER = "Received response:\n"
LONGEST = 7 * 86400.0
"""Seconds: the longest limit of Let's Encrypt. An authority that says more is asked after that time."""
HEADERS = 16 * 1024
"""Letters of an answer in which its headers are searched."""
ERROR = re.compile(r"^acme\.messages\.Error: (?:Problem for [^\n ]{1,300}: )?(urn:[^\n]{1,1000})", re.MULTILINE)
PROFILES = 20
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")


@dataclass(frozen=True)
class Answers:
    """What matters of the authority's answers."""

    error: str = ""
    """The last problem that it stated (RFC 8555, section 6.7): `<type> :: <detail>`."""
    wait: float | None = None
    """Seconds after which it may be asked again; None where it did not say so."""
    profiles: tuple[str, ...] | None = None
    """The profiles that it offers; None where it was not asked for its directory."""


def answers(settings: Settings, output: str) -> Answers:
    """What the log of the run with this output holds; nothing where the run wrote none."""
    if BEGUN not in output:
        return Answers()
    path = os.path.join(settings.acme, "certbot", "logs", LOG)
    try:
        text = confined.read(path, settings.user, confined.FILE).decode("utf-8", "replace")
    except Trouble:
        return Answers()
    return parse(text)


def parse(text: str) -> Answers:
    """What a log holds."""
    errors = ERROR.findall(text)
    parts = text.split(ANSWER)[1:]
    return Answers(_problem(errors[-1]) if errors else "", _wait(parts), _profiles(parts))


def _problem(line: str) -> str:
    """A problem as certbot logs it: its type, certbot's words for that type if it knows it, the detail, maybe a title."""
    kind, *words = line.split(" :: ")
    return " :: ".join([kind, *(words[1:2] or words[:1])])


def _wait(parts: list[str]) -> float | None:
    """The Retry-After of the last answer that refuses for now."""
    for part in reversed(parts):
        if part.startswith(("HTTP 429\n", "HTTP 503\n")):
            head = part[:HEADERS].partition("\n\n")[0]
            values = re.findall(r"(?im)^retry-after: *([^\n]{1,100})", head)
            return _seconds(values[0].strip()) if values else None
    return None


def _seconds(value: str) -> float | None:
    """A Retry-After, which is a number of seconds or a time."""
    if re.fullmatch(r"[0-9]{1,9}", value):
        seconds = float(value)
    else:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return min(max(seconds, 1.0), LONGEST)


def _profiles(parts: list[str]) -> tuple[str, ...] | None:
    """The profiles in the directory, which is certbot's first request."""
    for part in parts[:3]:
        _head, _blank, body = part.partition("\n\n")
        try:
            directory, _end = json.JSONDecoder().raw_decode(body.lstrip())
            if "newOrder" in directory:
                names = list(directory.get("meta", {}).get("profiles", {}))[:PROFILES]
                return tuple(name for name in names if NAME.fullmatch(name))
        except (ValueError, TypeError, AttributeError, RecursionError):
            continue
    return None
