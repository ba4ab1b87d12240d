"""Prepares an ACME server (pebble) and a name server (knot) for the scenario's hosts, and changes how they behave.

nginx before pebble adds what that one lacks: limits to the rate of requests, and a list of profiles.

`python -m tests.acme` prepares both. Nothing but `acme_ca_file` makes a host trust the ACME server.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping

from tests.hosts.scenario import ROOT, Scenario

SCENARIO = Scenario("tls")
HOST = "authority"
WEB = ("bookworm", "trixie")
MADE = ROOT / ".cache/tls"
"""What the inventory names."""
DIRECTORY = "https://acme.test:14000/dir"
PEBBLE = "pebble"
"""The unit in which pebble runs."""
LIMITED = "https://acme.test:14443/dir"
"""The same server, behind nginx."""
LIMITED_HERE = "https://127.0.0.1:14443"
EAB_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
BEFORE = """\
limit_req_zone $server_name zone=orders:1m rate={rate}r/m;
server {{
    listen 14443 ssl;
    server_name acme.test;
    ssl_certificate /etc/pebble/cert.pem;
    ssl_certificate_key /etc/pebble/key.pem;
    proxy_set_header Host $http_host;
    location / {{
        proxy_pass https://127.0.0.1:14000;
        sub_filter_types application/json;
        sub_filter '"meta": {{' '"meta": {{"profiles": {{"classic": "of 90 days", "shortlived": "of 6 days"}},';
    }}
    location /order-plz {{
        limit_req zone=orders;
        limit_req_status 429;
        error_page 429 = @limited;
        proxy_pass https://127.0.0.1:14000;
    }}
    location @limited {{
        types {{}}
        default_type application/problem+json;
        add_header Retry-After {after} always;
        return 429 '{{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many new orders"}}';
    }}
}}
"""
NAMES = ("shop", "www", "signed", "own", "any.wild")
CONFIG = {
    "listenAddress": "0.0.0.0:14000",
    "managementListenAddress": "0.0.0.0:15000",
    "certificate": "/etc/pebble/cert.pem",
    "privateKey": "/etc/pebble/key.pem",
    "httpPort": 80,
    "tlsPort": 443,
    "externalAccountBindingRequired": False,
    "retryAfter": {"authz": 1, "order": 1},
    "certificateValidityPeriod": 7776000,
}


def start(**changes: object) -> None:
    """Start pebble again, with changes of its configuration. It forgets accounts and certificates."""
    stop()
    config = json.dumps({"pebble": {**CONFIG, **changes}})
    SCENARIO.within(HOST, "tee", "/etc/pebble/config.json", stdin=config)
    variables = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}
    options = [f"--setenv={name}={value}" for name, value in variables.items()]
    command = ["pebble", "-config", "/etc/pebble/config.json", "-dnsserver", "127.0.0.1:53"]
    SCENARIO.within(HOST, "systemd-run", "--quiet", f"--unit={PEBBLE}", "--collect", *options, *command)
    SCENARIO.within(
        HOST, *("curl", "--silent", "--show-error", "--insecure", "--retry", "50", "--retry-delay", "1"),
        *("--retry-connrefused", "--output", "/dev/null", "https://127.0.0.1:14000/dir"),
    )  # fmt: skip


def limit(after: int, rate: int = 1) -> None:
    """Have nginx pass that many orders a minute, and say to others after how many seconds they may come again."""
    SCENARIO.within(HOST, "tee", "/etc/nginx/conf.d/acme.conf", stdin=BEFORE.format(after=after, rate=rate))
    SCENARIO.within(HOST, "systemctl", "restart", "nginx")  # it forgets which requests it has passed
    if rate == 1:  # the order that it passes in this minute is this one
        SCENARIO.within(HOST, "curl", "--silent", "--insecure", "--output", "/dev/null", f"{LIMITED_HERE}/order-plz")


def stop() -> None:
    """Stop pebble: the authority is down."""
    SCENARIO.attempt(HOST, "systemctl", "stop", PEBBLE)


def lead(host: str, addresses: Mapping[str, str]) -> None:
    """Let a host's names lead to addresses, for the authority and for the host itself."""
    zone = f"{host}.test"
    lines = [f"$ORIGIN {zone}.", "$TTL 1", "@ SOA ns ops 1 60 60 600 1", "@ NS ns", f"ns A {SCENARIO.address(HOST)}"]
    lines += [f"{name} A {address}" for name, address in addresses.items()]
    SCENARIO.within(HOST, "tee", f"/var/lib/knot/{zone}.zone", stdin="\n".join([*lines, ""]))
    if SCENARIO.attempt(HOST, "systemctl", "is-active", "--quiet", "knot").returncode == 0:
        SCENARIO.within(HOST, "rm", "-rf", "/var/lib/knot/journal")
        SCENARIO.within(HOST, "systemctl", "restart", "knot")
    known = SCENARIO.within(host, "cat", "/etc/hosts").splitlines()
    known = [line for line in known if not line.endswith((f".{zone}", "acme.test"))]
    known += [f"{address} {name}.{zone}" for name, address in addresses.items()]
    known.append(f"{SCENARIO.address(HOST)} acme.test")
    SCENARIO.within(host, "sh", "-c", "cat > /etc/hosts", stdin="\n".join([*known, ""]))


