"""The least that a WSGI app does: what remains is the server's own work."""

from __future__ import annotations


def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
