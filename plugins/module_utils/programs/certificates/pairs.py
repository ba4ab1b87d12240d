"""Checks a certificate with its chain and key, by the host's openssl."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from .settings import Trouble

LIMIT = 128 * 1024
"""Bytes of a chain or a key. A chain of four certificates with 100 names has 16 kB."""
DEADLINE = 20.0
CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
CERTIFICATES = 10
"""Most certificates in a chain."""
SLACK = 300
"""Seconds by which the clock of an authority may be ahead of this host's."""
LABEL = "slipway-any"
"""A name that stands for every name below a wildcard's domain."""


@dataclass(frozen=True)
class Pair:
    """A certificate with its chain, and its key, as PEM."""

    chain: bytes
    key: bytes


@dataclass(frozen=True)
class Facts:
    """What a certificate says about itself."""

    issuer: str
    not_before: int
    not_after: int
    """Seconds since 1970."""
    has_responder: bool
    """Whether it names an OCSP responder, and its chain the issuer that signs the responder's answers."""

    def days(self) -> int:
        """Whole days until it expires."""
        return int((self.not_after - time.time()) // 86400)

    def renews(self) -> int:
        """When certbot renews it, unless the authority asks for another time: the same share of the lifetime."""
        lifetime = self.not_after - self.not_before
        share = lifetime / 2 if lifetime < 10 * 86400 else lifetime * 2 / 3
        return int(self.not_before + share)


def openssl(*arguments: str, given: bytes = b"") -> bytes:
    """The output of openssl.

    Raises:
        Trouble: it refused its input.
    """
    try:
        result = subprocess.run(
            ["openssl", *arguments], input=given, capture_output=True, timeout=DEADLINE, check=False, cwd="/"
        )
    except FileNotFoundError as error:
        raise Trouble("this host has no openssl; install the package openssl") from error
    except subprocess.TimeoutExpired as error:
        raise Trouble(f"openssl {arguments[0]} did not end within {DEADLINE:.0f} s") from error
    if result.returncode:
        lines = result.stderr.decode("utf-8", "replace").split("\n")
        raise Trouble(f"openssl {arguments[0]}: {next(filter(None, lines), 'it failed')[:200]}")
    return result.stdout


def certificates(chain: bytes) -> list[bytes]:
    """The single certificates of a chain.

    Raises:
        Trouble: there is none, or there are too many.
    """
    if len(chain) > LIMIT:
        raise Trouble(f"the chain is larger than {LIMIT} bytes")
    parts = CERTIFICATE.findall(chain)
    if not parts or len(parts) > CERTIFICATES:
        raise Trouble(f"the chain holds {len(parts)} certificates; it needs 1 to {CERTIFICATES} in PEM")
    return [part + b"\n" for part in parts]


def facts(chain: bytes) -> Facts:
    """What the first certificate of a chain says about itself.

    Raises:
        Trouble: it cannot be read.
    """
    parts = certificates(chain)
    text = openssl("x509", "-noout", "-issuer", "-nameopt", "RFC2253", "-dates", "-ocsp_uri", given=parts[0])
    values: dict[str, str] = {}
    rest = []
    for line in text.decode("utf-8", "replace").splitlines():
        name, equals, value = line.partition("=")
        if equals and name in ("issuer", "notBefore", "notAfter") and name not in values:
            values[name] = value.strip()
        else:
            rest.append(line)
    try:
        begin, end = (int(parsedate_to_datetime(_date(values[key])).timestamp()) for key in ("notBefore", "notAfter"))
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise Trouble("openssl does not say from when to when the certificate is valid") from error
    responder = any(line.startswith(("http://", "https://")) for line in rest)
    issuer = re.sub(r"[^\x20-\x7e]", "?", values.get("issuer", ""))[:200]
    return Facts(issuer, begin, end, responder and len(parts) > 1)


def _date(text: str) -> str:
    """An openssl date (`Nov 26 13:00:00 2026 GMT`) in the order of an e-mail's."""
    month, day, clock, year, _zone = text.split()
    return f"{day} {month} {year} {clock} +0000"


def covers(chain: bytes, domains: Sequence[str]) -> list[str]:
    """The domains that the first certificate of a chain does not name."""
    leaf = certificates(chain)[0]
    lacking = []
    for domain in domains:
        host = domain.replace("*", LABEL, 1)
        try:
            reply = openssl("x509", "-noout", "-checkhost", host, given=leaf)
        except Trouble:  # openssl 3.5 ends with 1 then, earlier ones with 0
            reply = b""
        if b"does match certificate" not in reply:
            lacking.append(domain)
    return lacking


@functools.lru_cache(maxsize=256)
def check(pair: Pair, domains: tuple[str, ...], partly: bool = False) -> Facts:
    """Check that a pair can be served for the domains.

    Args:
        pair: the certificate and its key.
        domains: of the site.
        partly: whether one domain is enough.

    Raises:
        Trouble: the key is another certificate's, the chain is broken, a domain is missing, or the dates do not hold.
    """
    parts = certificates(pair.chain)
    if len(pair.key) > LIMIT:
        raise Trouble(f"the key is larger than {LIMIT} bytes")
    public = openssl("x509", "-noout", "-pubkey", given=parts[0])
    try:
        derived = openssl("pkey", "-pubout", "-passin", "pass:", given=pair.key)
    except Trouble as error:
        raise Trouble("the key cannot be read; it must be in PEM and without a password") from error
    if public.strip() != derived.strip():
        raise Trouble("the key is not the certificate's own")
    with _files(parts) as paths:
        for path, signer in itertools.pairwise(paths):
            try:
                openssl("verify", "-partial_chain", "-no_check_time", "-trusted", signer, path)
            except Trouble as error:
                raise Trouble("the chain is out of order: a certificate is not signed by the next one") from error
    known = facts(pair.chain)
    if known.not_after <= time.time():
        raise Trouble(f"the certificate has expired on {stamp(known.not_after)}")
    if known.not_before > time.time() + SLACK:
        raise Trouble(f"the certificate is valid only from {stamp(known.not_before)} on; check the host's clock")
    lacking = covers(pair.chain, domains)
    if lacking and not (partly and len(lacking) < len(domains)):
        raise Trouble(f"the certificate does not name {', '.join(lacking)}")
    return known


@contextlib.contextmanager
def _files(parts: Sequence[bytes]) -> Iterator[list[str]]:
    with tempfile.TemporaryDirectory(prefix="slipway-tls-") as folder:
        paths = [os.path.join(folder, str(number)) for number in range(len(parts))]
        for path, part in zip(paths, parts, strict=True):
            with open(path, "wb") as handle:
                handle.write(part)
        yield paths


def make(domains: Sequence[str], days: int) -> Pair:
    """A new key, and a certificate that it signs itself.

    Raises:
        Trouble: openssl failed.
    """
    names = ",".join(f"DNS:{domain}" for domain in domains or ("localhost",))
    subject = next((name for name in domains if len(name) <= 64), "Slipway")
    key = openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    with tempfile.TemporaryDirectory(prefix="slipway-tls-") as folder:
        path = os.path.join(folder, "key.pem")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
            handle.write(key)
        chain = openssl(
            *("req", "-x509", "-new", "-key", path, "-sha256", "-days", str(days), "-subj", f"/CN={subject}"),
            *("-addext", f"subjectAltName={names}", "-addext", "extendedKeyUsage=serverAuth"),
        )
    return Pair(chain, key)


def stamp(seconds: float) -> str:
    """A time as people and programs read it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
