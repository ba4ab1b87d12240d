"""Attacks of our own on the sites: nothing hides in a request, and no file or redirect leads out."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from judged import HOSTS, site

from tests.judges import attacks

pytestmark = pytest.mark.parametrize("host", HOSTS)


def seen(host: str) -> list[dict[str, str]]:
    """Every request that the witness got."""
    listed: list[dict[str, str]] = json.loads(site(host, "witness").get("/seen")[1])
    return listed


def smuggled(host: str) -> bool:
    """Whether the request that was hidden in a body has reached the witness."""
    return any(attacks.SECRET in fields["PATH_INFO"] for fields in seen(host))


def report(received: bytes) -> dict[str, Any]:
    """What the witness got of one request."""
    assert attacks.statuses(received) == [200], received
    fields: dict[str, Any] = json.loads(attacks.body(received))
    return fields


@pytest.mark.parametrize("port", [443, 80], ids=["https", "http"])
@pytest.mark.parametrize("kind", attacks.REFUSED)
def test_an_ambiguous_request_is_refused(host: str, kind: str, port: int) -> None:
    received = attacks.answers(site(host, "witness"), attacks.REFUSED[kind], port)
    statuses = attacks.statuses(received)
    assert len(statuses) <= 1 and all(status >= 400 for status in statuses), received
    assert not smuggled(host)


@pytest.mark.parametrize("kind", attacks.WHOLE)
def test_a_body_stays_a_body(host: str, kind: str) -> None:
    request, wanted = attacks.WHOLE[kind]
    fields = report(attacks.answers(site(host, "witness"), request))
    assert fields["body"] == wanted
    assert fields["CONTENT_LENGTH"] == str(len(fields["body"])), "nginx sends a length, whatever the client sent"
    assert "HTTP_TRANSFER_ENCODING" not in fields
    assert not smuggled(host)


@pytest.mark.parametrize("kind", attacks.MALFORMED)
def test_a_malformed_request_of_http_2_does_not_reach_an_app(host: str, kind: str) -> None:
    judged = site(host, "witness")
    before = seen(host)
    kinds = attacks.stream(judged, *attacks.MALFORMED[kind])
    assert kinds and seen(host) == before, (kinds, seen(host)[len(before) :])


@pytest.mark.parametrize("kind", attacks.OF_A_CONNECTION)
def test_no_field_about_a_connection_of_http_2_reaches_an_app(host: str, kind: str) -> None:
    name, value = attacks.OF_A_CONNECTION[kind]
    before = len(seen(host))
    attacks.stream(site(host, "witness"), (name, value))
    for fields in seen(host)[before:]:
        assert (fields["body"], fields["CONTENT_LENGTH"]) == ("abc", "3")
        assert value not in fields.values()


def test_a_sound_request_of_http_2_reaches_the_app(host: str) -> None:
    """Else the malformed ones would prove nothing."""
    before = len(seen(host))
    attacks.stream(site(host, "witness"), ("content-length", "3"), ("x-note", "a"))
    (fields,) = seen(host)[before:]
    assert (fields["PATH_INFO"], fields["body"], fields["HTTP_X_NOTE"]) == ("/in", "abc", "a")


def test_a_client_cannot_claim_to_be_another(host: str) -> None:
    judged = site(host, "witness")
    lines = "\r\n".join(attacks.CLAIMS[:-1])
    fields = report(attacks.answers(judged, f"GET /in HTTP/1.1\r\nHost: NAME\r\n{lines}\r\nConnection: close\r\n\r\n"))
    assert fields["HTTP_X_FORWARDED_PROTO"] == fields["wsgi.url_scheme"] == "https"
    assert fields["HTTP_HOST"] == judged.name
    assert fields["SCRIPT_NAME"] == ""
    claimed = {name: value for name, value in fields.items() if re.search(r"192\.0\.2\.|evil|^root$", value)}
    assert claimed.keys() <= set(attacks.UNREAD), claimed


def test_no_upgrade_to_cleartext_http_2(host: str) -> None:
    upgrade = "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__"
    judged = site(host, "witness")
    fields = report(attacks.answers(judged, f"GET /in HTTP/1.1\r\nHost: NAME\r\n{upgrade}\r\n\r\n"))
    assert not {"HTTP_UPGRADE", "HTTP_HTTP2_SETTINGS"} & fields.keys()


@pytest.mark.parametrize("path", attacks.TRICKS)
def test_no_path_leads_out_of_the_static_files(host: str, path: str) -> None:
    received = attacks.answers(site(host), f"GET {path} HTTP/1.1\r\nHost: NAME\r\nConnection: close\r\n\r\n")
    (status,) = attacks.statuses(received)
    assert status in (308, 400, 404), received[:500]
    assert b"SHOP_RATES_URL" not in received and b"root:" not in received and b"schema" not in received


@pytest.mark.parametrize("port", [443, 80], ids=["https", "http"])
@pytest.mark.parametrize("path", attacks.REDIRECTS)
def test_no_redirect_leads_elsewhere(host: str, path: str, port: int) -> None:
    judged = site(host)
    received = attacks.answers(judged, f"GET {path} HTTP/1.1\r\nHost: NAME\r\nConnection: close\r\n\r\n", port)
    head = received.partition(b"\r\n\r\n")[0].decode("latin-1")
    for target in re.findall(r"(?im)^location: (.*?)\r?$", head):
        assert re.match(rf"https://{re.escape(judged.name)}(/|$)|/(?![/\\])", target), target
    assert not re.search(r"(?im)^x-injected", head), head
