"""What nginx answers by itself and adds to every answer: the kit's headers and error pages, and what is wrong with a user's.

The schema names the checks.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "X-Frame-Options": "SAMEORIGIN",
}
"""The headers of every answer, unless the app sends its own or the inventory says otherwise.

What would break some apps is missing on purpose. `Permissions-Policy` blocks cameras, maps and payments.
`Cross-Origin-Opener-Policy` cuts the link between a page and the login or payment window that opened it.
`Cross-Origin-Resource-Policy` blocks images and fonts that other sites show. A `Content-Security-Policy` that helps needs
to know the app's scripts.
"""

NOT_INDEXED = frozenset(["staging", "stage", "test", "testing", "qa", "dev", "development", "preview", "demo"])
"""Names of inventory folders whose sites search engines should not show."""


@dataclass(frozen=True)
class Reply:
    """What nginx's own answer with an error status says."""

    title: str
    """The status in HTTP's words."""
    heading: str
    advice: str


ERRORS: Mapping[int, Reply] = {
    400: Reply(
        "Bad Request", "We could not read this request", "Check the address, or start again from the home page."
    ),
    401: Reply("Unauthorized", "Please sign in", "This page needs a user name and a password."),
    403: Reply("Forbidden", "You have no access to this page", "If you should have access, contact the site's owner."),
    404: Reply("Not Found", "This page does not exist", "Check the address, or start again from the home page."),
    405: Reply(
        "Method Not Allowed", "This does not work here", "Go back and try again, or start again from the home page."
    ),
    413: Reply("Content Too Large", "That is too large", "Send a smaller file, or fewer files at once."),
    414: Reply("URI Too Long", "This address is too long", "Start again from the home page."),
    429: Reply("Too Many Requests", "That was too fast", "Wait a moment and try again."),
    431: Reply(
        "Request Header Fields Too Large",
        "Your browser sent too much",
        "Delete this site's cookies in your browser and try again.",
    ),
    500: Reply("Internal Server Error", "Something went wrong", "Try again in a few minutes."),
    502: Reply("Bad Gateway", "This site is not available now", "Try again in a few minutes."),
    503: Reply("Service Unavailable", "This site is not available now", "Try again in a few minutes."),
    504: Reply("Gateway Timeout", "This took too long", "Try again in a few minutes."),
}
"""The errors that nginx itself answers. An app's own answers pass unchanged."""
LONG_HEAD = 494
"""nginx's own number for request headers that are too long; the client gets 431."""
PAGES = tuple(f"{name}.{kind}" for name in ("error", *ERRORS) for kind in ("html", "json"))
"""The files that a folder of error pages may have. `error` is for every status without its own file."""

LOGGED = 1024
"""How many bytes of a client's text the access log shows."""
UTF8 = "|".join(
    (
        r"[\x01-\x7e]",
        r"\xc2[\xa0-\xbf]",
        r"[\xc3-\xdf][\x80-\xbf]",
        r"\xe0[\xa0-\xbf][\x80-\xbf]",
        r"\xe2(?!\x80[\xa8-\xae])[\x80-\xbf]{2}",
        r"[\xe1\xe3-\xec\xee\xef][\x80-\xbf]{2}",
        r"\xed[\x80-\x9f][\x80-\xbf]",
        r"\xf0[\x90-\xbf][\x80-\xbf]{2}",
        r"[\xf1-\xf3][\x80-\xbf]{3}",
        r"\xf4[\x80-\x8f][\x80-\xbf]{2}",
    )
)
"""A character in UTF-8, as nginx's patterns see bytes. U+007F to U+009F are left out: they control terminals, and JSON does not
escape them. So are U+2028 to U+202E, which end lines or turn them round."""
USER = "[A-Za-z0-9._@+-]{1,64}"
"""A user of `basic_auth`."""
_TOKEN = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_OWNED: Mapping[str, str] = {
    "cache-control": "the app sets it, and nginx does for static files",
    "connection": "nginx sets it for each connection",
    "content-encoding": "it describes the body, which nginx does not change here",
    "content-length": "it describes the body, which nginx does not change here",
    "content-type": "it describes the body, which nginx does not change here",
    "date": "nginx sets it",
    "location": "it is the target of a redirect; the app sets it",
    "retry-after": "the app sets it, and nginx does with `rate_limit`",
    "server": "nginx sets it",
    "set-cookie": "the app sets its cookies",
    "strict-transport-security": "use the key `hsts`",
    "transfer-encoding": "it describes the body, which nginx does not change here",
    "upgrade": "nginx sets it for each connection",
    "www-authenticate": "use the key `basic_auth`",
    "x-request-id": "the kit sends each request's id in it",
    "x-slipway-release": "it is the kit's own",
    "x-slipway-upstream": "it is the kit's own",
    "x-slipway-visit": "it is the kit's own",
}
"""Headers that `headers` may not set, and why."""


def headers(value: Mapping[str, Any]) -> str | None:
    """Names and values of headers; an empty value removes one that the kit sets."""
    for name, content in value.items():
        if not _TOKEN.fullmatch(name):
            return "must have the name of a header, such as Permissions-Policy: letters, digits and hyphens"
        if name.lower() in _OWNED:
            return f"must not be set here: {_OWNED[name.lower()]}"
        if content == "" and name.lower() not in {known.lower() for known in HEADERS}:
            near = difflib.get_close_matches(name, HEADERS, n=1, cutoff=0.6)
            hint = f"; did you mean {near[0]}?" if near else f"; it sets {', '.join(HEADERS)}"
            return f"is empty, but the kit sets no such header that it could remove{hint}"
        if len(str(content)) > 2000 or not re.fullmatch(r"[\x20-\x7e]*", str(content)):
            return "must have a value of at most 2000 printable ASCII characters, on one line"
        if "$" in str(content):
            return "must not contain `$`, which nginx would read as a variable; use `nginx_extra` for that"
    return None


def users(value: Mapping[str, Any]) -> str | None:
    """User names of `basic_auth` with their passwords. No message quotes a password."""
    for name, password in value.items():
        if not re.fullmatch(USER, name):
            return "must have a user name of letters, digits and ._@+- as its name"
        if not 8 <= len(str(password)) <= 256 or re.search(r"[\x00-\x1f\x7f]", str(password)):
            return "must have a password of 8 to 256 characters, on one line"
    return None


def rate(value: str) -> str | None:
    """A number of requests for each second or minute."""
    match = re.fullmatch(r"([0-9]{1,5})/[sm]", value)
    return None if match and int(match[1]) else "must be requests for each second or minute, such as 10/s or 30/m"


def rate_limit(value: Mapping[str, Any]) -> str | None:
    """At least one limit, and no burst without a rate."""
    if not value.keys() & {"requests", "connections"}:
        return "must have `requests` or `connections`, such as {requests: 10/s}"
    if "burst" in value and "requests" not in value:
        return "has a `burst` without `requests`; write the rate that it exceeds, such as requests: 10/s"
    return None


def place(path: str) -> str | None:
    """A path below the mount that has its own limits."""
    if path == "/":
        return "is the whole app; use the app's own `request_timeout` and `max_body_size`"
    parts = path.strip("/").split("/")
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+/?", path) or {".", ".."} & set(parts):
        return "must be a path below `mount` that starts with a slash: /report for this path alone, /report/ for all below it"
    return None