def prepare() -> None:
    """Prepare both servers, and the user's own files."""
    MADE.mkdir(parents=True, exist_ok=True)
    SCENARIO.within(HOST, "mkdir", "-p", "/etc/pebble")
    _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Test CA", "-days", "30", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", "ca.key", "-out", "ca.pem")  # fmt: skip
    sign("acme", "acme.test")
    sign("own", *(f"own.{host}.test" for host in WEB))
    for name, path in (("acme.pem", "cert.pem"), ("acme.key", "key.pem")):
        SCENARIO.within(HOST, "tee", f"/etc/pebble/{path}", stdin=(MADE / name).read_text())
    generated = SCENARIO.within(HOST, "keymgr", "-t", "slipway", "hmac-sha256")
    secret = next(line.split()[-1] for line in generated.splitlines() if "secret:" in line)
    (MADE / "tsig").write_text(secret)
    (MADE / "address").write_text(SCENARIO.address(HOST))
    zones = "\n".join(f"  - domain: {host}.test\n    acl: update" for host in WEB)
    SCENARIO.within(
        HOST, "tee", "/etc/knot/knot.conf",
        stdin=f"server:\n  listen: 0.0.0.0@53\n{generated}\nacl:\n  - id: update\n    key: slipway\n    action: [update, transfer]\n"
        f"template:\n  - id: default\n    storage: /var/lib/knot\n    file: \"%s.zone\"\n    zonefile-sync: -1\n    journal-content: changes\nzone:\n{zones}\n",
    )  # fmt: skip
    for host in WEB:
        lead(host, dict.fromkeys(NAMES, SCENARIO.address(host)))
    SCENARIO.within(HOST, "systemctl", "restart", "knot")
    start()


def sign(name: str, *domains: str, days: int = 20) -> None:
    """Sign a certificate for domains by the test's own authority."""
    names = ",".join(f"DNS:{domain}" for domain in domains)
    # Python 3.13 refuses a certificate that does not name its signer's key.
    lines = [f"subjectAltName={names}", "extendedKeyUsage=serverAuth", "authorityKeyIdentifier=keyid"]
    (MADE / "extensions").write_text("\n".join([*lines, ""]))
    _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={domains[0]}", "-keyout", f"{name}.key", "-out", f"{name}.csr")  # fmt: skip
    _openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", str(days), "-extfile", "extensions", "-out", f"{name}.pem")  # fmt: skip


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=MADE, env=os.environ, capture_output=True, check=True)


if __name__ == "__main__":
    prepare()
