"""Certificates on real hosts: each case ends with the site up, and where something is wrong, with one clear sentence.

The tests run in their order, and each leaves the hosts as the next one expects them. Events that
clients must not notice happen under load (tests/load).
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import ssl
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests import acme
from tests.acme import HOST, WEB
from tests.acme import SCENARIO as scenario
from tests.load import figures
from tests.load.running import CONTROL_SITE, ROOT, Target, load
from tests.patience import patience, slowness

PROGRAM = ("python3", "-I", "/opt/slipway/certificates", "/etc/slipway/certificates.json")
USER = ("setpriv", "--reuid=slipway-acme", "--regid=slipway-acme", "--clear-groups")
HOME = "/var/lib/slipway-acme/certbot"
FOLDERS = tuple(f"--{kind}-dir={HOME}/{kind}" for kind in ("config", "work", "logs"))
ACCESS = "/var/log/nginx/access.log"
"""Of the authority's nginx."""
TIMER = "slipway-certificates.service"
SLOW_NAMES = "127.0.0.1:53: i/o timeout"
"""How pebble says that its name server has not answered in time."""

ASK = r"""
import json, socket, ssl, sys
host, name, port = sys.argv[1:]
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
with socket.create_connection(("127.0.0.1", int(port)), 10) as plain:
    secured = context.wrap_socket(plain, server_hostname=name) if port == "443" else plain
    der = secured.getpeercert(binary_form=True) if port == "443" else b""
    secured.sendall(f"GET /release HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
    head = b""
    while part := secured.recv(65536):
        head += part
print(json.dumps({"der": der.hex(), "status": int(head.split()[1]), "head": head.decode("latin-1")}))
"""

GREEDY = """
import json, sys
sys.path.insert(0, "/opt/slipway/certificates")
from slipway_certificates import confined
home, answers = "/var/lib/slipway-acme", []
for code in ("print(len(b'x' * (64 << 20)))", "b'x' * (768 << 20)", "open('certbot/x', 'wb').write(bytes(64 << 20))"):
    command = ["/usr/bin/python3", "-c", f"import os; os.chdir('{home}'); {code}"]
    outcome = confined.run(command, "slipway-acme", home, {}, 60)
    answers.append([bool(outcome.status), outcome.output])
print(json.dumps(answers))
"""
"""Runs commands as certbot is run: one that is modest, and two that are not."""

NOTES = acme.MADE
PAGE = ROOT / "docs/operations.md"
LABELS = {"bookworm": "Debian 12, systemd", "trixie": "Debian 13, supervisor"}
ROWS: dict[str, dict[str, figures.Tally]] = {}
"""What the clients got during each event, by host."""
SPANS: dict[str, figures.Span] = {}
BEFORE, AFTER = 1.5, 0.5
"""Seconds of load before and after an event. The slow requests that it hits were sent before."""


def ask(host: str, name: str = "shop", port: int = 443) -> dict[str, Any]:
    """A request to nginx on the host; the certificate's bytes, the status and the whole answer."""
    answer: dict[str, Any] = scenario.python(host, ASK, host, f"{name}.{host}.test", str(port))
    return answer


def rows(host: str) -> dict[str, dict[str, Any]]:
    """What the program says about each site."""
    reply = json.loads(scenario.within(host, *PROGRAM, "status"))
    return {row["site"].partition(f".{host}.")[0]: row for row in reply["sites"]}


def run(host: str, *words: str) -> dict[str, Any]:
    """Run the program for the shop alone; its row.

    On a busy machine the authority's own name server can be too slow for it. The kit is not at fault, so it runs again.
    """
    for _ in range(3):
        reply = json.loads(scenario.attempt(host, *PROGRAM, *words, f"shop.{host}.test").stdout)
        row: dict[str, Any] = reply["sites"][0]
        if SLOW_NAMES not in row["failure"]:
            break
        print(f"{host}: the authority's name server was too slow: {row['failure']}")
    return row


def tick(host: str) -> None:
    """What the timer does; several hours have passed since the authority was asked about renewals."""
    conf = f"{HOME}/config/renewal/shop.{host}.test.conf"
    scenario.within(host, "sed", "-i", "/ari_retry_after/d", conf)
    scenario.attempt(host, "systemctl", "start", TIMER)


