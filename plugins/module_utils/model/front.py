"""Derives what nginx does for an app beside passing on its requests: headers of answers, limits, and paths with their own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import checks, schema
from .manners import HEADERS

MEDIA = frozenset(["x-content-type-options", "content-security-policy"])
"""What the kit always sets for files that clients uploaded, in small letters."""


@dataclass(frozen=True)
class Header:
    """A header of an app's answers."""

    name: str
    value: str
    upstream: str
    """nginx's variable with the header of the app's own answer, which comes first."""
    variable: str
    """nginx's variable with what is added: the value, or nothing."""
    is_custom: bool
    """Whether the variable is the app's own. Those of the default headers are all apps': nginx knows only so many."""


@dataclass(frozen=True)
class RateLimit:
    """How much one address may ask for."""

    rate: str
    """Requests, as nginx writes it; empty for no limit."""
    burst: int
    """Requests beyond the rate that are answered at once."""
    connections: int
    """Requests in flight; 0 for no limit."""
    retry: int
    """Seconds after which the next request is answered."""


@dataclass(frozen=True)
class Location:
    """A part of an app's paths with its own limits."""

    match: str
    """nginx's words for the paths: a modifier and a path, the mount in front."""
    stream: str
    """The name of the location for its websockets and event streams."""
    request_timeout: int
    """Seconds."""
    max_body_size: int
    """Bytes."""
    main: bool
    """Whether it is for all paths that have no other location."""
    own_stream: bool = True
    """Whether its websockets and event streams have a location that is not the main one's."""


def headers(app: str, entry: Mapping[str, Any], noindex: bool) -> tuple[Header, ...]:
    """The headers of an app's answers. What `nginx_extra` adds itself is left to it."""
    by_name = {name.lower(): (name, value) for name, value in HEADERS.items()}
    for name in checks.added_headers(entry.get("nginx_extra", "")):
        by_name.pop(name.lower(), None)
    by_name |= {name.lower(): (name, str(value)) for name, value in entry.get("headers", {}).items()}
    if noindex:
        by_name.pop("x-robots-tag", None)
    return tuple(_header(app, number, *one) for number, (_low, one) in enumerate(sorted(by_name.items()), 1) if one[1])


def default_headers() -> tuple[Header, ...]:
    """The headers that all apps have by default."""
    return tuple(_header("", 0, name, value) for name, value in HEADERS.items())


def _header(app: str, number: int, name: str, value: str) -> Header:
    word = name.lower().replace("-", "_")
    is_custom = HEADERS.get(name) != value
    return Header(
        name=name,
        value=value,
        upstream=f"$upstream_http_{word}",
        variable=f"$slipway_header_{variable(app)}_{number}" if is_custom else f"$slipway_{word}",
        is_custom=is_custom,
    )


def variable(app: str) -> str:
    """An app's name as a part of the name of one of nginx's variables."""
    return app.replace("-", "_")


def rate_limit(entry: Mapping[str, Any]) -> RateLimit | None:
    """The limits of one address; None where there are none."""
    given = entry.get("rate_limit")
    if not given:
        return None
    keys = schema.table(schema.RATE_LIMIT)
    rate = given.get("requests", "")
    count, _, per = rate.partition("/")
    seconds = {"": 0, "s": 1, "m": 60}[per]
    return RateLimit(
        rate=f"{count}r/{per}" if rate else "",
        burst=given.get("burst", keys["burst"].default),
        connections=given.get("connections", 0),
        retry=max(1, math.ceil(seconds / int(count))) if rate else 1,
    )


def locations(app: str, mount: str, entry: Mapping[str, Any]) -> tuple[Location, ...]:
    """The app's whole path, then those with their own limits."""
    keys = schema.table(schema.APP)
    prefix = "" if mount == "/" else mount
    usual = {name: entry.get(name, keys[name].default) for name in ("request_timeout", "max_body_size")}

    def location(match: str, number: int, limits: Mapping[str, Any]) -> Location:
        return Location(
            match=match,
            stream=f"@slipway_{app}_stream{f'_{number}' if number else ''}",
            request_timeout=limits["request_timeout"],
            max_body_size=checks.parse_size(str(limits["max_body_size"])),
            main=not number,
        )

    given: Mapping[str, Mapping[str, Any]] = entry.get("locations", {})
    main = location(f"{prefix}/", 0, usual)
    made = [main]
    for number, (path, limits) in enumerate(sorted(given.items()), 1):
        below = path.endswith("/")
        made.append(location(f"{'' if below else '= '}{prefix}{path}", number, {**usual, **limits}))
        if below and path[:-1] not in given:
            # nginx would redirect the path without the slash to the one with it. It stays with the app.
            made.append(replace(main, match=f"= {prefix}{path[:-1]}", main=False, own_stream=False))
    return tuple(made)


def address(name: object) -> str:
    """Return a host's name or address, as a URL has it."""
    text = str(name)
    return f"[{text}]" if ":" in text else text
