"""The program that keeps certificates: what it checks and installs, with the real openssl, and without nginx."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import pwd
import re
import shutil
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.programs.certificates import (
    authority,
    command,
    confined,
    generations,
    logged,
    pairs,
    proof,
)
from ansible_collections.slipway.kit.plugins.module_utils.programs.certificates.generations import About
from ansible_collections.slipway.kit.plugins.module_utils.programs.certificates.logged import Answers
from ansible_collections.slipway.kit.plugins.module_utils.programs.certificates.pairs import Pair
from ansible_collections.slipway.kit.plugins.module_utils.programs.certificates.record import Record
from ansible_collections.slipway.kit.plugins.module_utils.programs.certificates.settings import (
    Authority,
    Settings,
    Site,
    Trouble,
    load,
)

SITE = Site("shop.test", ("shop.test", "*.shop.test"), "acme", "plain.conf", "redirect.conf", None, None)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A host on which nginx takes everything."""
    return Settings(
        tls=str(tmp_path / "tls"),
        acme=str(tmp_path / "acme"),
        user="slipway-acme",
        state=str(tmp_path / "state.json"),
        lock=str(tmp_path / "lock"),
        certbot=str(tmp_path / "certbot"),
        nginx_test=("true",),
        nginx_reload=("true",),
        https_port=free_port(),
        authority=Authority("https://acme.test/dir", None, None, False, None),
        sites={SITE.name: SITE},
    )


def free_port() -> int:
    """A port on which no process listens."""
    with socket.socket() as plain:
        plain.bind(("127.0.0.1", 0))
        return int(plain.getsockname()[1])


def test_a_pair_that_fits_is_good() -> None:
    pair = pairs.make(SITE.domains, 100)
    known = pairs.check(pair, SITE.domains)
    assert known.days() == 99
    assert known.issuer == "CN=shop.test"
    assert not known.has_responder
    # certbot's rule: two thirds of the lifetime, half of a short one
    assert known.renews() == known.not_before + (known.not_after - known.not_before) * 2 // 3
    short = replace(known, not_after=known.not_before + 6 * 86400)
    assert short.renews() == short.not_before + 3 * 86400


@pytest.mark.parametrize(
    ("pair", "domains", "message"),
    [
        (
            Pair(pairs.make(("a.test",), 9).chain, pairs.make(("a.test",), 9).key),
            ("a.test",),
            "not the certificate's own",
        ),
        (pairs.make(("a.test",), 9), ("a.test", "b.test"), "does not name b.test"),
        (pairs.make(("*.a.test",), 9), ("x.y.a.test",), "does not name x.y.a.test"),
        (pairs.make(("a.test",), 9), ("*.a.test",), r"does not name \*.a.test"),
        (replace(pairs.make(("a.test",), 9), key=b"no key"), ("a.test",), "the key cannot be read"),
        (Pair(b"nothing", b""), ("a.test",), "holds 0 certificates"),
        (Pair(b"x" * (pairs.LIMIT + 1), b""), ("a.test",), "larger than"),
    ],
)
def test_a_pair_that_does_not_fit_is_refused(pair: Pair, domains: tuple[str, ...], message: str) -> None:
    with pytest.raises(Trouble, match=message):
        pairs.check(pair, domains)


