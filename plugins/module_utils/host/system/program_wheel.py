"""Installs a tool that is one program, from its wheel, without pip.

pip takes 2 s of processor time for uv: it compiles itself, and judges the 6,000 files of uv's page one by one. The kit's lock
names the wheels by hash, so the page only has to say where the wheel for this host is. Whatever is unusual is left to pip,
whose settings and messages then count.
"""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import html
import http.client
import json
import os
import re
import shutil
import signal
import ssl
import sys
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...contract.names import PIP_FILES

PROGRAMS = frozenset({"uv"})
"""The tools whose wheels hold a program that needs nothing else."""
PYPI = "https://pypi.org/simple"
CERTIFICATES = "cert"
HARMLESS = frozenset({CERTIFICATES, "break-system-packages", "disable-pip-version-check", "no-cache-dir", "no-color"})
"""Settings of pip's that do not say where a package comes from, and how. `cert` is obeyed here."""
JSON, HTML = "application/vnd.pypi.simple.v1+json", "text/html"
PAGE, WHEEL = 32 << 20, 256 << 20
"""Bytes of an index page, unpacked, and of a wheel: uv's have 5 and 22 MiB."""
SILENCE, DEADLINE = 15.0, 120.0
"""Seconds without an answer, and seconds for all of it, after which pip has its turn."""
PIECE = 1 << 18
_LINK = re.compile(r'<a\s[^>]*?href="([^"#]+)#sha256=([0-9a-f]{64})"', re.IGNORECASE)
_PLATFORM = re.compile(r"manylinux_(\d+)_(\d+)_(\w+)")
_SCRIPT = re.compile(r"[^/]+\.data/scripts/([\w.-]+)", re.ASCII)


class Unusual(Exception):
    """The wheel is not installed here, which is no fault: pip has its turn."""


