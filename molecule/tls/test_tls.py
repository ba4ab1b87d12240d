"""Certificates on real hosts: each case ends with the site up, and where something is wrong, with one clear sentence.

The tests run in their order, and each leaves the hosts as the next one expects them. Clients ask all the time.
"""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests import acme
from tests.acme import HOST, WEB
from tests.acme import SCENARIO as scenario
from tests.patience import patience

PROGRAM = ("python3", "-I", "/opt/slipway/certificates", "/etc/slipway/certificates.json")
USER = ("setpriv", "--reuid=slipway-acme", "--regid=slipway-acme", "--clear-groups")
HOME = "/var/lib/slipway-acme/certbot"
FOLDERS = tuple(f"--{kind}-dir={HOME}/{kind}" for kind in ("config", "work", "logs"))
TIMER = "slipway-certificates.service"

ASK = r"""
import json, socket, ssl, sys
host, name, port = sys.argv[1:]
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
with socket.create_connection(("127.0.0.1", int(port)), 10) as plain:
    secured = context.wrap_socket(plain, server_hostname=name) if port == "443" else plain
    der = secured.getpeercert(binary_form=True) if port == "443" else b""
    secured.sendall(f"GET /healthz HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
    head = b""
    while part := secured.recv(65536):
        head += part
print(json.dumps({"der": der.hex(), "status": int(head.split()[1]), "head": head.decode("latin-1")}))
"""

VISIT = r"""
import http.client, json, signal, socket, ssl, sys, threading, time
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
name, faults, count, stop = sys.argv[1], [], [0], threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
def visit():
    connection = None
    while not stop.is_set():
        again = connection is not None
        try:
            if connection is None:
                plain = socket.create_connection(("127.0.0.1", 443), 20)
                connection = http.client.HTTPConnection(name)
                connection.auto_open = 0  # else it would connect again by itself, without TLS
                connection.sock = context.wrap_socket(plain, server_hostname=name)
            connection.request("GET", "/pid", headers={"Host": name})
            answer = connection.getresponse()
            answer.read()
            count[0] += 1
            if answer.status != 200:
                faults.append(f"status {answer.status}")
        except (OSError, http.client.HTTPException) as error:
            connection = None
            # A reload closes kept-alive connections that are idle. A browser asks again then, and so does this client, once.
            if not again:
                faults.append(repr(error))
            continue
        time.sleep(0.02)
threads = [threading.Thread(target=visit) for _ in range(4)]
for thread in threads:
    thread.start()
stop.wait()
for thread in threads:
    thread.join()
print(json.dumps({"count": count[0], "faults": faults}))
"""


def ask(host: str, name: str = "shop", port: int = 443) -> dict[str, Any]:
    """A request to nginx on the host; the certificate's bytes, the status and the whole answer."""
    answer: dict[str, Any] = scenario.python(host, ASK, host, f"{name}.{host}.test", str(port))
    return answer


def rows(host: str) -> dict[str, dict[str, Any]]:
    """What the program says about each site."""
    reply = json.loads(scenario.within(host, *PROGRAM, "status"))
    return {row["site"].partition(f".{host}.")[0]: row for row in reply["sites"]}


def run(host: str, *words: str) -> dict[str, Any]:
    """Run the program for the shop alone; its row."""
    reply = json.loads(scenario.attempt(host, *PROGRAM, *words, f"shop.{host}.test").stdout)
    row: dict[str, Any] = reply["sites"][0]
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


