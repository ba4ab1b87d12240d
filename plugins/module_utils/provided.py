"""Your own certificates (`tls: {certificate: …, key: …}`), read and checked on the controller.

A message never quotes a key. The texts that go to a host are written again from what was read, so nothing but certificates
and one key gets there.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible_collections.slipway.kit.plugins.module_utils.contract.words import counted
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

LIMIT = 64 * 1024
"""Bytes of a file. A chain of five certificates has 10 kB."""
SOON = datetime.timedelta(days=14)
"""How long before its end a certificate is worth a warning."""
CURVES = ("secp256r1", "secp384r1")
"""The curves of a certificate's key that every browser takes."""
SHORTEST_RSA = 2048
"""Bits. OpenSSL refuses shorter keys by default, and so do browsers."""
WEAK = ("md5", "sha1")
"""Hashes of a signature that OpenSSL and browsers refuse."""


class ProvidedError(Exception):
    """A certificate that cannot be used: `part` is the key at fault, the text the end of a sentence that begins with it."""

    def __init__(self, part: str, why: str) -> None:
        super().__init__(why)
        self.part = part


@dataclass(frozen=True)
class Pair:
    """A certificate with its intermediates, and its key."""

    certificates: tuple[x509.Certificate, ...]
    """The one of the key first."""
    private: Any

    @property
    def chain(self) -> str:
        """The certificates as nginx reads them (PEM)."""
        return "".join(one.public_bytes(Encoding.PEM).decode("ascii") for one in self.certificates)

    @property
    def key(self) -> str:
        """The key as nginx reads it (PEM); a secret."""
        return str(self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii"))


def pair(certificate: str, key: str, base: Path, loader: Any) -> Pair:
    """The pair in two files, as the user names them.

    Args:
        certificate: the file with the certificate and its intermediates.
        key: the file with its key.
        base: the folder where relative paths start from.
        loader: Ansible's, which decrypts what ansible-vault has encrypted.

    Raises:
        ProvidedError: one of them cannot be read.
    """
    return Pair(_certificates(_text("certificate", certificate, base, loader)), _key(_text("key", key, base, loader)))


def unreadable(certificate: str, key: str, base: Path, loader: Any) -> list[ProvidedError]:
    """What keeps each of the two files from being read; the arguments are those of `pair`."""
    problems = []
    for read, part, name in ((_certificates, "certificate", certificate), (_key, "key", key)):
        try:
            read(_text(part, name, base, loader))
        except ProvidedError as exc:
            problems.append(exc)
    return problems


def check(it: Pair, domains: Sequence[str], now: datetime.datetime) -> list[str]:
    """Check that nginx and browsers take a pair for these domains; returns what is worth a warning.

    Raises:
        ProvidedError: they would refuse it.
    """
    _belong_together(it)
    _in_order(it.certificates)
    for number, one in enumerate(it.certificates):
        _strong(one, number)
        _valid(one, number, now)
    _for_servers(it.certificates[0])
    _covers(it.certificates[0], domains)
    return list(_advice(it.certificates, now))


def _text(part: str, name: str, base: Path, loader: Any) -> str:
    path = os.path.normpath(os.path.join(base, os.path.expanduser(name)))
    if not os.path.isfile(path):
        what = "is no file" if os.path.exists(path) else "does not exist"
        raise ProvidedError(part, f"is {name}, which {what} ({path}); correct it")
    try:
        if os.path.getsize(path) > 4 * LIMIT:  # ansible-vault writes four characters for each byte
            raise ProvidedError(part, f"is {name}, which is too large for a {part} in PEM; correct it")
        return str(loader.get_text_file_contents(path))
    except (OSError, UnicodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is no PEM"
        raise ProvidedError(part, f"is {name}, which cannot be read ({why}); correct it") from None
    except AnsibleError:
        raise ProvidedError(part, f"is {name}, which cannot be decrypted; give the vault's password") from None


def _certificates(text: str) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_pem_x509_certificates(text.encode()))
    except ValueError:
        raise ProvidedError(
            "certificate", "holds no certificate in PEM (-----BEGIN CERTIFICATE-----); write the file of the chain"
        ) from None


def _key(text: str) -> Any:
    try:
        return load_pem_private_key(text.encode(), password=None)
    except TypeError:
        raise ProvidedError(
            "key", "has a passphrase, which nginx could not ask for; remove it, and encrypt the file with ansible-vault"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ProvidedError(
            "key", "holds no private key in PEM; write the key that belongs to the certificate"
        ) from None


def _public(key: Any) -> bytes:
    return bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _belong_together(it: Pair) -> None:
    try:
        public = [_public(one.public_key()) for one in it.certificates]
    except (ValueError, UnsupportedAlgorithm):
        raise ProvidedError("certificate", "has a key of a kind that browsers do not know; use RSA or ECDSA") from None
    mine = _public(it.private.public_key())
    if mine == public[0]:
        return
    if mine in public:
        raise ProvidedError(
            "certificate",
            f"is in the wrong order: the certificate of the key is number {public.index(mine) + 1}; put it first, then the "
            "one that signed it, and so on",
        )
    raise ProvidedError("key", f"does not belong to the certificate of {_name(it.certificates[0])}; write its own key")


def _in_order(certificates: Sequence[x509.Certificate]) -> None:
    for one, signer in pairwise(certificates):
        try:
            one.verify_directly_issued_by(signer)
        except (ValueError, TypeError, InvalidSignature):
            raise ProvidedError(
                "certificate",
                f"is in the wrong order, or incomplete: {_name(signer)} follows {_name(one)} and did not sign it; put each "
                "certificate before the one that signed it",
            ) from None


def _strong(one: x509.Certificate, number: int) -> None:
    key = one.public_key()
    whose = _name(one)
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < SHORTEST_RSA:
            raise ProvidedError(
                "certificate",
                f"has an RSA key of {key.key_size} bits ({whose}), which nginx and browsers refuse; use {SHORTEST_RSA} or more",
            )
    elif not isinstance(key, ec.EllipticCurvePublicKey) or (number == 0 and key.curve.name not in CURVES):
        raise ProvidedError(
            "certificate",
            f"has a key of a kind that not every browser takes ({whose}); use RSA, or ECDSA with P-256 or P-384",
        )
    try:
        digest = one.signature_hash_algorithm
    except UnsupportedAlgorithm:
        digest = None
    if digest and digest.name in WEAK and one.issuer != one.subject:
        raise ProvidedError(
            "certificate", f"is signed with {digest.name.upper()} ({whose}), which browsers refuse; get a new one"
        )


def _valid(one: x509.Certificate, number: int, now: datetime.datetime) -> None:
    what = "" if number == 0 else f" (its intermediate {_name(one)})"
    if one.not_valid_after_utc < now:
        raise ProvidedError("certificate", f"expired on {one.not_valid_after_utc:%Y-%m-%d}{what}; write a new one")
    if one.not_valid_before_utc > now:
        raise ProvidedError(
            "certificate",
            f"is not valid before {one.not_valid_before_utc:%Y-%m-%d %H:%M} UTC{what}; check it, and this machine's clock",
        )


def _for_servers(leaf: x509.Certificate) -> None:
    try:
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if ExtendedKeyUsageOID.SERVER_AUTH not in usage:
        raise ProvidedError("certificate", "is not for servers (its extended key usage says so); get one that is")


def _covers(leaf: x509.Certificate, domains: Sequence[str]) -> None:
    named, addresses = _subjects(leaf)
    missing = [domain for domain in domains if not _covered(domain, named) and domain not in addresses]
    if missing and not named and not addresses:
        raise ProvidedError(
            "certificate",
            "names no domain: browsers ignore its CN; get one whose subjectAltName has all `domains`",
        )
    if missing:
        listed = ", ".join([*named, *addresses])
        raise ProvidedError(
            "certificate",
            f"does not cover {', '.join(missing)}, but {listed}; get one for all `domains`, or correct them",
        )


def _subjects(leaf: x509.Certificate) -> tuple[list[str], list[str]]:
    """The names and the addresses that a certificate is for. Browsers read no others."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [], []
    addresses = [str(one) for one in names.get_values_for_type(x509.IPAddress)]
    return [one.lower() for one in names.get_values_for_type(x509.DNSName)], addresses


def _covered(domain: str, named: Sequence[str]) -> bool:
    """Whether one of the names is for a domain. A wildcard is for exactly one label (RFC 9525)."""
    label, dot, rest = domain.partition(".")
    return domain in named or (label != "*" and bool(dot) and f"*.{rest}" in named)


def _advice(certificates: Sequence[x509.Certificate], now: datetime.datetime) -> Iterator[str]:
    leaf = certificates[0]
    end = min(one.not_valid_after_utc for one in certificates)
    if end - now < SOON:
        yield f"expires on {end:%Y-%m-%d}, in {counted((end - now).days, 'day')}; the kit cannot renew it"
    if len(certificates) == 1 and _says_where_its_signer_is(leaf):
        yield "comes without intermediates, and most clients need them; append them to its file"


def _says_where_its_signer_is(leaf: x509.Certificate) -> bool:
    try:
        access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return False
    return any(one.access_method == AuthorityInformationAccessOID.CA_ISSUERS for one in access)


def _name(one: x509.Certificate) -> str:
    """A certificate in a message, in plain characters."""
    text = one.subject.rfc4514_string() or f"serial number {one.serial_number:x}"
    return ascii(text)[1:-1][:80]