def log() -> str:
    """What the authority has logged since it started."""
    invocation = scenario.within(HOST, "systemctl", "show", "--value", "--property=InvocationID", acme.PEBBLE).strip()
    return scenario.within(HOST, "journalctl", "--output=cat", f"_SYSTEMD_INVOCATION_ID={invocation}")


def is_up(host: str) -> bool:
    """Whether the app answers over https, and http leads there."""
    return ask(host)["status"] == 200 and ask(host, port=80)["status"] == 308


@pytest.fixture(params=WEB)
def host(request: pytest.FixtureRequest) -> str:
    """Each host: systemd and supervisor, Debian 12 and 13."""
    return str(request.param)


@pytest.fixture(scope="session", autouse=True)
def report(request: pytest.FixtureRequest) -> Iterator[None]:
    """The control of the load before, and the figures after all tests."""
    for name in WEB:
        scenario.within(name, *CONTROL_SITE)
    yield
    complete = [(SPANS[event], tallies) for event, tallies in ROWS.items() if len(tallies) == len(WEB)]
    if not complete:
        return
    table = figures.table(complete)
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{table}")
    if os.environ.get("SLIPWAY_WRITE_FIGURES") == "1" and not request.session.testsfailed and slowness() == 1:
        text = f"Measured on {datetime.datetime.now(datetime.UTC).date().isoformat()}.\n\n{table}"
        PAGE.write_text(figures.insert(PAGE.read_text(encoding="utf-8"), text, "tls"), encoding="utf-8")


@contextlib.contextmanager
def clients(event: str, *hosts: str, app: str = "shop", kind: str = "https", leads: bool = False) -> Iterator[None]:
    """Clients of an app on some hosts during an event; none of their requests may be lost.

    Args:
        event: its line in the table.
        hosts: where it happens.
        app: what the clients ask for.
        kind: one of generator.KINDS.
        leads: whether http leads the clients to https in the end.
    """
    notes = {host: NOTES / f"{len(ROWS)}-{app}-{host}.jsonl" for host in hosts}
    targets = [Target(scenario.address(host), f"{app}.{host}.test", path, kind) for host, path in notes.items()]
    begin = time.monotonic()
    with load(targets) as look:
        time.sleep(BEFORE)
        acted = time.monotonic()
        yield
        time.sleep(AFTER)
        look()
    span = SPANS[event] = figures.Span(event, begin, acted, time.monotonic(), closes=True)
    tallies = {LABELS[host]: figures.tally(figures.read(path), span) for host, path in notes.items()}
    ROWS.setdefault(event, {}).update(tallies)
    assert not figures.faults(span, tallies)
    assert {tally.moved > 0 for tally in tallies.values()} == {leads}


def test_the_deploy_got_every_certificate(host: str) -> None:
    table = rows(host)
    assert {name: row["kind"] for name, row in table.items()} == {
        "shop": "acme", "_.wild": "acme", "signed": "self_signed", "own": "provided",
    }  # fmt: skip
    assert "Pebble" in table["shop"]["issuer"]
    assert is_up(host)
    assert ask(host, "any.wild")["status"] == 200
    # What certbot keeps, and the key that nginx reads.
    modes = scenario.within(
        host, "sh", "-c", f"stat -c %U:%a {HOME} /etc/slipway/tls/*/*/key.pem /var/lib/slipway-acme/secrets/*"
    )
    assert set(modes.split()) == {"slipway-acme:700", "root:600", "slipway-acme:400"}


def test_certbot_has_limits_of_memory_and_files(host: str) -> None:
    modest, memory, file = scenario.python(host, GREEDY)
    assert modest == [False, f"{64 << 20}\n"]
    assert memory[0]
    assert "MemoryError" in memory[1]
    assert file[0]
    assert "File too large" in file[1]
    size = scenario.within(host, "sh", "-c", f"stat -c %s {HOME}/x; rm {HOME}/x")
    assert int(size) <= 4 << 20


def test_a_certificate_is_renewed_when_the_authority_asks_for_it(host: str) -> None:
    before = ask(host)["der"]
    tick(host)
    assert ask(host)["der"] == before, "it was not due"
    assert "/renewalInfo/" in log()
    revoke = ["/bin/sh", "-c", f"exec $(echo /opt/slipway/certbot-*/bin/certbot) revoke -n --no-delete-after-revoke --cert-name shop.{host}.test --server {acme.DIRECTORY} {' '.join(FOLDERS)}"]  # fmt: skip
    scenario.within(host, *USER, "env", "HOME=/tmp", "REQUESTS_CA_BUNDLE=/etc/slipway/acme-ca.pem", *revoke)
    with clients("a renewal that the authority asks for", host):
        tick(host)  # RFC 9773: the window of a revoked certificate is over
    assert ask(host)["der"] != before
    assert rows(host)["shop"]["failure"] == ""


