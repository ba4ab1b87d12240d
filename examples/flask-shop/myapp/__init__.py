"""A small shop: a Flask app written the way a production host wants it.

A server finds it as ``myapp:app``: the module, a colon, and the name of the callable in it.

Importing this module reads the environment and nothing else: no file is written, no connection opened, no server
started. So a deploy can import it to see whether it is sound, and every worker can import it at the same moment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from . import api, database, errors, shop
from .guard import read_keys
from .rates import Rates
from .sessions import SharedSecretSessions


def create_app(environment: Mapping[str, str] = os.environ) -> Flask:
    """Build the app from environment variables, which differ from host to host while the code does not.

    Raises ValueError for a value that cannot work: better that the release never starts than that it half works.
    """
    app = Flask(__name__)

    # What outlives a release must not lie in the release's folder, which is read-only and pruned one day. Slipway names
    # the right place in SLIPWAY_SHARED; without it (on a laptop) Flask's instance folder does.
    shared = Path(environment.get("SLIPWAY_SHARED") or app.instance_path)
    app.config.update(
        SHOP_DATABASE=Path(environment.get("SHOP_DATABASE") or shared / "shop.sqlite3"),
        SHOP_API_KEYS=read_keys(environment.get("SHOP_API_KEYS", "")),
        SHOP_RATES=Rates(environment.get("SHOP_RATES_URL", "")),
        SHOP_PROXIES=proxies_in_front(environment),
        SECRET_KEY=environment.get("SECRET_KEY") or None,  # None: sessions.py sees to it
        SESSION_COOKIE_SAMESITE="Lax",  # other sites' forms do not carry the visitor's basket
        MAX_CONTENT_LENGTH=64 * 1024,  # bytes; no form here is longer
        # Files under /static may be kept for a year, because shop.py puts a hash of the content into each address.
        SEND_FILE_MAX_AGE_DEFAULT=365 * 24 * 3600,
    )

    app.session_interface = SharedSecretSessions()
    app.teardown_appcontext(database.close_db)
    app.register_blueprint(shop.bp)
    app.register_blueprint(api.bp)
    errors.register(app)

    # Behind nginx every request comes from nginx. Who really asked stands in X-Forwarded-* headers, to which any visitor
    # can add lines of his own: so believe exactly as many hops as there are proxies of ours, counted from the right.
    #
    # A proxy adds to X-Forwarded-For, but sets X-Forwarded-Proto and -Host anew: those hold one value. Slipway's nginx
    # sorts out any balancers in front of it and passes on the visitor alone, so 1 is right behind it in any case.
    # No x_prefix: gunicorn knows the mount (SCRIPT_NAME in its environment), and a second source would double it.
    hops = app.config["SHOP_PROXIES"]
    if hops:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=1, x_host=1, x_port=0, x_prefix=0)  # type: ignore[method-assign]
    return app


def proxies_in_front(environment: Mapping[str, str]) -> int:
    """Return how many proxies of ours a request passes, from SLIPWAY_PROXIES; 1, the host's own nginx, when unset."""
    text = environment.get("SLIPWAY_PROXIES") or "1"
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"SLIPWAY_PROXIES is {text!r}: give the number of proxies in front of the app, such as 1.")
    return int(text)


app = create_app()