@pytest.fixture
def visitors(host: str) -> Iterator[None]:
    """Clients with kept-alive connections, during a test; none of their requests may fail."""
    argv = ["podman", "exec", "-i", scenario.container(host), "timeout", "-s", "TERM", "600", "python3", "-c", VISIT]
    process = subprocess.Popen(
        [*argv, f"shop.{host}.test"],
        env=scenario.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield
    scenario.within(host, "pkill", "-TERM", "-f", "import http.client, json, signal, socket")
    output, _ = process.communicate(timeout=patience(60))
    result = json.loads(output.splitlines()[-1])
    assert result["count"] > 20, result
    assert not result["faults"], result


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


def test_a_certificate_is_renewed_when_the_authority_asks_for_it(host: str, visitors: None) -> None:
    before = ask(host)["der"]
    tick(host)
    assert ask(host)["der"] == before, "it was not due"
    assert "/renewalInfo/" in log()
    revoke = ["/bin/sh", "-c", f"exec $(echo /opt/slipway/certbot-*/bin/certbot) revoke -n --no-delete-after-revoke --cert-name shop.{host}.test --server {acme.DIRECTORY} {' '.join(FOLDERS)}"]  # fmt: skip
    scenario.within(host, *USER, "env", "HOME=/tmp", "REQUESTS_CA_BUNDLE=/etc/slipway/acme-ca.pem", *revoke)
    tick(host)  # RFC 9773: the window of a revoked certificate is over
    assert ask(host)["der"] != before
    assert rows(host)["shop"]["failure"] == ""


def test_a_certificate_of_a_minute_is_renewed_by_its_lifetime(host: str, visitors: None) -> None:
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


def test_nginx_refuses_its_files_during_a_renewal(host: str, visitors: None) -> None:
    before = ask(host)["der"]
    scenario.within(host, "sh", "-c", "echo 'no such directive;' > /etc/nginx/conf.d/zz-broken.conf")
    row = run(host, "renew", "--now")
    assert 'unknown directive "no"' in row["failure"]
    assert row["failure"].endswith("the one before is served")
    assert ask(host)["der"] == before
    scenario.within(host, "rm", "/etc/nginx/conf.d/zz-broken.conf")
    row = run(host, "renew")
    assert (row["failure"], row["changed"]) == ("", True), "certbot has the new certificate since"
    assert ask(host)["der"] != before


def test_a_deploy_and_a_renewal_at_once(host: str, visitors: None) -> None:
    before = ask(host)["der"]
    argv = ["podman", "exec", scenario.container(host), *PROGRAM, "renew", "--now"]
    renewal = subprocess.Popen(argv, env=scenario.environment, stdout=subprocess.PIPE, text=True)
    deploy = scenario.play("deploy", "--limit", host, greeting="second", app="shop")
    output, _ = renewal.communicate(timeout=patience(300))
    assert deploy.returncode == 0, deploy.stdout
    assert {row["failure"] for row in json.loads(output)["sites"]} == {""}
    assert ask(host)["der"] != before
    assert is_up(host)


def test_a_certificate_of_the_user_changes(host: str, visitors: None) -> None:
    if host == WEB[0]:
        acme.sign("own", *(f"own.{name}.test" for name in WEB), days=25)
    before = ask(host, "own")["der"]
    deploy = scenario.play("deploy", "--limit", host, app="own")
    assert deploy.returncode == 0, deploy.stdout
    assert "PRIVATE KEY" not in deploy.stdout
    wanted = ssl.PEM_cert_to_DER_cert((acme.MADE / "own.pem").read_text()).hex()
    assert ask(host, "own")["der"] == wanted != before


def test_a_first_certificate_that_cannot_be_had_leaves_http(host: str) -> None:
    acme.stop()
    # A switch from another source: the site serves https with the earlier certificate, or http with a placeholder.
    assert scenario.play("remove", "--limit", host, app="shop").returncode == 0
    deploy = scenario.play("deploy", "--limit", host, app="shop", greeting="third")
    assert deploy.returncode
    assert "does not answer" in deploy.stdout
    assert rows(host)["shop"]["kind"] == "placeholder"
    assert ask(host, port=80)["status"] == 200
    assert "Strict-Transport-Security" not in ask(host)["head"]
    acme.start()
    deploy = scenario.play("deploy", "--limit", host, app="shop", greeting="third")
    assert deploy.returncode == 0, deploy.stdout
    assert is_up(host)


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
