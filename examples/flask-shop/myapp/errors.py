"""Every error as an answer: JSON for the API, a page for people, the details only in the log."""

from __future__ import annotations

import logging
import sqlite3

from flask import Flask, Response, make_response, render_template, request
from werkzeug.exceptions import HTTPException

log = logging.getLogger(__name__)

SENTENCES = {
    404: "There is nothing at this address.",
    413: "That was more than the shop takes in at once.",
    500: "Something went wrong here. It has been written down, and we will look at it.",
}


def problem(status: int, sentence: str) -> Response:
    """Return an error answer with an HTTP status and one sentence that says what to do."""
    if request.path.startswith("/api/"):
        response = make_response({"error": sentence}, status)
    else:
        response = make_response(render_template("error.html", status=status, sentence=sentence), status)
    if status == 503:
        response.headers["Retry-After"] = "5"
    return response


def register(app: Flask) -> None:
    """Answer all errors of `app` this way. Unforeseen exceptions come as a 500, and Flask has logged them already."""

    @app.errorhandler(HTTPException)
    def _http(error: HTTPException) -> Response:
        code = error.code or 500
        response = problem(code, SENTENCES.get(code) or error.description or error.name)
        for name, value in error.get_headers():
            if name not in ("Content-Type", "Content-Length"):
                response.headers[name] = value  # such as Allow
        return response

    # "Locked", "read-only", "disk full": the next request may well succeed, so 503 and not 500.
    @app.errorhandler(sqlite3.OperationalError)
    def _database(error: sqlite3.OperationalError) -> Response:
        log.error("The database failed at %s", request.path, exc_info=error)
        return problem(503, "The shop cannot reach its database at the moment.")
