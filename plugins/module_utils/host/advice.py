"""What to do about packages: an installation that failed, a gunicorn that is too old, websockets that nobody can serve."""

from __future__ import annotations

import re
from collections.abc import Mapping

OLDEST_GUNICORN = "21.2.0"
"""The first gunicorn that serves as the app's user, without a right to change users, and without pkg_resources (measured:
19.9 and 20.1 do not start; 21.2, 22, 23, 25, 26 and 27 serve)."""
FIRST_ASGI_GUNICORN = "24.0.0"
"""The first with a worker class `asgi` of its own."""
WEBSOCKETS_OF_WSGI = ("flask-sock", "flask-sockets", "flask-socketio", "simple-websocket", "gevent-websocket")
"""Distributions with which WSGI apps keep a connection open for as long as a client is there: each takes a thread."""

PROGRAMS = {
    "pg_config": ("PostgreSQL's client library, which pg_config describes", "libpq-dev", "or take psycopg2-binary for psycopg2"),
    "mysql_config": ("MySQL's client library", "default-libmysqlclient-dev", ""),
    "pkg-config": ("pkg-config, and the library that it looks for", "pkg-config", ""),
    "Python.h": ("Python's headers", "python3-dev", ""),
    "ldap.h": ("OpenLDAP's headers", "libldap-dev and libsasl2-dev", ""),
    "lber.h": ("OpenLDAP's headers", "libldap-dev and libsasl2-dev", ""),
    "ffi.h": ("libffi's headers", "libffi-dev", ""),
    "xmlsec1": ("xmlsec's library", "libxmlsec1-dev and pkg-config", ""),
    "cargo": ("a compiler for Rust", "cargo", ""),
}  # fmt: skip
"""What a package that is built looks for: what it is, and the Debian package with it."""
_NAMES = "|".join(map(re.escape, PROGRAMS))
_MISSING = re.compile(
    rf"({_NAMES})(?: executable)?\S{{0,2}}(?: is| was)?(?:: command)? (?:not found|required to build)"
    rf"|fatal error: (?:[\w./-]*/)?({_NAMES})|[Cc]an(?:not|'t) find (?:the )?({_NAMES})"
    rf"|No such file or directory: '({_NAMES})'"
)
_COMPILER = re.compile(
    r"command '?(?:x86_64-linux-gnu-|aarch64-linux-gnu-)?(?:gcc|cc|g\+\+|c\+\+)'? failed: No such file|No such file or directory: '?(?:[\w-]*gcc|cc|c\+\+|g\+\+)'?"
)
_NOT_THERE = re.compile(r"([A-Za-z0-9][\w.-]*) was not found in the package registry")
_NO_VERSION = re.compile(r"there (?:is|are) no versions? of ([A-Za-z0-9][\w.-]*(?:\[[\w,-]+\])?[=<>!~]=?[^\s,]+)")
_NO_WHEEL = re.compile(r"([A-Za-z0-9][\w.-]*)[=<>!~]=\S* (?:has|have) no (?:usable )?wheels")
_HASH = re.compile(r"[Hh]ash mismatch for `([^`\n]{1,100})`")


def failed(output: str, place: str) -> str:
    """What to do, as the end of a sentence; empty where the output itself is all there is to say.

    `place` is where the app's dependencies are written.
    """
    text = " ".join(output.split())
    if "index-strategy" in text:
        return (
            "an index that comes first has the package, but not that version; if every index is to be trusted alike, as pip does, "
            "set package_index_strategy: unsafe-best-match"
        )
    if match := _MISSING.search(output):
        name = next(found for found in match.groups() if found)
        what, package, other = PROGRAMS[name]
        return f"a package is built here and needs {what}: install {package} on the host" + (
            f", {other}" if other else ""
        )
    if _COMPILER.search(output):
        return "a package is built here and needs a compiler: install build-essential and python3-dev on the host"
    if "Git executable not found" in text or ("`git`" in text and "not found" in text):
        return "a requirement is fetched by git: install git on the host"
    if match := _HASH.search(text):
        return f"{match[1]} is not the file that the lock names: lock anew, or see who changed it"
    if match := _NOT_THERE.search(text):
        return f"no package index has {match[1]}: correct it in {place}, or set package_extra_index_urls"
    if match := _NO_VERSION.search(text):
        return f"no package index has {match[1].rstrip('.')}: choose another version in {place}"
    if match := _NO_WHEEL.search(text):
        return f"{match[1]} has no wheel for this host's Python and platform: choose another version in {place}, or another `python`"
    return ""


def gunicorn(version: str, worker_class: str, where: str = "") -> str:
    """Why a gunicorn cannot serve here, and which one can; empty for one that can.

    `where` is what pins it.
    """
    asgi = worker_class == "asgi"
    first = FIRST_ASGI_GUNICORN if asgi else OLDEST_GUNICORN
    if not version or _numbers(version) >= _numbers(first):
        return ""
    pins = f"{where} pins gunicorn {version}" if where else f"gunicorn {version} is installed"
    why = (
        "which has no worker class `asgi`"
        if asgi and _numbers(version) >= _numbers(OLDEST_GUNICORN)
        else "which cannot serve here"
    )
    return f"{pins}, {why}; the first that does is {first}: write gunicorn>={first}, or leave it out and the kit brings one"


def _numbers(version: str) -> tuple[int, ...]:
    # Python makes no number of more than 4300 digits.
    return tuple(int(part) for part in re.findall(r"\d{1,9}", version.partition("+")[0])[:3])


def websockets(packages: Mapping[str, str], worker_class: str, threads: int, workers: int) -> str:
    """What is to be said of an app whose packages keep connections open; empty for nothing."""
    found = next((name for name in WEBSOCKETS_OF_WSGI if name in packages), "")
    if not found or worker_class not in ("gthread", "sync"):
        return ""
    room = workers * (threads if worker_class == "gthread" else 1)
    return (
        f"{found} is installed, and each open websocket or long poll takes one of the app's {room} "
        f"{'threads' if worker_class == 'gthread' else 'workers'}: with {room} of them open every other request waits, and gets a "
        "504; set `worker_class: gevent`, or `threads` to more than there are clients (docs/websockets.md)"
    )