def test_an_openssl_that_fails_for_another_domain_is_understood(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As that of Debian 13 does."""
    pair = pairs.make(("a.test",), 9)
    program = tmp_path / "openssl"
    program.write_text(
        f'#!/bin/sh\nresult=$({shutil.which("openssl")} "$@") || exit\necho "$result"\n'
        'case "$result" in *"does NOT match"*) exit 1;; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert pairs.covers(pair.chain, ("a.test", "b.test")) == ["b.test"]
    with pytest.raises(Trouble, match=r"does not name b\.test"):
        pairs.check(pair, ("a.test", "b.test"))


@pytest.mark.parametrize(("days", "message"), [(10, "has expired on"), (-1, "is valid only from")])
def test_the_dates_must_hold(monkeypatch: pytest.MonkeyPatch, days: int, message: str) -> None:
    pair, then = pairs.make(("a.test",), 9), time.time() + days * 86400
    monkeypatch.setattr(time, "time", lambda: then)
    with pytest.raises(Trouble, match=message):
        pairs.check(pair, ("a.test",))


def test_a_chain_in_the_wrong_order_is_refused() -> None:
    first, second = pairs.make(("a.test",), 9), pairs.make(("b.test",), 9)
    with pytest.raises(Trouble, match="the chain is out of order"):
        pairs.check(Pair(first.chain + second.chain, first.key), ("a.test",))


@contextlib.contextmanager
def serving(settings: Settings, site: Site) -> Iterator[None]:
    """A server of the site's current certificate where nginx serves https."""
    folder = Path(settings.tls, site.name, "current")
    with socket.create_server(("127.0.0.1", settings.https_port)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    plain, _ = server.accept()
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
                    with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as secured:
                        secured.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        server.shutdown(socket.SHUT_RDWR)
        thread.join(60)


def leads(settings: Settings, site: Site = SITE) -> bool:
    """Whether http leads to https; the variable for HSTS says the same."""
    folder = Path(settings.tls, site.name, "current")
    led = (folder / "http.conf").read_text() == "include redirect.conf;\n"
    assert f'set $slipway_certified "{1 if led else ""}";' in (folder / "https.conf").read_text()
    return led


def test_a_placeholder_leaves_http_and_a_certificate_redirects(settings: Settings) -> None:
    assert generations.install(settings, SITE, pairs.make(SITE.domains, 9), About("placeholder", SITE.name))
    folder = Path(settings.tls, SITE.name)
    first = (folder / "current").readlink()
    assert not leads(settings)
    made = pairs.make(SITE.domains, 9)
    with serving(settings, SITE):
        assert not command._refresh(settings, Record.read(settings.state), SITE), (
            "a placeholder leads no client to https"
        )
        assert generations.install(settings, SITE, made, About("acme", SITE.name))
    assert leads(settings)
    text = (folder / "current/https.conf").read_text()
    # nginx gets both files by the generation's own name
    assert str(folder / (folder / "current").readlink()) + "/chain.pem" in text
    assert (folder / "current").readlink() != first
    assert (folder / "current/key.pem").stat().st_mode & 0o777 == 0o600
    assert not generations.install(settings, SITE, made, About("acme", SITE.name)), "nothing changes the second time"


@pytest.mark.parametrize("domains", [SITE.domains, ()])
def test_a_site_begins_on_http_and_leads_to_https_once_it_is_served_there(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, domains: tuple[str, ...]
) -> None:
    site = replace(SITE, source="self_signed", domains=domains)
    settings = replace(settings, sites={site.name: site})
    monkeypatch.setattr("sys.stdin", (tmp_path / "empty").open("w+"))
    [row] = command.prepare(settings, [site], command.Order())
    assert (row["changed"], row["missing"], leads(settings)) == (True, True, False)
    # Nothing serves it yet: the next run begins as this one, and the timer changes nothing.
    [row] = command.prepare(settings, [site], command.Order())
    assert (row["changed"], row["missing"], leads(settings)) == (False, True, False)
    assert [row["changed"] for row in command.renew(settings, [site], command.Order())] == [False]
    assert list(command.renew(settings, [replace(site, name="other")], command.Order())) == []
    [row] = command.status(settings, [site], command.Order())
    assert row["failure"] == "http does not lead to https yet; deploy again"
    monkeypatch.setattr(generations, "SERVED", 0.2)
    [row] = command.obtain(settings, [site], command.Order())
    assert row["failure"] == (
        f"nginx does not serve shop.test over https on port {settings.https_port}, so http does not lead there; "
        "see /var/log/nginx/error.log, then deploy again"
    )
    with serving(settings, site):
        assert [(row["failure"], row["changed"]) for row in command.obtain(settings, [site], command.Order())] == [
            ("", True)
        ]
    assert leads(settings)
    [row] = command.status(settings, [site], command.Order())
    assert row["failure"] == ""
    # It leads there with every certificate from then on, whatever nginx serves in this moment.
    assert generations.install(settings, site, pairs.make(domains, 9), About("provided", site.name))
    assert leads(settings)


@pytest.mark.parametrize("again", [True, False], ids=["an earlier one", "a new one"])
def test_a_run_that_was_killed_before_its_reload_is_completed(settings: Settings, again: bool) -> None:
    made = pairs.make(SITE.domains, 9)
    if again:  # its folder is on the host from before
        generations.install(settings, SITE, made, About("acme", SITE.name))
        generations.install(settings, SITE, pairs.make(SITE.domains, 9), About("acme", SITE.name))
    reloads = Path(settings.state).with_name("reloads")
    child = os.fork()
    if not child:
        killed = replace(settings, nginx_test=("sh", "-c", f"kill -9 {os.getpid()}"))
        generations.install(killed, SITE, made, About("acme", SITE.name))
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    present = generations.current(settings, SITE.name)
    assert present
    assert present.chain == made.chain, "its link was renamed"
    watched = replace(settings, nginx_reload=("sh", "-c", f"echo >> {reloads}"))
    assert generations.install(watched, SITE, made, About("acme", SITE.name))
    assert not generations.install(watched, SITE, made, About("acme", SITE.name))
    assert reloads.read_text() == "\n"


def test_a_failure_that_is_over_is_forgotten(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.stdin", (tmp_path / "empty").open("w+"))
    site = replace(SITE, source="self_signed")
    settings = replace(settings, sites={site.name: site})
    list(command.prepare(settings, [site], command.Order()))
    with serving(settings, site):
        list(command.obtain(settings, [site], command.Order()))
    Record.read(settings.state).failure(site.name, "nginx refuses it")
    list(command.prepare(settings, [site], command.Order()))
    assert Record.read(settings.state).entry(site.name).failure == ""
    # What an authority has said stays until it signs.
    Record.read(settings.state).failure(site.name, "it is down")
    acme = replace(site, source="acme")
    [row] = command.prepare(replace(settings, sites={site.name: acme}), [acme], command.Order())
    assert row["missing"]
    assert Record.read(settings.state).entry(site.name).failure == "it is down"
    assert leads(settings), "a certificate that is there stays until the authority has signed one"


def test_a_self_signed_site_whose_first_domain_changes_stays_on_https(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.stdin", (tmp_path / "empty").open("w+"))
    old = Site("old.test", ("old.test", "new.test"), "self_signed", "plain.conf", "redirect.conf", None, None)
    new = replace(old, name="new.test", domains=("new.test", "old.test"))
    list(command.prepare(replace(settings, sites={old.name: old}), [old], command.Order()))
    with serving(settings, old):
        [row] = command.prepare(replace(settings, sites={new.name: new}), [new], command.Order())
    assert (row["missing"], leads(settings, new)) == (False, True)


@pytest.mark.parametrize(
    ("domains", "is_led"), [(("192.0.2.7",), True), (("::1",), True), (("192.0.2.7", "shop.test"), False)]
)
def test_an_address_is_in_no_handshake(settings: Settings, domains: tuple[str, ...], is_led: bool) -> None:
    site = replace(SITE, domains=domains)
    generations.install(settings, site, pairs.make(("shop.test", *domains), 9), About("provided", site.name))
    assert leads(settings, site) == is_led


@pytest.mark.parametrize("run", [command.prepare, command.renew])
def test_the_next_run_completes_what_a_deploy_that_died_has_left(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run: Any
) -> None:
    site = replace(SITE, source="self_signed")
    settings = replace(settings, sites={site.name: site})
    monkeypatch.setattr("sys.stdin", (tmp_path / "empty").open("w+"))
    list(command.prepare(settings, [site], command.Order()))
    with serving(settings, site):
        [row] = run(settings, [site], command.Order())
    assert (row["changed"], row["failure"], row.get("missing", False), leads(settings)) == (True, "", False, True)


def test_a_certificate_that_nobody_serves_yet_leads_no_client(settings: Settings) -> None:
    """An authority may sign by DNS before nginx serves the site: the deploy of the app was held back."""
    generations.install(settings, SITE, pairs.make(SITE.domains, 9), About("placeholder", SITE.name))
    generations.install(settings, SITE, pairs.make(SITE.domains, 9), About("acme", SITE.name))
    assert not leads(settings)


def test_a_site_under_another_name_keeps_its_clients_on_https(settings: Settings) -> None:
    old = replace(SITE, name="old.test", domains=("old.test", *SITE.domains))
    made = pairs.make(old.domains, 9)
    generations.install(settings, old, made, About("provided", old.name))
    with serving(settings, old):
        generations.install(settings, SITE, made, About("provided", old.name))
    assert leads(settings)


def test_what_another_run_has_installed_meanwhile_stays(settings: Settings) -> None:
    first, second = pairs.make(SITE.domains, 9), pairs.make(SITE.domains, 9)
    generations.install(settings, SITE, first, About("acme", SITE.name))
    before = generations.current(settings, SITE.name)
    assert before
    generations.install(settings, SITE, second, About("acme", SITE.name))
    changed_path = replace(SITE, redirect="other.conf")
    assert not generations.install(settings, changed_path, first, before.about, before.name)
    present = generations.current(settings, SITE.name)
    assert present
    assert present.chain == second.chain


def test_nginx_that_refuses_keeps_the_certificate_of_before(settings: Settings) -> None:
    generations.install(settings, SITE, pairs.make(SITE.domains, 9), About("placeholder", SITE.name))
    folder = Path(settings.tls, SITE.name)
    before = (folder / "current").readlink()
    broken = replace(settings, nginx_test=("sh", "-c", "echo '[emerg] no' >&2; exit 1"))
    with pytest.raises(Trouble, match=r"nginx refuses the new certificate of shop.test: \[emerg\] no"):
        generations.install(broken, SITE, pairs.make(SITE.domains, 9), About("acme", SITE.name))
    assert (folder / "current").readlink() == before
    assert sorted(path.name for path in folder.iterdir()) == sorted([str(before), "current"])
    with pytest.raises(Trouble, match="nginx refuses"):
        other = replace(SITE, name="other")
        generations.install(broken, other, pairs.make(SITE.domains, 9), About("acme", "other"))
    assert generations.current(settings, "other") is None


def test_another_sites_certificate_is_better_than_a_placeholder(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = replace(SITE, name="old.test", domains=("old.test", *SITE.domains))
    generations.install(settings, old, pairs.make(old.domains, 9), About("acme", old.name))
    monkeypatch.setattr("sys.stdin", (tmp_path / "empty").open("w+"))
    rows = list(command.prepare(settings, [SITE], command.Order()))
    assert [(row["changed"], row["missing"], row["failure"]) for row in rows] == [(True, True, "")]
    present = generations.current(settings, SITE.name)
    assert present
    assert (present.about.source, present.about.lineage) == ("acme", "old.test")
    rows = list(command.remove(settings, [], command.Order()))
    assert [row["site"] for row in rows] == ["old.test"]
    assert generations.names(settings) == [SITE.name]


@pytest.mark.parametrize("name", [SITE.name, "new.test"])
def test_a_site_that_gets_a_domain_keeps_its_certificate_until_the_authority_has_signed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """Clients of the domains that it has would refuse a placeholder."""
    made = pairs.make(SITE.domains, 9)
    generations.install(settings, SITE, made, About("acme", SITE.name))
    with serving(settings, SITE):
        command._refresh(settings, Record.read(settings.state), SITE)
    site = replace(SITE, name=name, domains=(*SITE.domains, "new.test"))
    settings = replace(settings, sites={name: site})
    monkeypatch.setattr("sys.stdin", (tmp_path / "empty").open("w+"))
    for _run in range(2):
        with serving(settings, SITE):
            [row] = command.prepare(settings, [site], command.Order())
        assert (row["missing"], row["failure"]) == (True, "")
    with serving(settings, site):
        [row] = command.obtain(settings, [site], command.Order())
    assert "certbot is missing" in row["failure"], "the authority is to be asked"
    present = generations.current(settings, name)
    assert present
    assert (present.chain, present.about.source, present.about.lineage) == (made.chain, "acme", SITE.name)
    assert leads(settings, site)
    # A certificate of other domains alone is no better than a placeholder.
    other = replace(site, name="other.test", domains=("other.test",))
    list(command.prepare(replace(settings, sites={other.name: other}), [other], command.Order()))
    assert not leads(settings, other)


def test_the_certificates_of_other_inventories_stay(settings: Settings) -> None:
    """Also where the program knows nothing about their sites: nginx would not start without them."""
    for name in ("shop.test", "old.test"):
        generations.install(settings, replace(SITE, name=name), pairs.make(SITE.domains, 9), About("self_signed", name))
    settings = replace(settings, sites={}, kept=("shop.test",))
    assert [row["site"] for row in command.remove(settings, [], command.Order())] == ["old.test"]
    assert generations.names(settings) == ["shop.test"]


def test_the_settings_must_be_whole(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"tls": "x"}))
    with pytest.raises(Trouble, match="deploy again to write it"):
        load(str(path))


def test_a_failure_is_remembered_until_a_success(tmp_path: Path) -> None:
    path = str(tmp_path / "state.json")
    Record.read(path).failure("a.test", "it is down")
    assert Record.read(path).entry("a.test").failure == "it is down"
    Record.read(path).success("a.test", "https://acme.test/dir")
    assert Record.read(path).entry("a.test").failure == ""
    (tmp_path / "state.json").write_text("[1]")
    assert Record.read(path).entries == {}


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("requests.exceptions.ConnectionError: Max retries exceeded", "does not answer; the next run of the timer tries again"),
        ("SSLCertVerificationError: certificate verify failed", "is not trusted by this host; set acme_ca_file"),
        ("An unexpected error occurred:\nx :: too many certificates already issued", "issued no certificate: too many certificates"),
        ("The server requires external account binding", "set acme_eab"),
        ("urn:ietf:params:acme:error:invalidContact", "refuses acme_email: "),
        ("Network error contacting the Cloudflare API", "issued no certificate: Network error contacting"),
        (
            "reported these problems:\n  Identifier: a.test\n  Type:   dns\n  Detail: no record\x1b[2J\n\nHint: x",
            r"could not verify that this host serves a.test: no record\?\[2J",
        ),
    ],
)  # fmt: skip
def test_what_the_authority_says_becomes_one_sentence(settings: Settings, output: str, sentence: str) -> None:
    text = authority.explain(settings, authority.Reply(confined.Outcome(1, output, False), Answers()))
    assert "https://acme.test/dir" in text
    assert "\n" not in text
    assert re.search(sentence, text), text


PROBLEM = "acme.messages.Error: urn:ietf:params:acme:error:{}\n"
PRINTED = "Saving debug log to x\nAn unexpected error occurred:\n"
DIRECTORY = """Received response:
HTTP 200
Content-Type: application/json

{
  "meta": {"profiles": {"classic": "of 90 days", "short\\u0000lived": "x", "shortlived": "of 6 days"}},
  "newOrder": "https://acme.test/new"
}
2026-11-26 21:17:23,289:DEBUG:acme.client:
"""
LATER = "Received response:\nHTTP 429\nServer: x\n{}\n{{}}\n"


@pytest.mark.parametrize(
    ("output", "log", "sentence"),
    [
        (
            "too many new orders",
            LATER.format("Retry-After: 3600\n") + PROBLEM.format("rateLimited :: There were too many :: too many new orders"),
            r"limits this host until \S+Z: too many new orders; the first run of the timer after that tries again$",
        ),
        (
            "too many new orders",
            LATER.format("") + PROBLEM.format("rateLimited :: There were too many :: too many new orders"),
            "limits this host for now: too many new orders; the next run of the timer tries again$",
        ),
        (
            "acme.errors.ClientError: <Response [429]>",
            LATER.format("retry-after: 3600\n"),
            r"limits this host until \S+Z: HTTP status 429; the first run",
        ),
        ("no", DIRECTORY + PROBLEM.format("invalidProfile :: no"), "has no profile tiny; set acme_profile to one that it offers: classic, shortlived$"),
        ("no", PROBLEM.format("invalidProfile :: no tiny"), "has no profile tiny; set acme_profile to one that it offers: no tiny$"),
        (
            "Unable to register an account with ACME server. Error returned by the ACME server: no such kid",
            PROBLEM.format("unauthorized :: The client lacks sufficient authorization :: no such kid :: a title"),
            "refuses acme_eab: no such kid$",
        ),
        ("no", PROBLEM.format("rejectedIdentifier :: Problem :: no a.test"), "refuses these names: no a.test$"),
    ],
)  # fmt: skip
def test_what_certbot_only_logs_is_part_of_the_sentence(
    settings: Settings, output: str, log: str, sentence: str
) -> None:
    asking = replace(settings, authority=replace(settings.authority, profile="tiny", eab=True))
    reply = authority.Reply(confined.Outcome(1, PRINTED + output, False), logged.parse(log))
    text = authority.explain(asking, reply, time.time() + reply.wait if reply.wait else None)
    assert re.search(sentence, text), text


def test_a_limit_has_a_limit_and_is_of_the_last_refusal() -> None:
    assert logged.parse(LATER.format("Retry-After: 999999999\n")).wait == logged.LONGEST
    assert logged.parse(LATER.format("Retry-After: 0\n")).wait == 1
    assert logged.parse(LATER.format("Retry-After: soon\n")).wait is None
    assert logged.parse(LATER.format("Retry-After: 5\n") + LATER.format("Retry-After: 7\n") + DIRECTORY).wait == 7
    assert logged.parse(LATER.format("") + "Retry-After: 5\n").wait is None, "the body is no header"
    noon = formatdate(time.time() + 100, usegmt=True)
    wait = logged.parse(LATER.format(f"Retry-After: {noon}\n")).wait
    assert wait
    assert 90 < wait <= 100
    # Another error of the run is not a limit, though an earlier answer was one.
    answers = logged.parse(LATER.format("Retry-After: 5\n") + PROBLEM.format("caa :: x :: y"))
    assert authority.Reply(confined.Outcome(1, "no", False), answers).wait is None


def test_a_limit_of_other_sites_is_no_failure_of_a_good_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def request(*_: object) -> authority.Answer:
        raise authority.Limited("limited until noon", time.time() + 3600)

    monkeypatch.setattr(authority, "request", request)
    monkeypatch.setattr(authority, "has_certbot", lambda _settings: None)
    monkeypatch.setattr(command, "_lacks", lambda _settings, _record, site: site.name != "c.test")
    sites = [replace(SITE, name=f"{name}.test", domains=(f"{name}.test",)) for name in "abc"]
    rows = list(command.renew(settings, sites, command.Order()))
    assert [bool(row["failure"]) for row in rows] == [True, True, False]


def test_an_authority_that_limits_the_host_is_left_alone(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def request(_settings: Settings, site: Site, _force: bool, _until: float) -> authority.Answer:
        asked.append(site.name)
        raise authority.Limited("limited until noon", time.time() + 3600)

    monkeypatch.setattr(authority, "request", request)
    monkeypatch.setattr(authority, "has_certbot", lambda _settings: None)
    sites = [replace(SITE, name=f"{name}.test", domains=(f"{name}.test",)) for name in "abc"]
    assert [row["failure"] for row in command.renew(settings, sites, command.Order())] == [
        "limited until noon", "limited until noon",
        "https://acme.test/dir limits this host and was not asked for this site; the next run of the timer tries again",
    ]  # fmt: skip
    assert asked == ["a.test", "b.test"]
    # The next run begins with the site that had no turn. It asks for no other one, not even from a deploy.
    assert {row["failure"] for row in command.renew(settings, sites, command.Order())} == {"limited until noon"}
    assert {row["failure"] for row in command.obtain(settings, sites, command.Order())} == {"limited until noon"}
    assert asked == ["a.test", "b.test", "c.test"]
    # An operator may ask at once, and so may a deploy with another authority or other domains.
    assert {row["failure"] for row in command.renew(settings, sites[:1], command.Order(now=True))} == {
        "limited until noon"
    }
    other = replace(settings, authority=replace(settings.authority, directory="https://other.test/dir"))
    list(command.renew(other, sites[1:2], command.Order()))
    list(command.renew(settings, [replace(sites[2], domains=("d.test",))], command.Order()))
    assert asked[3:] == ["a.test", "b.test", "c.test"]
    later = time.time() + 3700
    monkeypatch.setattr(time, "time", lambda: later)
    list(command.renew(settings, sites[2:], command.Order()))
    assert asked[6:] == ["c.test"]


class _Page(http.server.BaseHTTPRequestHandler):
    """Serves the webroot as nginx does, or another page."""

    root: Path | None = None

    def do_GET(self) -> None:
        path = self.root / self.path.lstrip("/") if self.root else None
        body = path.read_bytes() if path and path.is_file() else b"another server"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Page]]:
    """A server at the port to which the authority would connect."""
    (tmp_path / proof.FOLDER).mkdir(parents=True)
    page = type("Page", (_Page,), {"root": tmp_path})
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), page)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    monkeypatch.setattr(proof, "PORT", httpd.server_address[1])
    yield page
    httpd.shutdown()
    httpd.server_close()


