"""The database: one handle per request, opened when first wanted and closed with the request.

SQLite, since the shop lives on one host. The same three rules hold for a database server: no handle is shared between
requests or threads, none is opened at import (workers are forked after it), and none is left open.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

from flask import current_app, g

from .catalogue import PRODUCTS

# Each entry takes the schema one version further; PRAGMA user_version says how many have been applied. Entries are only
# ever added, and only such that the release before still works: during a deploy, and after a rollback, it uses the same
# file. So add a column now, and drop the old one some releases later.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE products (
               id TEXT PRIMARY KEY, position INTEGER NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL,
               cents INTEGER NOT NULL CHECK (cents > 0), stock INTEGER NOT NULL CHECK (stock >= 0))""",
        """CREATE TABLE orders (
               id INTEGER PRIMARY KEY, placed TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')),
               cents INTEGER NOT NULL)""",
        """CREATE TABLE order_lines (
               order_id INTEGER NOT NULL REFERENCES orders (id), product_id TEXT NOT NULL REFERENCES products (id),
               quantity INTEGER NOT NULL CHECK (quantity > 0), cents INTEGER NOT NULL,
               PRIMARY KEY (order_id, product_id))""",
    ),
)

BUSY = 3.0  # seconds to wait for another writer; far below the request timeout, so that the visitor gets an answer


def get_db() -> sqlite3.Connection:
    """Return this request's handle, opened by the first caller. Raises sqlite3.Error or OSError."""
    if "db" not in g:
        g.db = connect(current_app.config["SHOP_DATABASE"])
    db: sqlite3.Connection = g.db
    return db


def close_db(_error: BaseException | None = None) -> None:
    """Close this request's handle, if it opened one. Flask calls this after every request, failed ones too."""
    db = g.pop("db", None)
    if db is not None:
        db.close()


def connect(path: Path) -> sqlite3.Connection:
    """Open the database, which is made and filled on first use. Raises sqlite3.Error or OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # isolation_level=None: transactions begin where the code says BEGIN, nowhere else.
    db = sqlite3.connect(path, timeout=BUSY, isolation_level=None)
    try:
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA foreign_keys = ON")
        if _version(db) < len(MIGRATIONS):
            _migrate(db)
    except BaseException:
        db.close()
        raise
    return db


def _migrate(db: sqlite3.Connection) -> None:
    """Bring the schema up to date. Several workers may come here at once: one does it, the others wait and then look."""
    with db:  # COMMIT at the end, ROLLBACK on an exception
        db.execute("BEGIN IMMEDIATE")  # takes the write lock now, so that what is read next stays true
        done = _version(db)
        for statements in MIGRATIONS[done:]:
            for statement in statements:
                db.execute(statement)
        if done == 0:
            db.executemany(
                "INSERT INTO products (position, id, name, text, cents, stock) VALUES (?, ?, ?, ?, ?, ?)",
                [(position, *product) for position, product in enumerate(PRODUCTS)],
            )
        # Takes no parameters. The older release may have come first or last: never count backwards.
        db.execute(f"PRAGMA user_version = {max(done, len(MIGRATIONS))}")
    # With a write-ahead log readers never wait for the writer. The file remembers it; the change needs a moment without
    # other users, so a worker that does not get one leaves it to the next migration: slower, never wrong.
    with suppress(sqlite3.OperationalError):
        db.execute("PRAGMA journal_mode = WAL")


def _version(db: sqlite3.Connection) -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version