def install(name: str, lock: str, venv: str, index: Mapping[str, Any], folder: str) -> bool:
    """Install a tool's programs into its virtualenv; whether that was done. If not, the virtualenv is as it was.

    Args:
        name: The tool.
        lock: The kit's lock of it, in pip's format.
        venv: The tool's virtualenv.
        index: As the module `tool` takes it.
        folder: A folder for the download.
    """
    if name not in PROGRAMS:
        return False
    hashes = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})\b", lock))
    path = f"{folder}/{name}.whl"
    try:
        url, trust = source(index, os.environ)
        with within(DEADLINE):
            network = opener(trust)
            with network.open(asked(f"{url.rstrip('/')}/{name}/"), timeout=SILENCE) as answer:
                address, digest = choose(files(answer), hashes)
            with network.open(urllib.parse.urljoin(answer.url, address), timeout=SILENCE) as answer:
                fetch(answer, path, digest)
        unpack(path, f"{venv}/bin")
    except (Unusual, OSError, ValueError, http.client.HTTPException, zipfile.BadZipFile, zlib.error):
        return False
    return True


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise TimeoutError here when what is done takes longer: a server may send a byte now and then without end."""

    def late(*_: object) -> None:
        raise TimeoutError

    handler = signal.signal(signal.SIGALRM, late)
    signal.setitimer(
        signal.ITIMER_REAL, seconds, 1
    )  # again each second: a library may try another address after the first
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def source(index: Mapping[str, Any], environment: Mapping[str, str]) -> tuple[str, str | None]:
    """The index, and the file of authorities that it is trusted by; None for those of the host.

    Raises:
        Unusual: The host's own settings of pip say more than that, or the address holds a password.
    """
    settings: dict[str, str] = {}
    parser = configparser.RawConfigParser()
    try:
        parser.read(map(os.path.expanduser, PIP_FILES), encoding="utf-8")
    except configparser.Error as error:
        raise Unusual from error
    for section in ("global", "install"):
        settings |= dict(parser[section]) if parser.has_section(section) else {}
    options = {name for name in environment if name.startswith("PIP_")}
    url = str(index.get("url") or PYPI)
    if options or settings.keys() - HARMLESS or not url.startswith(("https://", "http://")) or "@" in url:
        raise Unusual
    return url, index.get("ca") or settings.get(CERTIFICATES)


def opener(trust: str | None) -> urllib.request.OpenerDirector:
    """What opens addresses of the network and no others, through the proxies that the environment names."""
    director = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=trust)),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        director.add_handler(handler)
    return director


def asked(url: str) -> urllib.request.Request:
    """The request for an index page."""
    return urllib.request.Request(url, headers={"Accept": f"{JSON}, {HTML};q=0.1", "Accept-Encoding": "gzip"})  # noqa: S310  # nosec B310 # `source` knows its scheme


def files(answer: Any) -> list[tuple[str, str]]:
    """The addresses and hashes on an index page (PEP 503 and 691)."""
    data = bytearray()
    unpacker = zlib.decompressobj(31) if answer.headers.get("Content-Encoding") == "gzip" else None
    for piece in pieces(answer, PAGE):
        data += unpacker.decompress(piece, PAGE + 1 - len(data)) if unpacker else piece
        if len(data) > PAGE:
            raise Unusual
    text = data.decode("utf-8")
    if answer.headers.get_content_type() != JSON:
        return [(html.unescape(url), digest) for url, digest in _LINK.findall(text)]
    try:
        return [(str(file["url"]), str(file["hashes"].get("sha256"))) for file in json.loads(text)["files"]]
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise Unusual from error


def pieces(answer: Any, limit: int) -> Iterator[bytes]:
    """The contents of an answer. Raises Unusual when they are too large."""
    total = 0
    while piece := answer.read1(PIECE):
        total += len(piece)
        if total > limit:
            raise Unusual
        yield piece


def choose(listed: Iterable[tuple[str, str]], hashes: frozenset[str]) -> tuple[str, str]:
    """The wheel of the lock that runs on this host. Raises Unusual without one."""
    libc = re.fullmatch(r"glibc (\d+)\.(\d+)", os.confstr("CS_GNU_LIBC_VERSION") or "")
    if libc and sys.maxsize > 1 << 32:  # a Python of 32 bits may run on a machine of 64
        newest, machine = (int(libc[1]), int(libc[2])), os.uname().machine
        for address, digest in listed:
            if digest in hashes and suits(urllib.parse.urlsplit(address).path, newest, machine):
                return address, digest
    raise Unusual


def suits(path: str, newest: tuple[int, int], machine: str) -> bool:
    """Whether a wheel is a program for this machine and its C library (PEP 600)."""
    words = path.rpartition("/")[2].removesuffix(".whl").split("-")
    if not path.endswith(".whl") or words[-3:-1] != ["py3", "none"]:
        return False
    tags = map(_PLATFORM.fullmatch, words[-1].split("."))
    return any(tag and (int(tag[1]), int(tag[2])) <= newest and tag[3] == machine for tag in tags)


def fetch(answer: Any, path: str, digest: str) -> None:
    """Write an answer's contents to a file. Raises Unusual unless they have the hash: pip then says which they have."""
    measure = hashlib.sha256()
    with open(path, "xb") as out:
        for piece in pieces(answer, WHEEL):
            measure.update(piece)
            out.write(piece)
    if measure.hexdigest() != digest:
        raise Unusual


def unpack(path: str, folder: str) -> None:
    """Put a wheel's programs into a folder. Raises Unusual if it has none."""
    made: list[str] = []
    try:
        with zipfile.ZipFile(path) as wheel:
            scripts = {member: match[1] for member in wheel.namelist() if (match := _SCRIPT.fullmatch(member))}
            if not scripts:
                raise Unusual
            for member, name in scripts.items():
                made.append(f"{folder}/{name}")
                with wheel.open(member) as source, open(made[-1], "xb") as out:
                    shutil.copyfileobj(source, out, PIECE)
                    os.fchmod(out.fileno(), 0o755)  # nosec B103 # every program of the host may run it, as with pip
    except BaseException:
        for file in made:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(file)
        raise
