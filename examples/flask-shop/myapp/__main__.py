"""Run the shop on this machine alone, for development: ``python -m myapp``."""

from __future__ import annotations

from . import app

# Only under __main__. app.run() serves until it is stopped: at import it would hold up gunicorn, whose workers import
# the module and wait for it to return. And Flask's own server is for one developer, never for visitors.
if __name__ == "__main__":
    app.run(host="127.0.0.1", port=5000)
