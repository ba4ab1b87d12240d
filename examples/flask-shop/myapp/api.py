"""The API, for programs: ``curl -H 'Authorization: Bearer KEY' https://shop.example.com/api/products``."""

from __future__ import annotations

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from .database import get_db
from .errors import problem
from .guard import require_api_key

bp = Blueprint("api", __name__, url_prefix="/api")

# On the blueprint, so that every view below is guarded, those still to be written too.
bp.before_request(require_api_key)

STOCK_MAX = 1_000_000


@bp.get("/products")
def products() -> ResponseReturnValue:
    """All products with price in cents and stock."""
    rows = get_db().execute("SELECT id, name, cents, stock FROM products ORDER BY position")
    return {"products": [dict(row) for row in rows]}


@bp.get("/orders")
def orders() -> ResponseReturnValue:
    """The last 50 orders, newest first; times in UTC."""
    rows = get_db().execute("SELECT id, placed, cents FROM orders ORDER BY id DESC LIMIT 50")
    return {"orders": [dict(row) for row in rows]}


@bp.put("/products/<product_id>/stock")
def restock(product_id: str) -> ResponseReturnValue:
    """Set how many pieces there are: ``{"stock": 40}``."""
    body = request.get_json()
    stock = body.get("stock") if isinstance(body, dict) else None
    if not isinstance(stock, int) or isinstance(stock, bool) or not 0 <= stock <= STOCK_MAX:
        return problem(400, f'Send {{"stock": N}} with a whole number from 0 to {STOCK_MAX}.')
    changed = get_db().execute("UPDATE products SET stock = ? WHERE id = ?", (stock, product_id)).rowcount
    if not changed:
        return problem(404, f"There is no product {product_id!r}.")
    return {"id": product_id, "stock": stock}