def test_a_domain_that_leads_here_is_proved(server: type[_Page], tmp_path: Path) -> None:
    assert proof.prove(["127.0.0.1"], str(tmp_path)) == []
    assert list((tmp_path / proof.FOLDER).iterdir()) == [], "the challenge is removed"


def test_a_domain_that_leads_elsewhere_is_named_with_its_address(server: type[_Page], tmp_path: Path) -> None:
    server.root = None
    with pytest.raises(
        Trouble, match=r"127.0.0.1 leads to 127.0.0.1, which is not this host or not its nginx\. The authority"
    ):
        proof.prove(["127.0.0.1"], str(tmp_path))


def test_a_domain_without_an_address_or_a_server_is_named(
    server: type[_Page], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Trouble, match=r"no-such-name\.invalid has no address"):
        proof.prove(["no-such-name.invalid"], str(tmp_path))
    monkeypatch.setattr(proof, "PORT", free_port())
    with pytest.raises(Trouble, match="which refuses connections to port"):
        proof.prove(["127.0.0.1"], str(tmp_path))


def test_a_command_is_the_authoritys_and_holds_no_secret(settings: Settings) -> None:
    words = authority._command(replace(settings, authority=replace(settings.authority, eab=True)), SITE, False)
    assert "--keep-until-expiring" in words
    assert f"--config={settings.acme}/secrets/account.ini" in words
    dns = authority._command(settings, replace(SITE, dns="rfc2136", propagation=3), True)
    assert "--authenticator=dns-rfc2136" in dns
    assert "--dns-rfc2136-propagation-seconds=3" in dns
    assert "--force-renewal" in dns
    assert not [word for word in dns if "webroot" in word]


