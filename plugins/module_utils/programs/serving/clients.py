"""Shows a WSGI app its client, and ensures that an error is logged and answered."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from .connections import Rules, gone
from .crew import CREW
from .records import Request, current

LOCAL = "127.0.0.1"
"""The client of a request that did not come through nginx: the health gate's."""
RELEASE = "X-Slipway-Release"
"""The header by which nginx learns which release has answered. It is for its log, and no client gets it."""
WORKERS = "X-Slipway-Workers"
"""The header by which the health gate learns how many workers serve. Only requests that did not come through nginx get it."""
BUFFERING = "X-Accel-Buffering"
"""The header by which nginx learns whether to collect an answer. No client gets it."""
EVENTS = "text/event-stream"
LATE = b"HTTP/1.1 504 Gateway Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def wsgi(app: Callable[..., Any], log: Any, rules: Rules) -> Callable[..., Any]:
    """`app` with what it should see of its client."""
    named = [(RELEASE, rules.release)] if rules.release else []

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        request = Request(environ.get("HTTP_X_REQUEST_ID", ""))
        current.set(request)
        environ["REMOTE_ADDR"] = environ.get("HTTP_X_FORWARDED_FOR") or LOCAL
        if (scheme := environ.get("HTTP_X_FORWARDED_PROTO")) in ("http", "https"):
            environ["wsgi.url_scheme"] = scheme  # tornado looks at none of nginx's headers
        # How long nginx waits for this answer, where the path has its own limit.
        if limit := environ.pop("HTTP_X_SLIPWAY_TIMEOUT", ""):
            connection: Any = environ.get("gunicorn.socket")
            if hasattr(connection, "patience"):
                connection.patience = seconds(limit, rules.request)
        patient = EVENTS in environ.get("HTTP_ACCEPT", "").lower() or "HTTP_UPGRADE" in environ

        def start(status: str, headers: Any, *exc_info: Any) -> Any:
            request.answers(int(status[:3]) if status[:3].isdecimal() else 0, log)
            headers = [*headers, *named]
            kind = next((value for name, value in headers if name.lower() == "content-type"), "")
            if collect := buffering(kind.lower().startswith(EVENTS), patient):
                headers.append((BUFFERING, collect))
            if not request.through_nginx:
                headers.append((WORKERS, str(CREW.serving())))
            return start_response(status, headers, *exc_info)

        try:
            return app(environ, start)
        except OSError as error:
            # gunicorn takes any of these for one of its connection's, and ends that without an answer.
            connection = environ.get("gunicorn.socket")
            ended = connection is not None and (connection.fileno() < 0 or gone(connection))
            if ended or type(error).__module__.startswith("gunicorn."):
                raise
            log.exception("Error handling request %s", environ.get("PATH_INFO", ""))
            start("500 Internal Server Error", [("Content-Type", "text/plain")], sys.exc_info())
            return [b"Internal Server Error\n"]

    return answer


def buffering(is_stream: bool, patient: bool) -> str:
    """What nginx learns about an answer: it passes on a stream of events as it comes ("no"), and collects all else ("yes").

    By itself nginx knows only the request. It collects unless that asked for a stream (`patient`).
    """
    if is_stream:
        return "no"
    return "yes" if patient else ""


def seconds(text: str, otherwise: float) -> float:
    """The seconds that nginx states."""
    return float(text) if text.isdecimal() else otherwise


def answered(app: Callable[..., Any], log: Any) -> Callable[..., Any]:
    """`app`, which answers 500 instead of raising: tornado lets a request wait without end when its app raises.

    tornado gathers an answer before it sends any of it. So does this, as an exception may be raised in the middle.
    """

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        try:
            pieces = app(environ, start_response)
            try:
                return list(pieces)
            finally:
                getattr(pieces, "close", lambda: None)()
        except Exception:
            log.exception("Error handling request %s", environ.get("PATH_INFO", ""))
            start_response("500 Internal Server Error", [("Content-Type", "text/plain")], sys.exc_info())
            return [b"Internal Server Error"]

    return answer
