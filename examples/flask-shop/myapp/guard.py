"""Who may pass: keys for the API, and forms only from our own pages.

Both guards run before every request they protect, so both are cheap: they compare bytes in memory, and ask no database
and no network. A guard that waits for something takes the whole app down with it.
"""

from __future__ import annotations

import hmac
import logging
from hashlib import sha256
from urllib.parse import urlsplit

from flask import current_app, request
from flask.typing import ResponseReturnValue

from .errors import problem

log = logging.getLogger(__name__)


def read_keys(text: str) -> tuple[bytes, ...]:
    """Return the SHA-256 digests of the comma-separated keys in `text`, so that no key itself stays in the settings."""
    return tuple(sha256(key.encode()).digest() for key in (part.strip() for part in text.split(",")) if key)


def require_api_key() -> ResponseReturnValue | None:
    """Let a request pass that carries one of the keys; answer any other at once with 403 or 503."""
    # A guard that fails must neither let everybody in nor answer with a traceback: it says "not now", and the log says
    # why. That is why everything it does happens inside the try.
    try:
        keys = current_app.config["SHOP_API_KEYS"]
        if not keys:
            return problem(503, "The API is switched off: no keys are set (SHOP_API_KEYS).")
        if _known(_given_key(), keys):
            return None
        return problem(403, "Send one of the API keys as 'Authorization: Bearer KEY'.")
    except Exception:
        log.exception("The API guard failed, so the request was refused.")
        return problem(503, "The API cannot check keys at the moment.")


def _given_key() -> bytes:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip().encode() if scheme.lower() == "bearer" else b""


def _known(key: bytes, digests: tuple[bytes, ...]) -> bool:
    # Compared as digests and by compare_digest, which takes as long for a near miss as for a far one: time tells nothing.
    given = sha256(key).digest()
    return any(hmac.compare_digest(given, digest) for digest in digests)


def refuse_other_sites() -> ResponseReturnValue | None:
    """Refuse a form sent from another site's page in the visitor's name (CSRF). Needs no token in the form."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return None
    site = request.headers.get("Sec-Fetch-Site")  # browsers set it themselves; no page can change it
    origin = request.headers.get("Origin")  # what older browsers send, and all of them over plain http
    if site is not None:
        ours = site in ("same-origin", "none")
    else:
        ours = origin is None or urlsplit(origin).netloc == request.host  # neither: not a browser
    return None if ours else problem(403, "This form came from another site.")
