"""Hashes the passwords of `basic_auth` as crypt(3) does, which nginx reads.

Ansible's own helper needs passlib, which no controller has by itself, and Python dropped its `crypt` in 3.13.
"""

from __future__ import annotations

import hashlib

ROUNDS = 1000
"""The least that SHA-crypt allows. nginx hashes a password for every request, and only root and nginx can read the file."""
_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SIZE = 64
"""Bytes of a SHA-512."""


def line(app: str, user: str, password: str) -> str:
    """A user's line of the file that nginx reads.

    The salt follows from the names, so that a second run writes the same file. It must not follow from the password: a quick
    hash of that would make it easier to guess.
    """
    digest = hashlib.sha256(f"{app}\0{user}".encode()).digest()
    salt = "".join(_ALPHABET[byte & 63] for byte in digest[:16])
    return f"{user}:{sha512_crypt(password, salt, ROUNDS)}\n"


def sha512_crypt(password: str, salt: str, rounds: int) -> str:
    """SHA-crypt with SHA-512, as its specification describes it (https://www.akkadia.org/drepper/SHA-crypt.txt).

    Args:
        password: the password.
        salt: at most 16 characters of crypt's alphabet.
        rounds: from 1000 on.
    """
    key, grain = password.encode(), salt.encode()
    other = hashlib.sha512(key + grain + key).digest()
    first = key + grain + _repeated(other, len(key))
    bits = len(key)
    while bits:
        first += other if bits & 1 else key
        bits >>= 1
    digest = hashlib.sha512(first).digest()
    keys = _repeated(hashlib.sha512(key * len(key)).digest(), len(key))
    grains = _repeated(hashlib.sha512(grain * (16 + digest[0])).digest(), len(grain))
    for number in range(rounds):
        data = keys if number & 1 else digest
        data += grains if number % 3 else b""
        data += keys if number % 7 else b""
        data += digest if number & 1 else keys
        digest = hashlib.sha512(data).digest()
    return f"$6$rounds={rounds}${salt}${_text(digest)}"


def _repeated(data: bytes, length: int) -> bytes:
    return (data * (length // len(data) + 1))[:length]


def _text(digest: bytes) -> str:
    """The digest in crypt's alphabet: three bytes at a time, in the order of SHA-crypt, then the last one alone."""
    text = ""
    for number in range(21):
        places = (number, number + 21, number + 42)
        turn = number % 3
        high, middle, low = (digest[place] for place in places[turn:] + places[:turn])
        text += _letters(high << 16 | middle << 8 | low, 4)
    return text + _letters(digest[_SIZE - 1], 2)


def _letters(value: int, count: int) -> str:
    return "".join(_ALPHABET[value >> 6 * place & 63] for place in range(count))
