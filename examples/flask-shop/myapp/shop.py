"""The pages. All links are made by url_for, which knows where the app is mounted: at /, or at /shop."""

from __future__ import annotations

import json
import logging
import os
import platform
import sqlite3
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from flask import Blueprint, current_app, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from .database import get_db
from .guard import refuse_other_sites
from .rates import CURRENCIES

log = logging.getLogger(__name__)

bp = Blueprint("shop", __name__)
bp.before_request(refuse_other_sites)

MOST = 99  # pieces of one product in a basket

SYMBOLS = {"EUR": "€", "USD": "≈ $", "GBP": "≈ £", "CHF": "≈ CHF "}  # orders are in euro; the rest is a help


def release_name(start: Path) -> str:
    """Return the release's folder name, from the path .../releases/NAME/code/...; "development" outside of a release."""
    return next((folder.name for folder in start.parents if folder.parent.name == "releases"), "development")


# Looked up once, while the path is true: a link such as `current` may lead elsewhere tomorrow, the running code does not.
RELEASE = release_name(Path(__file__).resolve())


# --- pages -----------------------------------------------------------------------------------------------------------


@bp.get("/")
def index() -> ResponseReturnValue:
    """The shop window."""
    products = get_db().execute("SELECT id, name, text, cents, stock FROM products ORDER BY position").fetchall()
    return render_template("index.html", products=products, currencies=("EUR", *CURRENCIES), **_money())


@bp.post("/currency")
def currency() -> ResponseReturnValue:
    """Choose the currency in which prices are shown."""
    chosen = request.form.get("currency", "")
    if chosen in ("EUR", *CURRENCIES):
        session["currency"] = chosen
    return redirect(url_for(".index", _anchor="goods"), 303)


@bp.get("/basket")
def basket() -> ResponseReturnValue:
    """What the visitor has put together so far."""
    lines = basket_lines()
    total = sum(line["cents"] * line["quantity"] for line in lines)
    return render_template("basket.html", lines=lines, total=total, most=MOST, **_money())


@bp.post("/basket/<product_id>")
def put(product_id: str) -> ResponseReturnValue:
    """Add one piece, or set the number of pieces when the form says one; 0 takes the product out."""
    row = get_db().execute("SELECT name FROM products WHERE id = ?", (product_id,)).fetchone()
    if row is None:
        flash("That is not in the shop any more.")
        return redirect(url_for(".index"), 303)
    chosen = dict(_chosen())
    wanted = request.form.get("quantity", type=int)
    quantity = max(0, min(MOST, chosen.get(product_id, 0) + 1 if wanted is None else wanted))
    if quantity:
        chosen[product_id] = quantity
    else:
        chosen.pop(product_id, None)
    # A new dictionary is assigned, not the old one changed: Flask stores the session only when it sees an assignment.
    session["basket"] = chosen
    if wanted is None:
        flash(f"{row['name']} is in your basket.", "done")
        return redirect(url_for(".index", _anchor=product_id), 303)
    return redirect(url_for(".basket"), 303)


@bp.post("/checkout")
def checkout() -> ResponseReturnValue:
    """Turn the basket into an order: all of it, or nothing."""
    db = get_db()
    with db:  # COMMIT at the end, ROLLBACK on an exception
        db.execute("BEGIN IMMEDIATE")  # nobody else buys between looking at the stock and taking from it
        lines = basket_lines()
        short = [line["name"] for line in lines if line["quantity"] > line["stock"]]
        if not lines or short:
            flash(f"Not enough left of: {', '.join(short)}." if short else "Your basket is empty.")
            return redirect(url_for(".basket"), 303)
        total = sum(line["cents"] * line["quantity"] for line in lines)
        number = db.execute("INSERT INTO orders (cents) VALUES (?)", (total,)).lastrowid
        for line in lines:
            db.execute("UPDATE products SET stock = stock - ? WHERE id = ?", (line["quantity"], line["id"]))
            db.execute(
                "INSERT INTO order_lines (order_id, product_id, quantity, cents) VALUES (?, ?, ?, ?)",
                (number, line["id"], line["quantity"], line["cents"]),
            )
    session["basket"] = {}
    session["order"] = number
    return redirect(url_for(".thanks"), 303)  # a page of its own: reloading it does not order again