def test_a_certificate_of_a_minute_is_renewed_by_its_lifetime(host: str) -> None:
    acme.start(certificateValidityPeriod=60)
    assert run(host, "renew", "--now")["changed"]
    before = ask(host)["der"]
    acme.start()
    # An authority without renewal information: certbot is not to ask for it before the year 2099.
    conf = f"{HOME}/config/renewal/shop.{host}.test.conf"
    later = "[acme_renewal_info]\nari_retry_after = 2099-01-01T00:00:00\n"
    scenario.within(
        host, "sh", "-c", f"sed -i '/acme_renewal_info/d; /ari_retry_after/d' {conf}; cat >> {conf}", stdin=later
    )
    due = rows(host)["shop"]["renews"]
    scenario.within(host, "sh", "-c", f"until [ $(date +%s) -gt $(date -d {due} +%s) ]; do sleep 1; done")
    with clients("a renewal by the lifetime", host):
        row = run(host, "renew")
    assert (row["failure"], row["changed"]) == ("", True), row
    assert ask(host)["der"] != before
    scenario.within(host, "sed", "-i", "/ari_retry_after/d", conf)


def test_a_name_that_leads_elsewhere_costs_no_attempt(host: str) -> None:
    addresses = dict.fromkeys(acme.NAMES, scenario.address(host))
    acme.lead(host, {**addresses, "www": scenario.address(HOST)})
    orders = log().count("order-plz")
    row = run(host, "renew", "--now")
    assert f"www.{host}.test leads to {scenario.address(HOST)}" in row["failure"]
    assert "The authority was not asked" in row["failure"]
    assert log().count("order-plz") == orders
    assert is_up(host)
    acme.lead(host, addresses)


def test_the_authority_refuses_a_name(host: str) -> None:
    acme.start(domainBlocklist=[f"www.{host}.test"])
    result = scenario.play("certificates", "--limit", host, renew=True)
    assert result.returncode
    assert f"www.{host}.test" in result.stdout
    assert "forbidden by policy" in result.stdout
    assert is_up(host)
    acme.start()


def test_the_authority_is_down_for_a_while(host: str) -> None:
    before = ask(host)["der"]
    acme.stop()
    row = run(host, "renew", "--now")
    assert row["failure"] == f"{acme.DIRECTORY} does not answer; the next run of the timer tries again"
    assert rows(host)["shop"]["failure"] == row["failure"]
    assert is_up(host)
    acme.start()
    row = run(host, "renew", "--now")
    assert (row["failure"], row["changed"]) == ("", True), row
    assert "registered a new one" in row["remark"], "pebble forgets its accounts"
    assert ask(host)["der"] != before
    assert rows(host)["shop"]["failure"] == ""


def test_an_account_that_the_authority_has_closed(host: str) -> None:
    assert run(host, "renew", "--now")["failure"] == "", "it has an account again after the authority's restart"
    accounts = f"{HOME}/config/accounts"
    close = f"cp -a {accounts} /tmp/accounts && HOME=/tmp REQUESTS_CA_BUNDLE=/etc/slipway/acme-ca.pem /opt/slipway/certbot-*/bin/certbot unregister -n --server {acme.DIRECTORY} {' '.join(FOLDERS)} && rm -rf {accounts} && mv /tmp/accounts {accounts}"  # fmt: skip
    scenario.within(host, *USER, "sh", "-c", close)
    row = run(host, "renew", "--now")
    assert (row["failure"], row["changed"]) == ("", True), row
    assert "registered a new one" in row["remark"]
    assert is_up(host)


@contextlib.contextmanager
def settings(host: str, **authority: object) -> Iterator[None]:
    """The program's settings with another authority than the deploy wrote."""
    path = "/etc/slipway/certificates.json"
    before = scenario.within(host, "cat", path)
    changed = json.loads(before)
    changed["authority"].update(authority)
    scenario.within(host, "tee", path, stdin=json.dumps(changed))
    yield
    scenario.within(host, "tee", path, stdin=before)