@pytest.fixture
def silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """A server that takes connections and never answers, at each of the thousand addresses of every domain."""
    (tmp_path / "acme" / proof.FOLDER).mkdir(parents=True)
    (tmp_path / "acme/webroot").symlink_to(tmp_path / "acme")
    taken: list[socket.socket] = []
    rows = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.{number // 250}.{number % 250 + 1}", 80))
        for number in range(1000)
    ]
    with socket.create_server(("0.0.0.0", 0), backlog=1024) as server:  # nosec B104 # all of 127.0.0.0/8

        def take() -> None:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(server.accept()[0])

        threading.Thread(target=take, daemon=True).start()
        monkeypatch.setattr(proof, "PORT", server.getsockname()[1])
        known = socket.getaddrinfo

        def resolve(host: str, *arguments: Any, **more: Any) -> Any:
            return rows if host.endswith(".slow") else known(host, *arguments, **more)

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        yield taken
        server.shutdown(socket.SHUT_RDWR)
    for connection in taken:
        connection.close()


def test_a_domain_with_a_thousand_addresses_has_eight_asked(
    silent: list[socket.socket], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "ANSWER", 0.05)
    with pytest.raises(Trouble, match=r"shop.slow leads to 127.0.0.8"):
        proof.prove(["shop.slow"], str(tmp_path / "acme"))
    assert 0 < len(silent) <= proof.ADDRESSES


