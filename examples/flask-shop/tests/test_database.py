"""The handle's life, and the database's first minutes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask, g
from myapp.database import MIGRATIONS, get_db

WORKER = """
import sys
from myapp import create_app
client = create_app({"SLIPWAY_SHARED": sys.argv[1]}).test_client()
sys.stdin.readline()  # all workers begin at the same moment
answers = [client.get("/healthz").status_code, client.post("/basket/mug").status_code, client.get("/").status_code]
print(*answers, client.application.secret_key)
"""


def test_the_handle_is_opened_once_and_closed_with_the_request(make: Callable[..., Flask]) -> None:
    app = make()
    with app.test_request_context():
        assert "db" not in g  # nobody has asked for it
        handle = get_db()
        assert get_db() is handle
        assert handle.execute("SELECT 1").fetchone()[0] == 1
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        handle.execute("SELECT 1")


def test_the_handle_is_closed_after_a_failed_request_too(make: Callable[..., Flask]) -> None:
    app = make()
    seen: list[sqlite3.Connection] = []

    @app.get("/break")
    def _break() -> str:
        seen.append(get_db())
        raise ZeroDivisionError

    assert app.test_client().get("/break").status_code == 500
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        seen[0].execute("SELECT 1")


def test_no_file_descriptors_are_left_behind(make: Callable[..., Flask]) -> None:
    client = make().test_client()
    client.get("/")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(30):
        client.get("/")
        client.get("/nowhere")
    assert len(os.listdir("/proc/self/fd")) <= before


def test_workers_that_start_at_once_make_one_database_and_one_secret(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    for attempt in range(3):
        shared = tmp_path / f"attempt-{attempt}" / "shared"
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", WORKER, str(shared)],
                cwd=root, env=environment, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
            for _ in range(4)
        ]  # fmt: skip
        for worker in workers:
            assert worker.stdin
            worker.stdin.write("\n")
            worker.stdin.flush()
        results = [worker.communicate(timeout=30) for worker in workers]
        assert all(out.startswith("200 303 200 ") for out, _ in results), results
        assert len({out for out, _ in results}) == 1  # the same secret in all of them
        secret = shared / "secret-key"
        assert secret.stat().st_mode & 0o777 == 0o600 and len(secret.read_text()) == 64
        db = sqlite3.connect(shared / "shop.sqlite3")
        assert db.execute("SELECT count(*), count(DISTINCT id) FROM products").fetchone() == (8, 8)
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        db.close()
        assert not [name for name in os.listdir(shared) if name.startswith(".")]  # no draft is left


def test_an_older_release_works_on_a_newer_releases_database(make: Callable[..., Flask], tmp_path: Path) -> None:
    make().test_client().get("/")
    db = sqlite3.connect(tmp_path / "shop.sqlite3", isolation_level=None)
    db.execute("ALTER TABLE products ADD COLUMN colour TEXT")
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    assert make().test_client().get("/").status_code == 200
    assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)


def test_what_was_sold_stays_sold_after_a_restart(make: Callable[..., Flask]) -> None:
    client = make().test_client()
    client.post("/basket/bell")
    client.post("/checkout")
    assert "only 5 left" in make().test_client().get("/").text


def test_importing_the_app_touches_nothing_and_starts_nothing(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    code = "import myapp, myapp.__main__, sqlite3; print(myapp.app.import_name)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1], env={**os.environ, "SLIPWAY_SHARED": str(shared)},
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert done.stdout == "myapp\n", done.stderr
    assert not shared.exists()