@bp.get("/thanks")
def thanks() -> ResponseReturnValue:
    """Confirm the visitor's last order."""
    order = get_db().execute("SELECT id, cents FROM orders WHERE id = ?", (session.get("order"),)).fetchone()
    return render_template("thanks.html", order=order, **_money()) if order else redirect(url_for(".index"))


# --- what operators look at --------------------------------------------------------------------------------------------


@bp.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Say whether this instance can serve: 200, or 503 and what is wrong.

    Cheap, since it is asked often; and only about what the shop cannot do without. Were the exchange rates in it, a
    stranger's outage would take every instance out of service at once.
    """
    checks = {"database": "ok", "sessions": "ok" if current_app.secret_key else "no secret"}
    try:
        get_db().execute("SELECT count(*) FROM products").fetchone()
    except (sqlite3.Error, OSError) as error:
        log.error("The database fails the health check", exc_info=error)
        checks["database"] = type(error).__name__  # the log knows more; this answer may be seen by anybody
    well = set(checks.values()) == {"ok"}
    body = {"status": "ok" if well else "failing", "release": RELEASE, **checks}
    return body, 200 if well else 503, {"Cache-Control": "no-store"}


@bp.get("/about")
def about() -> ResponseReturnValue:
    """Show the request as the app sees it: the quickest way to find a proxy that is set up wrongly."""
    return render_template("about.html", facts=_facts())


@bp.get("/about.json")
def about_json() -> ResponseReturnValue:
    """The same for programs."""
    return _facts(), {"Cache-Control": "no-store"}


def _facts() -> dict[str, Any]:
    return {
        "scheme": request.scheme,
        "host": request.host,
        "mount": request.script_root or "/",
        "client": request.remote_addr,
        "proxies": current_app.config["SHOP_PROXIES"],
        "home": url_for(".index", _external=True),
        "release": RELEASE,
        "process": os.getpid(),
        "python": platform.python_version(),
        "server": request.environ.get("SERVER_SOFTWARE", ""),
        "rates": current_app.config["SHOP_RATES"].state,
    }


# --- helpers -----------------------------------------------------------------------------------------------------------


def _chosen() -> dict[str, int]:
    """Return the basket as the session holds it: product ids and counts. Keys are strings, as JSON has no others."""
    chosen: dict[str, int] = session.get("basket", {})
    return chosen


def basket_lines() -> list[dict[str, Any]]:
    """Return the basket with names, prices and stock as they are now; products that are gone are left out."""
    chosen = _chosen()
    rows = get_db().execute(
        "SELECT id, name, cents, stock FROM products WHERE id IN (SELECT value FROM json_each(?)) ORDER BY position",
        (json.dumps(list(chosen)),),
    )
    return [{**dict(row), "quantity": chosen[row["id"]]} for row in rows]


def _money() -> dict[str, Any]:
    """Return what templates need to print prices: the currency to use, and why not the one that was chosen."""
    wanted = session.get("currency", "EUR")
    rates = current_app.config["SHOP_RATES"]
    # The service is asked only for a visitor who wants another currency.
    rate = 1.0 if wanted == "EUR" else (rates.current() or {}).get(wanted)
    shown, rate = (wanted, rate) if rate else ("EUR", 1.0)

    def price(cents: int) -> str:
        return f"{SYMBOLS[shown]}{cents * rate / 100:,.2f}"

    return {
        "price": price,
        "currency": shown,
        "rates_offered": rates.state != "not set up",
        "rates_missing": wanted != shown,
    }


@bp.app_context_processor
def _for_every_page() -> dict[str, Any]:
    return {"release": RELEASE, "process": os.getpid(), "basket_count": sum(_chosen().values())}


@bp.app_url_defaults
def _hash_static_files(endpoint: str, values: dict[str, Any]) -> None:
    """Put a hash of the content into the addresses of static files: a new release's style reaches every visitor."""
    if endpoint == "static" and "v" not in values:
        values["v"] = _content_hash(os.path.join(str(current_app.static_folder), values["filename"]))


@cache
def _content_hash(path: str) -> str:
    with open(path, "rb") as file:
        return sha256(file.read()).hexdigest()[:8]


@bp.after_app_request
def _only_our_own_content(response: Any) -> Any:
    # What a browser may load for our pages: our files, nothing from elsewhere, no inline script.
    response.headers.setdefault(
        "Content-Security-Policy", "default-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    return response
