"""HTTPS of an app: what its keys say, what is wrong with them, and the policies of TLS."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import acme

NO_TLS = "none"
"""Plain http only."""
SOURCES = (NO_TLS, "self_signed", "acme")
"""What `tls` may be as one word."""
HSTS: Mapping[str, int] = {
    "off": 0,
    "5 minutes": 300,
    "1 day": 86400,
    "1 week": 604800,
    "1 month": 2592000,
    "1 year": 31536000,
}
"""The stages of HSTS, in seconds."""
HSTS_DEFAULT = "5 minutes"
RESERVED = frozenset(["test", "example", "invalid", "localhost", "local", "internal", "lan", "home", "corp", "arpa"])
"""Top-level domains that no public authority signs for (RFC 2606, 6761, 6762, 8375; ICANN's `internal`)."""
DOCUMENTATION_DOMAINS = re.compile(r"(.+\.)?example\.(com|net|org)")
"""Domains for documentation (RFC 2606), which belong to no operator."""


@dataclass(frozen=True)
class Tls:
    """How an app is served over https. Without any secret: credentials stay in the user's entry."""

    source: str
    """Where its certificate comes from: `self_signed`, `acme` or `provided`."""
    dns: str | None = None
    """certbot's DNS plugin; None where the authority asks nginx."""
    chain: str = ""
    """The user's file with the certificate and its intermediates, absolute or relative to the inventory's folder."""
    key: str = ""
    """The same for its key."""
    hsts: int = 0
    """Seconds for which a browser comes back by https only; 0 makes it forget."""


@dataclass(frozen=True)
class Policy:
    """What clients may speak, by version 6.0 of Mozilla's guidelines for servers."""

    protocols: str
    ciphers: str
    """Of TLS 1.2; those of TLS 1.3 are all good, and OpenSSL chooses them."""
    groups: str = "X25519:prime256v1:secp384r1"
    """For the exchange of keys, the preferred one first."""


POLICIES: Mapping[str, Policy] = {
    "intermediate": Policy(
        protocols="TLSv1.2 TLSv1.3",
        ciphers=":".join(
            f"ECDHE-{key}-{cipher}"
            for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
            for key in ("ECDSA", "RSA")
        ),
    ),
    "modern": Policy(protocols="TLSv1.3", ciphers=""),
}
QUANTUM_SAFE = "X25519MLKEM768"
"""The group that the guidelines prefer to all others."""
QUANTUM_SAFE_SINCE = (3, 5)
"""The first OpenSSL that has it."""


def policy(name: str, openssl: tuple[int, ...]) -> Policy:
    """A policy as nginx can have it with its OpenSSL."""
    chosen = POLICIES[name]
    groups = f"{QUANTUM_SAFE}:{chosen.groups}" if openssl >= QUANTUM_SAFE_SINCE else chosen.groups
    return replace(chosen, groups=groups)


def derive(entry: Mapping[str, Any]) -> Tls | None:
    """How an app is served over https; None for plain http."""
    wanted, hsts = entry.get("tls", NO_TLS), HSTS[stage(entry)]
    if isinstance(wanted, str):
        return None if wanted == NO_TLS else Tls(source=wanted, hsts=hsts)
    if "acme" in wanted:
        return Tls(source="acme", dns=wanted["acme"]["dns"], hsts=hsts)
    return Tls(source="provided", chain=wanted["certificate"], key=wanted["key"], hsts=hsts)


def stage(entry: Mapping[str, Any]) -> str:
    """The stage of HSTS of an entry. YAML reads a plain `off` as false."""
    given = entry.get("hsts", HSTS_DEFAULT)
    return str(given) if given else "off"


def tls(value: str | Mapping[str, Any]) -> str | None:
    """Checks the key `tls`: one word, a certificate with its key, or how to get one by DNS."""
    choices = "none, self_signed, acme, {certificate: …, key: …} or {acme: {dns: …}}"
    if isinstance(value, str):
        return None if value in SOURCES else f"must be {choices}"
    given = set(value)
    if given in ({"certificate", "key"}, {"acme"}):
        return None
    if given == {"certificate"}:
        return "names a `certificate` without its `key`; write the file of the key, too"
    if given == {"key"}:
        return "names a `key` without its `certificate`; write the file of the certificate, too"
    return f"must be {choices}"


def hsts(value: str | bool) -> str | None:
    """Checks the key `hsts`."""
    fits = value is False or (isinstance(value, str) and value in HSTS)
    return None if fits else f"must be one of {', '.join(HSTS)}"


def faults(entry: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with an entry whose values are right, one by one: the key, and the rest of a sentence about it."""
    domains, wanted = [domain.lower() for domain in entry.get("domains", ())], derive(entry)
    if wanted and wanted.source == "acme":
        yield from _unsignable(domains, wanted)
    if wanted and wanted.dns:
        problem = acme.credentials(wanted.dns, entry["tls"]["acme"].get("credentials", {}))
        if problem:
            yield ("tls", "acme", "credentials"), problem
    if "hsts" in entry and not wanted:
        yield (
            ("hsts",),
            f"is {stage(entry)}, and the app has no `tls`: browsers ignore it over plain http; write `tls`, or leave it out",
        )
    if "primary" in entry:
        yield from _primary(entry["primary"].lower(), domains, entry.get("health", {}).get("host"))


def _unsignable(domains: Sequence[str], wanted: Tls) -> Iterator[tuple[tuple[str, ...], str]]:
    if not domains:
        yield (
            ("tls",),
            "is acme, and the app has no `domains` that an authority could prove; write them, or use self_signed",
        )
    for domain in domains:
        if is_address(domain):
            yield (
                ("domains",),
                f"has the address {domain}, and `tls: acme` is for names; write a host name, or use `tls: self_signed`",
            )
        elif domain.startswith("*.") and not wanted.dns:
            yield (
                ("tls",),
                f"is acme, and an authority proves the wildcard {domain} only by DNS; write "
                "tls: {acme: {dns: <certbot plugin>, credentials: …}}",
            )


def _primary(primary: str, domains: Sequence[str], asked: str | None) -> Iterator[tuple[tuple[str, ...], str]]:
    if primary.startswith("*"):
        yield ("primary",), f"is {primary}, and no client can be sent to a wildcard; write one host name of `domains`"
    elif primary not in domains:
        listed = ", ".join(domains) or "none"
        yield ("primary",), f"is {primary}, which is none of the app's `domains` ({listed}); write one of them"
    elif asked and asked.lower() != primary and asked.lower() in domains:
        yield (
            ("health", "host"),
            f"is {asked}, which only leads to the primary domain {primary}; write that, or leave it out",
        )


def is_address(domain: str) -> bool:
    """Whether a domain is an IP address."""
    try:
        ipaddress.ip_address(domain)
    except ValueError:
        return False
    return True


def is_public(domain: str) -> bool:
    """Whether a public authority can sign for a domain, as far as the name tells."""
    name = domain.lower().removeprefix("*.")
    top = name.rpartition(".")[2]
    return "." in name and top not in RESERVED and not is_address(name) and not DOCUMENTATION_DOMAINS.fullmatch(name)


def divided(apps: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Apps of one domain that want different things of its server: the path from `apps` on, and the rest of a sentence."""
    first: dict[str, str] = {}
    for name, entry in present(apps).items():
        for domain in [str(item).lower() for item in entry.get("domains", ())] or [""]:
            other = first.setdefault(domain, name)
            differing = [key for key in _OF_A_SITE if _OF_A_SITE[key](apps[other]) != _OF_A_SITE[key](entry)]
            if differing:
                key = differing[0]
                yield (
                    (name, key),
                    f"differs from that of apps.{other}, and both serve {domain or 'the default site'}, which has one; "
                    f"write the same `{key}` in both",
                )
                break


_OF_A_SITE = {
    "tls": lambda entry: entry.get("tls", NO_TLS),
    "hsts": lambda entry: stage(entry) if derive(entry) else "",
    "primary": lambda entry: str(entry.get("primary", "")).lower(),
}
"""The keys that a site has only once, with how they read."""


def present(apps: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of the apps that are to be on the host."""
    return {name: entry for name, entry in apps.items() if entry.get("state") != "absent"}


def advice(variables: Mapping[str, Any]) -> list[str]:
    """What the operator of a valid inventory should know, one line each."""
    here = present(variables["apps"])
    lines = []
    passwords = _passwords_in_clear(variables, here)
    plain = [
        name
        for name, entry in here.items()
        if "tls" not in entry and name not in passwords and any(map(is_public, entry.get("domains", ())))
    ]
    if plain and not variables.get("nginx_trusted_proxies"):
        them = ", ".join(f"apps.{name}" for name in plain)
        verb = "serves" if len(plain) == 1 else "serve"
        lines.append(
            f"{them} {verb} public domains over plain http only; write `tls: acme`, or `tls: none` to keep it so"
        )
    if passwords:
        them, verb = ", ".join(f"apps.{name}" for name in passwords), "answers" if len(passwords) == 1 else "answer"
        lines.append(
            f"{them} {verb} over plain http, so the passwords of `basic_auth` cross the network unencrypted; write `tls`, or "
            "name the proxy that speaks https in `nginx_trusted_proxies`"
        )
    if not variables.get("acme_directory"):
        for name, entry in here.items():
            wanted = derive(entry)
            local = [domain for domain in entry.get("domains", ()) if not is_public(domain)]
            if wanted and wanted.source == "acme" and local:
                lines.append(
                    f"apps.{name}.tls is acme, and no public authority signs for {', '.join(local)}; set `acme_directory` to a "
                    "private one, or use `tls: self_signed`"
                )
    return lines


def _passwords_in_clear(variables: Mapping[str, Any], here: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The apps whose passwords cross the network as they are. A proxy that is trusted may speak https."""
    if variables.get("nginx_trusted_proxies"):
        return []
    vault = variables.get("vault_apps") or {}
    return [
        name
        for name, entry in here.items()
        if (entry.get("basic_auth") or (vault.get(name) or {}).get("basic_auth")) and not derive(entry)
    ]