def test_a_domain_and_a_site_have_a_deadline(
    silent: list[socket.socket], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "ANSWER", 1.0)
    monkeypatch.setattr(proof, "DOMAIN", 0.5)
    with pytest.raises(Trouble, match=r"not checked|leads to") as raised:
        proof.prove(["shop.slow"], str(tmp_path / "acme"))
    assert "127.0.0.2" not in str(raised.value), "the first address took the domain's time"
    monkeypatch.setattr(proof, "SITE", 0.5)
    with pytest.raises(Trouble, match=r"a20.slow and 19 more were not checked within 0 s"):
        proof.prove([f"a{number}.slow" for number in range(40)], str(tmp_path / "acme"))


def test_a_slow_site_fails_alone_and_has_the_last_turn_next_time(
    silent: list[socket.socket], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "ANSWER", 0.05)
    Path(settings.certbot).write_text("#!/bin/sh\nexit 1\n")
    Path(settings.certbot).chmod(0o755)
    sites = [replace(SITE, name=name, domains=(name,)) for name in ("a.slow", "b.invalid", "c.invalid")]
    both = replace(settings, sites={site.name: site for site in sites})
    rows = list(command.renew(both, sites[:1], command.Order()))
    assert "The authority was not asked" in rows[0]["failure"]
    assert "The authority was not asked" in Record.read(settings.state).entry("a.slow").failure
    rows = list(command.renew(both, sites, command.Order()))
    assert [row["site"] for row in rows] == ["b.invalid", "c.invalid", "a.slow"]
    assert all(row["failure"] for row in rows)


