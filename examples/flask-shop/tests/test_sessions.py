"""What the cookie holds, who can read it, and where it goes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from flask import Flask, session
from flask.sessions import TaggedJSONSerializer


def plain(value: object) -> bool:
    """Say whether a value is what JSON itself can hold, without Flask's tags for other types."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and plain(inner) for key, inner in value.items())
    return isinstance(value, (str, int))


def test_the_session_holds_ids_and_counts_only(make: Callable[..., Flask]) -> None:
    with make().test_client() as client:
        client.post("/basket/mug")
        client.get("/")
        client.post("/basket/rope", data={"quantity": "4"})
        client.post("/currency", data={"currency": "USD"})
        held = dict(session)
        assert held == {"basket": {"mug": 1, "rope": 4}, "currency": "USD"}
        assert plain(held) and json.loads(json.dumps(held)) == held
        assert json.loads(TaggedJSONSerializer().dumps(held)) == held
        client.post("/checkout")
        assert {**session} == {"basket": {}, "currency": "USD", "order": 1}


def test_any_worker_reads_the_cookie_that_another_signed(make: Callable[..., Flask]) -> None:
    first, second = make().test_client(), make().test_client()
    first.post("/basket/mug")
    cookie = first.get_cookie("session")
    assert cookie
    second.set_cookie("session", cookie.value)
    assert "Enamel mug" in second.get("/basket").text


def test_a_cookie_that_somebody_changed_is_ignored(make: Callable[..., Flask]) -> None:
    stranger, client = make(SECRET_KEY=os.urandom(8).hex()).test_client(), make().test_client()
    stranger.post("/basket/mug")
    cookie = stranger.get_cookie("session")
    assert cookie
    client.set_cookie("session", cookie.value)
    assert "Nothing in it yet" in client.get("/basket").text


def test_a_secret_from_the_environment_leaves_no_file(make: Callable[..., Flask], tmp_path: Path) -> None:
    assert make(SECRET_KEY=os.urandom(8).hex()).test_client().post("/basket/mug").status_code == 303
    assert not (tmp_path / "secret-key").exists()


def test_the_cookie_fits_the_visitors_way_in(make: Callable[..., Flask]) -> None:
    client = make().test_client()
    plain_http = client.post("/basket/mug").headers["Set-Cookie"]
    assert "Path=/;" in plain_http and "HttpOnly" in plain_http and "SameSite=Lax" in plain_http
    assert "Secure" not in plain_http  # it would never come back
    mounted = client.post(
        "/basket/mug", environ_overrides={"SCRIPT_NAME": "/shop"}, headers={"X-Forwarded-Proto": "https"}
    )
    assert "Path=/shop" in mounted.headers["Set-Cookie"] and "Secure" in mounted.headers["Set-Cookie"]


def test_without_a_place_for_the_secret_people_can_still_look(make: Callable[..., Flask], tmp_path: Path) -> None:
    app = make()
    app.test_client().get("/")
    (tmp_path / "secret-key").unlink()
    (tmp_path / "secret-key").mkdir()  # cannot be read as a file, not even by root
    fresh = make().test_client()
    assert fresh.get("/").status_code == 200
    assert fresh.get("/healthz").status_code == 503
