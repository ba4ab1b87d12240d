"""Your own certificates: what nginx or a browser would refuse is refused before any host is touched."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.slipway.kit.plugins.module_utils import provided
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.authority import NOW, Authority, Issued, key_pem, new_key, pem

AUTHORITY = Authority()
GOOD = AUTHORITY.issue("shop.test", "*.shop.test")


def read(folder: Path, chain: str = GOOD.chain, key: str = GOOD.private, loader: Any = None) -> provided.Pair:
    (folder / "shop.pem").write_text(chain)
    (folder / "shop.key").write_text(key)
    return provided.pair("shop.pem", str(folder / "shop.key"), folder, loader or DataLoader())


def fault(folder: Path, issued: Issued, *domains: str, **more: Any) -> str:
    with pytest.raises(provided.ProvidedError) as failed:
        provided.check(read(folder, issued.chain, issued.private, **more), domains or ("shop.test",), NOW)
    return f"{failed.value.part} {failed.value}"


@pytest.mark.parametrize("domains", [(), ("shop.test",), ("www.shop.test", "shop.test"), ("*.shop.test",)])
def test_a_good_pair_is_taken(tmp_path: Path, domains: tuple[str, ...]) -> None:
    assert provided.check(read(tmp_path), domains, NOW) == []


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())])
def test_keys_that_browsers_take(tmp_path: Path, key: Any) -> None:
    issued = AUTHORITY.issue("shop.test", key=key)
    assert provided.check(read(tmp_path, issued.chain, issued.private), ["shop.test"], NOW) == []


def test_only_certificates_and_one_key_get_to_a_host(tmp_path: Path) -> None:
    pair = read(tmp_path, f"Bag Attributes\n{GOOD.private}{GOOD.chain}password: hunter2\n", f"junk\n{GOOD.private}")
    assert (pair.chain, pair.key) == (GOOD.chain, GOOD.private)


def test_a_key_in_a_vault_is_read(tmp_path: Path) -> None:
    vault = VaultLib([("default", VaultSecret(b"open sesame"))])
    loader = DataLoader()
    encrypted = vault.encrypt(GOOD.private).decode()
    with pytest.raises(
        provided.ProvidedError, match=r"is .*shop\.key, which cannot be decrypted; give the vault's password"
    ):
        read(tmp_path, key=encrypted, loader=loader)
    loader.set_vault_secrets([("default", VaultSecret(b"open sesame"))])
    assert read(tmp_path, key=encrypted, loader=loader).key == GOOD.private


def locked() -> str:
    how = BestAvailableEncryption(b"x")
    return str(GOOD.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how).decode())


@pytest.mark.parametrize(
    ("chain", "key", "words"),
    [
        ("", GOOD.private, "certificate holds no certificate in PEM"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            GOOD.private,
            "certificate holds no certificate",
        ),
        (GOOD.private, GOOD.private, "certificate holds no certificate in PEM"),
        (GOOD.chain, "", "key holds no private key in PEM"),
        (GOOD.chain, GOOD.chain, "key holds no private key in PEM"),
        (GOOD.chain, locked(), "key has a passphrase, which nginx could not ask for"),
        ("x" * 300_000, GOOD.private, "certificate is shop.pem, which is too large"),
    ],
)
def test_what_is_no_pair_at_all(tmp_path: Path, chain: str, key: str, words: str) -> None:
    with pytest.raises(provided.ProvidedError) as failed:
        read(tmp_path, chain, key)
    assert words in f"{failed.value.part} {failed.value}"


def test_a_file_that_is_missing_is_named_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(provided.ProvidedError, match=rf"is tls/x\.pem, which does not exist \({tmp_path}/tls/x\.pem\)"):
        provided.pair("tls/x.pem", "x", tmp_path, DataLoader())
    with pytest.raises(provided.ProvidedError, match="which is no file"):
        provided.pair(".", "x", tmp_path, DataLoader())


def test_a_key_of_another_certificate(tmp_path: Path) -> None:
    assert "key does not belong to the certificate of CN=shop.test" in fault(
        tmp_path, Issued(GOOD.certificates, new_key())
    )


def test_the_order_of_a_chain(tmp_path: Path) -> None:
    leaf, intermediate = GOOD.certificates
    message = fault(tmp_path, Issued((intermediate, leaf), GOOD.key))
    assert "certificate is in the wrong order: the certificate of the key is number 2; put it first" in message
    message = fault(tmp_path, Issued((leaf, AUTHORITY.root), GOOD.key))
    assert "CN=Test root follows CN=shop.test and did not sign it" in message
    other = Authority()
    assert "did not sign it" in fault(tmp_path, Issued((leaf, other.intermediate), GOOD.key))
    whole = read(tmp_path, pem(leaf, intermediate, AUTHORITY.root))
    assert provided.check(whole, ["shop.test"], NOW) == []  # a root is not needed, and does no harm


@pytest.mark.parametrize(
    ("domain", "covered"),
    [("shop.test", True), ("www.shop.test", True), ("a.b.shop.test", False), ("test", False), ("*.shop.test", True),
     ("*.www.shop.test", False), ("xshop.test", False), ("blog.test", False)],
)  # fmt: skip
def test_names_are_compared_as_browsers_do(tmp_path: Path, domain: str, covered: bool) -> None:
    if covered:
        assert provided.check(read(tmp_path), [domain], NOW) == []
    else:
        message = fault(tmp_path, GOOD, "shop.test", domain)
        assert f"certificate does not cover {domain}, but shop.test, *.shop.test; get one for all `domains`" in message


def test_a_certificate_without_names(tmp_path: Path) -> None:
    """As openssl makes it by default."""
    key = new_key()
    leaf = AUTHORITY._sign("shop.test", key, "Test intermediate", AUTHORITY._key)
    nameless = Issued((leaf, AUTHORITY.intermediate), key)
    assert "certificate names no domain: browsers ignore its CN; get one whose subjectAltName" in fault(
        tmp_path, nameless
    )


def test_dates(tmp_path: Path) -> None:
    expired = AUTHORITY.issue("shop.test", begin=-30, days=-1)
    assert "certificate expired on" in fault(tmp_path, expired)
    early = AUTHORITY.issue("shop.test", begin=2)
    assert "certificate is not valid before" in fault(tmp_path, early)
    soon = AUTHORITY.issue("shop.test", days=13.5)
    (line,) = provided.check(read(tmp_path, soon.chain, soon.private), ["shop.test"], NOW)
    assert line.endswith(", in 13 days; the kit cannot renew it")
    later = NOW + datetime.timedelta(days=4000)
    leaf = AUTHORITY.issue("shop.test", days=5000).certificates[0]
    with pytest.raises(provided.ProvidedError, match=r"expired on .* \(its intermediate CN=Test intermediate\)"):
        provided._valid(AUTHORITY.intermediate, 1, later)
    provided._valid(leaf, 0, later)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (
            rsa.generate_private_key(65537, 1024),
            "an RSA key of 1024 bits (CN=shop.test), which nginx and browsers refuse",
        ),
        (
            ec.generate_private_key(ec.SECP521R1()),
            "a key of a kind that not every browser takes (CN=shop.test); use RSA, or ECDSA",
        ),
        (ed25519.Ed25519PrivateKey.generate(), "a key of a kind that not every browser takes"),
    ],
)
def test_keys_that_are_refused(tmp_path: Path, key: Any, words: str) -> None:
    assert words in fault(tmp_path, AUTHORITY.issue("shop.test", key=key))


def test_a_certificate_for_something_else(tmp_path: Path) -> None:
    mail = AUTHORITY.issue("shop.test", usage=ExtendedKeyUsageOID.EMAIL_PROTECTION)
    assert "certificate is not for servers" in fault(tmp_path, mail)


def test_a_certificate_without_its_intermediates_is_worth_a_line(tmp_path: Path) -> None:
    issued = AUTHORITY.issue("shop.test", located=True)
    assert provided.check(read(tmp_path, issued.chain, issued.private), ["shop.test"], NOW) == []
    (line,) = provided.check(read(tmp_path, pem(issued.certificates[0]), issued.private), ["shop.test"], NOW)
    assert "comes without intermediates" in line


def test_no_message_shows_a_key(tmp_path: Path) -> None:
    body = GOOD.private.splitlines()[1]
    for key in (GOOD.private.replace("BEGIN PRIVATE", "BEGIN OTHER"), GOOD.private[:-60], key_pem(new_key())):
        with pytest.raises(provided.ProvidedError) as failed:
            provided.check(read(tmp_path, key=key), ["shop.test"], NOW)
        assert body not in str(failed.value)


def test_a_name_in_a_message_is_one_plain_line() -> None:
    strange = AUTHORITY.issue("shop.test").certificates[0]
    assert isinstance(strange, x509.Certificate)
    odd = Authority._sign("x\x1b[31m\nroot", new_key(), "y", new_key())
    assert provided._name(odd).isprintable()