def test_a_run_at_its_end_leaves_the_first_turn_to_the_sites_that_had_none(settings: Settings) -> None:
    rows = list(command.renew(settings, [SITE], command.Order(until=time.monotonic() + 1)))
    assert "has reached its limit of 40 minutes; the next run begins with this site" in rows[0]["failure"]
    entry = Record.read(settings.state).entry(SITE.name)
    assert entry.failure == rows[0]["failure"]
    assert entry.tried == 0.0


def test_a_record_of_an_older_program_is_read(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text(
        json.dumps({"a.test": {"succeeded": "x", "failed": "", "failure": "", "directory": "d", "profile": None}})
    )
    assert Record.read(str(path)).entry("a.test").directory == "d"


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that another user reaches; pytest closes its own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def alone(monkeypatch: pytest.MonkeyPatch) -> pwd.struct_passwd:
    """A user that no other process has, without systemd: all of its processes are killed."""
    rows = list(pwd.getpwnam("nobody"))
    rows[2] = rows[3] = 1_000_000 + os.getpid()
    account = pwd.struct_passwd(rows)
    monkeypatch.setattr(confined, "_account", lambda _user: account)
    monkeypatch.setattr(confined, "has_systemd", lambda: False)
    return account


@pytest.mark.skipif(os.getuid() != 0, reason="changes users")
def test_what_certbots_user_has_filled_is_removed_in_one_run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, open_to_all: Path
) -> None:
    monkeypatch.setattr(authority, "LINEAGES", 50)
    nobody = alone(monkeypatch)
    host = replace(settings, user="nobody", acme=str(open_to_all))
    config = Path(host.acme, "certbot/config")
    for folder in ("live", "archive", "renewal"):
        (config / folder).mkdir(parents=True)
        for name in (SITE.name, "*", "-rf", "a b", "new\nline", *(f"x{number}" for number in range(150))):
            (config / folder / name).mkdir()
    (config / "live/README").write_text("x")
    (config / f"renewal/{SITE.name}.conf").write_text("x")
    for path in [config.parent, *config.parent.rglob("*")]:
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    runs = []
    run = confined.run

    def counted(*arguments: Any) -> confined.Outcome:
        runs.append(arguments)
        return run(*arguments)

    monkeypatch.setattr(confined, "run", counted)
    assert list(command.remove(host, [], command.Order())) == []
    assert len(runs) == 1
    left = {
        folder: sorted(path.name for path in (config / folder).iterdir()) for folder in ("live", "archive", "renewal")
    }
    assert left == {"live": ["README", SITE.name], "archive": [SITE.name], "renewal": [SITE.name, f"{SITE.name}.conf"]}
    assert list(command.remove(host, [], command.Order())) == []
    assert len(runs) == 1, "nothing is left, so nothing is run"


@pytest.mark.skipif(os.getuid() != 0, reason="changes users")
def test_without_systemd_a_process_has_a_limit_of_memory_and_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(monkeypatch)
    grown = ["/usr/bin/python3", "-c", "x = bytearray(2 << 30)"]
    outcome = confined.run(grown, "nobody", str(tmp_path), {}, 60)
    assert outcome.status
    assert "MemoryError" in outcome.output
    text = "import tempfile; tempfile.TemporaryFile().write(bytes(64 << 20))"
    outcome = confined.run(["/usr/bin/python3", "-c", text], "nobody", "/tmp", {}, 60)  # nosec B108 # of the test
    assert outcome.status
    assert "File too large" in outcome.output
    assert f"LimitFSIZE={confined.FILE}" in confined.SANDBOX
