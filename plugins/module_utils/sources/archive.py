"""``archive``: a tar or zip file, from the controller or by http(s), unpacked as untrusted."""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import os
import re
import stat
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, BinaryIO

from .cache import KEPT, Cache, key, prune
from .errors import SourceError, masked, printable
from .files import MAX_BYTES, Files, listing, located, walk
from .unpacking import unpack

SILENCE = 60.0
"""Seconds without a byte after which a download is given up."""


_SUFFIX = re.compile(r"(?i)(\.tar\.(gz|xz|bz2)|\.tgz|\.txz|\.tbz2|\.tar|\.zip)$")


def is_url(archive: str) -> bool:
    """Whether ``archive`` is fetched by http(s), not read from the controller."""
    return archive.lower().startswith(("http://", "https://"))


def label(archive: str) -> str:
    """The file's name without its endings."""
    name = urllib.parse.unquote(urllib.parse.urlsplit(archive).path) if is_url(archive) else archive
    return _SUFFIX.sub("", name.rstrip("/").rpartition("/")[2])


def tree(
    archive: str, sha256: str | None, base: Path, cache: Cache, log: Callable[[str], None]
) -> tuple[Files, list[str]]:
    """Unpack ``archive`` (a path, relative to ``base``, or an http(s) URL); returns the files and the warnings.

    Raises SourceError when it cannot be read, is not what ``sha256`` says, or holds anything that could reach outside.
    """
    warnings = []
    shown = printable(masked(archive))
    if is_url(archive):
        if sha256 is None:
            warnings.append(
                f"{shown}: has no `sha256`, so a user who can change the file there can change the app; add it."
            )
        path = _downloaded(archive, sha256, cache, shown, log)
    elif "://" in archive:
        raise SourceError(f"The archive {shown} has a protocol that is not allowed; use http, https or a path.")
    else:
        path = located(base, archive)
    with _opened(path, shown) as file:
        status = os.fstat(file.fileno())
        if status.st_size > MAX_BYTES:
            raise SourceError(f"The archive {shown} is larger than {MAX_BYTES >> 30} GiB; ship less.")
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if sha256 is not None and sha256.lower() != digest:
            raise SourceError(
                f"The archive {shown} has the SHA-256 {digest}, not the one of `sha256`; "
                "find out why it changed, then correct `sha256`."
            )
        with cache.lock(f"archive-{digest}"):
            root = cache.tree(f"archive-{digest}", lambda folder: unpack(file, folder, shown))
            files, more = listing(root, walk(root), shown)
    return files, warnings + more


def check(archive: str, base: Path) -> None:
    """Raise SourceError if an archive on this machine cannot be read."""
    if "://" not in archive:
        _opened(located(base, archive), printable(archive)).close()


def _opened(path: Path, shown: str) -> io.BufferedReader:
    """Open an archive, without waiting for a pipe. Raises SourceError."""
    try:
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")
    except OSError as error:
        raise SourceError(f"The archive {shown} cannot be read ({error.strerror}); correct `archive`.") from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise SourceError(f"The archive {shown} is no regular file; correct `archive`.")
    return file


# Downloading


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not from https to anything that could be changed on the way."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if not is_url(newurl) or (req.full_url.lower().startswith("https:") and newurl.lower().startswith("http:")):
            raise urllib.error.URLError(f"it redirects to {masked(newurl)}, which is less safe")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _downloaded(url: str, sha256: str | None, cache: Cache, shown: str, log: Callable[[str], None]) -> Path:
    """The downloaded file: kept by its hash when that is given, else fetched once in a run."""
    folder = cache.folder("downloads")
    with cache.lock(f"download-{key(url)}"):
        known = sha256.lower() if sha256 else cache.recall("archive", url)
        if known and (folder / known).exists():
            os.utime(folder / known)
            return folder / known
        prune(folder, KEPT)
        log(f"downloading {shown}")
        descriptor, name = tempfile.mkstemp(dir=folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                digest = _download(url, file, shown)
            Path(name).rename(folder / digest)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        cache.remember(digest, "archive", url)
        return folder / digest


def _download(url: str, file: BinaryIO, shown: str) -> str:
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(  # noqa: S310  # the scheme is one of the two
        urllib.parse.urlunsplit(("http" if parts.scheme.lower() == "http" else "https", host, *parts[2:4], "")),
        headers={"User-Agent": "slipway", "Accept": "*/*"},
    )
    if parts.username is not None:
        user, password = (urllib.parse.unquote(part or "") for part in (parts.username, parts.password))
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    digest = hashlib.sha256()
    size = 0
    try:
        with opener.open(request, timeout=SILENCE) as answer:
            while chunk := answer.read(1 << 16):
                size += len(chunk)
                if size > MAX_BYTES:
                    raise SourceError(f"The archive {shown} is larger than {MAX_BYTES >> 30} GiB; ship less.")
                digest.update(chunk)
                file.write(chunk)
            if answer.length:
                raise http.client.IncompleteRead(b"", answer.length)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        code = f"{error.code} " if isinstance(error, urllib.error.HTTPError) else ""
        raise SourceError(
            f"The archive {shown} cannot be downloaded ({code}{printable(masked(str(reason)))}); "
            "check that the address answers from this machine."
        ) from error
    return digest.hexdigest()
