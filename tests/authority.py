"""A certificate authority for tests, and the folders in which nginx finds what it signed."""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.slipway.kit.plugins.module_utils.contract import names
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)


def key_pem(key: Any) -> str:
    """A private key as a file has it."""
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def pem(*certificates: x509.Certificate) -> str:
    """Certificates as a file has them."""
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)


def new_key() -> Any:
    """A key that every browser takes."""
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Issued:
    """A certificate with its chain, and its key."""

    certificates: tuple[x509.Certificate, ...]
    key: Any

    @property
    def chain(self) -> str:
        """The file with the certificates."""
        return pem(*self.certificates)

    @property
    def private(self) -> str:
        """The file with the key."""
        return key_pem(self.key)


class Authority:
    """A root that signs an intermediate, which signs certificates."""

    def __init__(self) -> None:
        self._root_key, self._key = new_key(), new_key()
        self.root = self._sign("Test root", self._root_key, "Test root", self._root_key, authority=True)
        self.intermediate = self._sign("Test intermediate", self._key, "Test root", self._root_key, authority=True)

    def issue(self, *domains: str, key: Any = None, days: float = 90, begin: float = -1, **more: Any) -> Issued:
        """A certificate for domains, from `begin` days on until `days` days from now."""
        key = key or new_key()
        leaf = self._sign(domains[0], key, "Test intermediate", self._key, domains, days, begin, **more)
        return Issued((leaf, self.intermediate), key)

    @staticmethod
    def _sign(
        name: str, key: Any, signer: str, signing: Any, domains: tuple[str, ...] = (), days: float = 3650, begin: float = -1,
        authority: bool = False, usage: Any = ExtendedKeyUsageOID.SERVER_AUTH, located: bool = False,
        revocable: bool = False,
    ) -> x509.Certificate:  # fmt: skip
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, signer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + datetime.timedelta(days=begin))
            .not_valid_after(NOW + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if domains:
            builder = builder.add_extension(
                x509.SubjectAlternativeName(list(map(x509.DNSName, domains))), critical=False
            )
        if not authority:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if located:
            where = x509.UniformResourceIdentifier("http://authority.test/intermediate.crt")
            access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, where)
            builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
        if revocable:
            where = x509.UniformResourceIdentifier("http://authority.test/revoked.crl")
            points = [x509.DistributionPoint([where], None, None, None)]
            builder = builder.add_extension(x509.CRLDistributionPoints(points), critical=False)
        return builder.sign(signing, hashes.SHA256())


def install(top: Path, site: str, issued: Issued, placeholder: bool = False) -> None:
    """Make a certificate the current one of a site, below a folder that stands for `/`."""
    folder = top / names.certificate(site).lstrip("/")
    folder.mkdir(parents=True, exist_ok=True)
    generation = folder / str(len(list(folder.iterdir())) + 1)
    generation.mkdir()
    (generation / "chain.pem").write_text(issued.chain)
    (generation / "key.pem").write_text(issued.private)
    certified = '""' if placeholder else "1"
    (generation / "https.conf").write_text(
        f"ssl_certificate {generation}/chain.pem;\nssl_certificate_key {generation}/key.pem;\n"
        f"set $slipway_certified {certified};\n"
    )
    file = names.plain_file(site) if placeholder else names.redirect_file(site)
    # By a path relative to nginx's folder: so it leads into a copy of that folder, too.
    (generation / "http.conf").write_text(f"include {file.removeprefix('/etc/nginx/')};\n")
    link = folder / "next"
    link.symlink_to(generation.name)
    os.replace(link, folder / "current")
