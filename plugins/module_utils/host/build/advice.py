"""What to do about packages: a failed installation, a gunicorn that is too old, websockets that have too few threads."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...contract.names import PROVED_GUNICORN, THREADED
from . import lacking, wheels

OLDEST_GUNICORN = "21.2.0"
"""The first gunicorn that serves as the app's user, without a right to change users, and without pkg_resources.

Measured: 19.9 and 20.1 do not start; 21.2, 22, 23, 25, 26 and 27 serve."""
FIRST_ASGI_GUNICORN = "24.0.0"
"""The first that has its own worker class `asgi`."""
WEBSOCKETS_OF_WSGI = ("flask-sock", "flask-sockets", "flask-socketio", "simple-websocket", "gevent-websocket")
"""Distributions with which WSGI apps keep a connection open for as long as a client is there: each takes a thread."""

_NOT_THERE = re.compile(r"(?<![\w.-])([A-Za-z0-9][\w.-]{0,199}) was not found in the package registry")
_NO_VERSION = re.compile(r"there (?:is|are) no versions? of ([A-Za-z0-9][\w.-]*(?:\[[\w,-]+\])?[=<>!~]=?[^\s,]+)")
_NO_WHEEL = re.compile(r"(?<![\w.-])([A-Za-z0-9][\w.-]{0,199})[=<>!~]=\S{0,200} (?:has|have) no (?:usable )?wheels")
_HASH = re.compile(r"[Hh]ash mismatch for `([^`\n]{1,100})`")


def failed(output: str, place: str, app: str, python: str) -> str:
    """What to do, as the end of a sentence; empty where the output itself is all there is to say.

    Args:
        output: what uv and the build backends said.
        place: where the app's dependencies are written.
        app: the app's name.
        python: the interpreter that packages are built for.
    """
    text = " ".join(output.split())
    if "index-strategy" in text:
        return (
            "an index that comes first has the package, but not that version; to trust every index alike, as pip does, "
            "set package_index_strategy: unsafe-best-match"
        )
    if match := _HASH.search(text):
        return f"{match[1]} is not the file that the lock names: lock again, or find out who changed it"
    if "Hash-checking is required" in text:
        return (
            f"{place} has hashes for some packages only: write it again, with all that they need "
            "(uv pip compile --generate-hashes), or take every hash away"
        )
    if match := _NOT_THERE.search(text):
        return f"no package index has {match[1]}: correct it in {place}, or set package_extra_index_urls"
    if match := _NO_VERSION.search(text):
        return f"no package index has {match[1].rstrip('.')}: choose another version in {place}"
    if "Git executable not found" in text or ("`git`" in text and "not found" in text):
        return f"a requirement is fetched by git: write `system_packages: {{build: [git]}}` into apps.{app}"
    if remedy := lacking.built(output, app, python):
        return remedy
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


def unproved(version: str, worker_class: str) -> str:
    """What is to be said of a gunicorn with which the kit's own workers do not serve; empty for nothing."""
    if worker_class != "threads" or _numbers(version) <= _numbers(PROVED_GUNICORN):
        return ""
    return (
        f"gunicorn {version} is newer than {PROVED_GUNICORN}, the last with which `worker_class: threads` is proved: "
        "`gthread` serves instead, which needs more processor time"
    )


def slower(installed: Mapping[str, str], worker_class: str) -> str:
    """What is to be said of a uvicorn without the packages that make it faster; empty for nothing."""
    absent = [name for name in wheels.names() if name not in installed]
    if worker_class != "uvicorn" or not absent:
        return ""
    return (
        f"no wheel of {' and '.join(absent)} was found for this Python, so uvicorn needs more processor time. "
        "If the package index is your own, add the wheels there"
    )


def _numbers(version: str) -> tuple[int, ...]:
    # Python makes no number of more than 4300 digits.
    return tuple(int(part) for part in re.findall(r"\d{1,9}", version.partition("+")[0])[:3])


def websockets(packages: Mapping[str, str], worker_class: str, threads: int, workers: int) -> str:
    """What is to be said of an app whose packages keep connections open; empty for nothing."""
    package = next((name for name in WEBSOCKETS_OF_WSGI if name in packages), "")
    if not package or worker_class not in (*THREADED, "sync"):
        return ""
    room = workers * (threads if worker_class in THREADED else 1)
    return (
        f"{package} is installed, and each open websocket or long poll takes one of the app's {room} "
        f"{'threads' if worker_class in THREADED else 'workers'}. With {room} of them open every other request waits and gets "
        "a 504. Set `worker_class: gevent`, or more `threads` than clients (docs/websockets.md)"
    )