def test_an_authority_wants_an_external_account_binding() -> None:
    acme.start(externalAccountBindingRequired=True, externalAccountMACKeys={"kid-1": acme.EAB_KEY})
    host = WEB[0]
    row = run(host, "renew", "--now")
    assert row["failure"].startswith(f"{acme.DIRECTORY} wants an external account binding; set acme_eab to")
    wrong, seen = acme.EAB_KEY.replace("MDEy", "MzIx"), ""
    for kid, key in (("kid-9", acme.EAB_KEY), ("kid-1", wrong)):
        with bound(host, kid, key):
            row = run(host, "renew", "--now")
        assert row["failure"].startswith(f"{acme.DIRECTORY} refuses acme_eab: "), row
        seen += row["failure"]
    with settings(host):  # those of the deploy are for this test alone
        deploy = scenario.play("deploy", "--limit", host, "--diff", "-vvvv", app="shop", acme_eab={"kid": "kid-1", "hmac_key": acme.EAB_KEY})  # fmt: skip
        assert deploy.returncode == 0, deploy.stdout
        row = run(host, "renew", "--now")
        assert (row["failure"], row["changed"]) == ("", True), row
    # Only certbot's user reads the key; no other file, log or output has it.
    read = scenario.within(
        host, "sh", "-c", f"grep -rlE '{acme.EAB_KEY}|{wrong}' /etc /opt /srv /var /run /tmp || true"
    )
    assert read.split() == ["/var/lib/slipway-acme/secrets/account.ini"]
    journal = scenario.within(host, "journalctl", "--no-pager", "--output=cat")
    for text in (seen, deploy.stdout, journal):
        assert acme.EAB_KEY not in text
        assert wrong not in text
    acme.start()


@contextlib.contextmanager
def bound(host: str, kid: str, key: str) -> Iterator[None]:
    """The settings with an external account binding."""
    path = "/var/lib/slipway-acme/secrets/account.ini"
    text = f"eab-kid = {kid}\neab-hmac-key = {key}\n"
    scenario.within(host, "install", "-o", "slipway-acme", "-m", "400", "/dev/stdin", path, stdin=text)
    with settings(host, eab=True):
        yield
    scenario.within(host, "rm", path)


def test_an_authority_limits_the_host() -> None:
    host = WEB[1]
    acme.limit(after=3600)
    with settings(host, directory=acme.LIMITED):
        before, begin = ask(host)["der"], time.time()
        row = run(host, "renew", "--now")
        asked = passed()
        until = row["failure"].removeprefix(f"{acme.LIMITED} limits this host until ").partition(": ")[0]
        moment = datetime.datetime.fromisoformat(until).timestamp()
        assert begin + 3595 < moment < time.time() + 3605
        assert row["failure"].endswith(": too many new orders; the first run of the timer after that tries again")
        # The timer leaves it alone until then.
        again = run(host, "renew")
        assert again["failure"] == row["failure"]
        assert passed() == asked
        assert ask(host)["der"] == before
        assert is_up(host)
        # A short wait is part of the run.
        acme.limit(after=8)
        asked, argv = (
            passed(),
            ["podman", "exec", scenario.container(host), *PROGRAM, "renew", "--now", f"shop.{host}.test"],
        )
        renewal = subprocess.Popen(argv, env=scenario.environment, stdout=subprocess.PIPE, text=True)
        scenario.within(
            HOST, "sh", "-c", f"until tail -n +{asked + 1} {ACCESS} | grep -q '\" 429 '; do sleep 0.1; done"
        )
        acme.limit(after=8, rate=6000)
        output, _ = renewal.communicate(timeout=patience(120))
        [row] = json.loads(output)["sites"]
        assert (row["failure"], row["changed"]) == ("", True), row


def passed() -> int:
    """How many requests the authority's nginx has got."""
    return int(scenario.within(HOST, "sh", "-c", f"cat {ACCESS} | wc -l"))


def test_profiles_of_an_authority() -> None:
    host = WEB[0]
    acme.limit(after=8, rate=6000)
    with settings(host, profile="shortlived", directory=acme.LIMITED):
        row = run(host, "renew", "--now")
        assert (row["failure"], row["remark"]) == ("", "")
    sent = scenario.within(host, "grep", "-c", '"profile": "shortlived"', f"{HOME}/logs/letsencrypt.log")
    assert int(sent) > 0
    with settings(host, profile="tiny", directory=acme.LIMITED):
        row = run(host, "renew")
    assert row["remark"].endswith("ignored acme_profile tiny: it offers the profiles classic, shortlived")


