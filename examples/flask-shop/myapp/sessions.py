"""Sessions: a signed cookie that every worker and every release can read.

The session travels as JSON in the visitor's cookie: signed, so nobody can change it, but not encrypted, so anybody can
read it. It holds plain values only (here: product ids and counts). An object such as a database handle or a product
would fail to be stored; a price would be yesterday's.
"""

from __future__ import annotations

import logging
import os
import secrets
from contextlib import suppress
from pathlib import Path

from flask import Flask, request
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import URLSafeTimedSerializer

log = logging.getLogger(__name__)


class SharedSecretSessions(SecureCookieSessionInterface):
    """Flask's cookie sessions, with a secret that all workers share and a cookie that fits where the app is mounted."""

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Return what signs the cookie; None, and sessions that cannot be written, when there is no secret to be had."""
        # SECRET_KEY from the environment is the right way, and the only one when several hosts serve the same visitors.
        # Without it the shop keeps a random one next to its database. What never works is a random one per process:
        # each worker would throw away the baskets that the others signed.
        if not app.secret_key:
            try:
                app.secret_key = shared_secret(app.config["SHOP_DATABASE"].with_name("secret-key"))
            except OSError:
                log.exception("There is no secret for sessions: set SECRET_KEY, or make the data folder writable.")
        return super().get_signing_serializer(app)

    def get_cookie_path(self, app: Flask) -> str:
        """Return the mount: an app next to this one on the same domain has a cookie named "session" too."""
        return request.script_root or "/"

    def get_cookie_secure(self, app: Flask) -> bool:
        """Return True for a visitor who came by https: his cookie then never travels without it."""
        return request.is_secure


def shared_secret(path: Path) -> str:
    """Return the secret in the file `path`, which is made (readable to its owner alone) by whoever comes first.

    Written aside and then linked to its name, which fails when the name is taken: of several workers one wins, and no
    one ever reads half a secret. Raises OSError.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(32))
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    return path.read_text().strip()