def test_nginx_refuses_its_files_during_a_renewal(host: str) -> None:
    before = ask(host)["der"]
    scenario.within(host, "sh", "-c", "echo 'no such directive;' > /etc/nginx/conf.d/zz-broken.conf")
    with clients("a renewal whose certificate nginx refuses, and another one", host):
        row = run(host, "renew", "--now")
        assert 'unknown directive "no"' in row["failure"]
        assert row["failure"].endswith("the one before is served")
        assert ask(host)["der"] == before
        scenario.within(host, "rm", "/etc/nginx/conf.d/zz-broken.conf")
        row = run(host, "renew")
    assert (row["failure"], row["changed"]) == ("", True), "certbot has the new certificate since"
    assert ask(host)["der"] != before


def test_a_deploy_and_a_renewal_at_once(host: str) -> None:
    before = ask(host)["der"]
    argv = ["podman", "exec", scenario.container(host), *PROGRAM, "renew", "--now"]
    with clients("a renewal during a deploy", host):
        renewal = subprocess.Popen(argv, env=scenario.environment, stdout=subprocess.PIPE, text=True)
        deploy = scenario.play("deploy", "--limit", host, round=2, app="shop")
        output, _ = renewal.communicate(timeout=patience(300))
    assert deploy.returncode == 0, deploy.stdout
    assert {row["failure"] for row in json.loads(output)["sites"]} == {""}
    assert ask(host)["der"] != before
    assert is_up(host)


def test_a_certificate_of_the_user_changes() -> None:
    before = ask(WEB[0], "own")["der"]
    acme.sign("own", *(f"own.{name}.test" for name in WEB), days=25)
    with clients("another certificate of your own", *WEB, app="own"):
        deploy = scenario.play("deploy", app="own")
    assert deploy.returncode == 0, deploy.stdout
    assert "PRIVATE KEY" not in deploy.stdout
    wanted = ssl.PEM_cert_to_DER_cert((acme.MADE / "own.pem").read_text()).hex()
    assert {ask(name, "own")["der"] for name in WEB} == {wanted} != {before}


def test_apps_move_from_http_to_https() -> None:
    deploy = scenario.play("deploy", app="shop,own", shop_tls="none", own_tls="none")
    assert deploy.returncode == 0, deploy.stdout
    assert {ask(name, app, port=80)["status"] for name in WEB for app in ("shop", "own")} == {200}
    acme.stop()
    with (
        clients("from http to https, while the authority is down", *WEB, kind="moving"),
        clients("from http to https, with your own certificate", *WEB, app="own", kind="moving", leads=True),
    ):
        deploy = scenario.play("deploy", app="shop,own")
    assert deploy.returncode
    assert "does not answer" in deploy.stdout
    for name in WEB:
        assert rows(name)["shop"]["kind"] == "placeholder"
        assert "Strict-Transport-Security" not in ask(name)["head"]
    acme.start()
    with clients("… and the authority's first certificate", *WEB, kind="moving", leads=True):
        deploy = scenario.play("deploy", app="shop")
    assert deploy.returncode == 0, deploy.stdout
    assert all(is_up(name) for name in WEB)


def test_an_app_leaves_with_its_certificate(host: str) -> None:
    result = scenario.play("remove", "--limit", host, app="wild")
    assert result.returncode == 0, result.stdout
    left = scenario.within(host, "find", "/etc/slipway/tls", HOME, "/var/lib/slipway-acme/secrets", "-name", "*wild*")
    assert left == ""
    assert is_up(host)


def test_nothing_is_left_when_the_last_app_is_purged(host: str) -> None:
    result = scenario.play("remove", "--limit", host, app="shop,own,signed", purge=True)
    assert result.returncode == 0, result.stdout
    places = "/etc/slipway/tls /etc/slipway/certificates.json /etc/slipway/acme-ca.pem /var/lib/slipway-acme /opt/slipway/certificates"
    left = scenario.attempt(host, "sh", "-c", f"ls -d {places} /opt/slipway/certbot-* /etc/systemd/system/slipway-certificates* 2>/dev/null").stdout  # fmt: skip
    assert left == ""
    assert scenario.attempt(host, "id", "slipway-acme").returncode
    state = scenario.attempt(host, "sh", "-c", "ls /var/lib/slipway | grep certificates").stdout
    assert state == ""
