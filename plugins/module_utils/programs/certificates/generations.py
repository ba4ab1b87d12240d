"""Installs certificates for nginx: writes a generation, points the link to it, tests, reloads; goes back where nginx refuses.

    <tls>/<site>/<generation>/{chain.pem,key.pem,https.conf,http.conf,about.json,loaded}
    <tls>/<site>/current -> <generation>

nginx reads the link's files once, at a reload. Each file names the generation's folder, so nginx never reads the certificate of
one generation and the key of another.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import ipaddress
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from . import pairs
from .pairs import Pair
from .settings import Settings, Site, Trouble

CURRENT, LOADED = "current", "loaded"
"""The link, and a file in a generation that nginx has read: a run may be killed before its reload."""
LOCK_WAIT = 900.0
"""Seconds for a step of a deploy, the longest of which is a build."""
COMMAND = 60.0
"""Seconds for nginx to test its files or to reload them."""
SERVED = 15.0
"""Seconds within which new workers of nginx serve the new certificate."""
PAUSE = 0.1
KEPT = 2
"""Generations of a site that are kept, the current one included."""


@dataclass(frozen=True)
class About:
    """What a generation is."""

    source: str
    """`placeholder`, `self_signed`, `provided` or `acme`."""
    lineage: str
    """The site for which it was made; another one's where that certificate covers this site, too."""
    directory: str = ""
    """The authority's directory."""
    leads: bool = True
    """Whether http leads clients to https, and browsers are to insist on it. `install` decides this."""


@dataclass(frozen=True)
class Generation:
    """An installed certificate."""

    name: str
    folder: str
    about: About
    chain: bytes


def current(settings: Settings, name: str) -> Generation | None:
    """The generation that nginx reads for a site; None where there is none, or it is broken."""
    link = os.path.join(settings.tls, name, CURRENT)
    try:
        generation = os.readlink(link)
        folder = os.path.join(settings.tls, name, generation)
        with open(os.path.join(folder, "about.json"), encoding="utf-8") as handle:
            about = About(**json.load(handle))
        with open(os.path.join(folder, "chain.pem"), "rb") as chain:
            return Generation(generation, folder, about, chain.read())
    except (OSError, ValueError, TypeError):
        return None


def pair(generation: Generation) -> Pair:
    """The certificate and key of a generation."""
    with open(os.path.join(generation.folder, "key.pem"), "rb") as handle:
        return Pair(generation.chain, handle.read())


@contextlib.contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Hold the host's lock, as every step of a deploy does while it changes the host.

    Raises:
        Trouble: another program holds it longer than a step takes.
    """
    os.makedirs(os.path.dirname(settings.lock), 0o700, exist_ok=True)
    with held(settings.lock, LOCK_WAIT):
        yield


@contextlib.contextmanager
def held(path: str, patience: float) -> Iterator[None]:
    """Hold the lock on a file.

    Raises:
        Trouble: another program holds it all the time.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        until = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise Trouble(f"{path} is locked by another run; nothing was changed") from None
                time.sleep(PAUSE)
        yield
    finally:
        os.close(descriptor)


def install(
    settings: Settings, site: Site, made: Pair, about: About, instead_of: str | None = None, partly: bool = False
) -> bool:
    """Let nginx serve a pair; say whether it was another one before.

    A site begins with https beside http. Clients are led to https by a later reload, once nginx serves it. For after a reload the
    old workers still accept connections for some milliseconds, and would refuse a client that a new worker has led there.

    Args:
        settings: of the host.
        site: the site.
        made: the pair.
        about: what it is.
        instead_of: the generation that it replaces. Where another run has replaced it meanwhile, that one stays.
        partly: whether the pair may be one for some of the site's domains alone.

    Raises:
        Trouble: the pair does not fit the site, or nginx refuses it. What was served before still is.
    """
    known = pairs.check(made, site.domains, partly)
    with alone(settings):
        before = current(settings, site.name)
        if before and instead_of not in (None, before.name):
            return False
        files = _files(
            site, made, replace(about, leads=_leads(settings, site, made, about, before)), known.has_responder
        )
        generation = _write(settings, site, files)
        home = os.path.join(settings.tls, site.name)
        loaded = os.path.join(home, generation, LOADED)
        if before and before.name == generation and os.path.exists(loaded):
            return False
        with contextlib.suppress(FileNotFoundError):
            os.unlink(loaded)
        _point(home, generation)
        try:
            _load(settings)
            with open(loaded, "wb"):
                pass
        except Trouble as error:
            if before and before.name == generation:
                raise Trouble(f"nginx refuses its files: {error}") from error
            if before:
                _point(home, before.name)
                _load_again(settings)
            else:
                os.unlink(os.path.join(home, CURRENT))
            shutil.rmtree(os.path.join(home, generation), ignore_errors=True)
            raise Trouble(
                f"nginx refuses the new certificate of {site.name}: {error}; the one before is served"
            ) from error
        _prune(home, generation)
    if before and site.domains:
        _await_served(settings, site.domains[0], before.chain, made.chain)
    return True


def _leads(settings: Settings, site: Site, made: Pair, about: About, before: Generation | None) -> bool:
    """Whether http may lead to https with the next reload: nginx serves the site there by now, also under another site's name."""
    if about.source == "placeholder":
        return False
    if before and before.about.leads:
        return True
    return is_served(settings, site, made.chain, *([before.chain] if before else []))


def _files(site: Site, made: Pair, about: About, stapling: bool) -> dict[str, bytes]:
    """The files of a generation; `@` stands for its folder, whose name follows from them."""
    https = ["ssl_certificate @/chain.pem;", "ssl_certificate_key @/key.pem;"]
    https += ["ssl_stapling on;"] if stapling else []
    https.append(f'set $slipway_certified "{1 if about.leads else ""}";')
    return {
        "chain.pem": b"".join(pairs.certificates(made.chain)),
        "key.pem": made.key,
        "https.conf": ("\n".join(https) + "\n").encode(),
        "http.conf": f"include {site.redirect if about.leads else site.plain};\n".encode(),
        "about.json": (json.dumps(asdict(about), sort_keys=True) + "\n").encode(),
    }


def _write(settings: Settings, site: Site, files: dict[str, bytes]) -> str:
    """Write a generation, all of it or nothing; returns its name."""
    digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:16]
    home = os.path.join(settings.tls, site.name)
    folder, part = os.path.join(home, digest), os.path.join(home, f".{digest}")
    if os.path.isdir(folder):
        return digest
    os.makedirs(home, 0o755, exist_ok=True)
    shutil.rmtree(part, ignore_errors=True)
    os.mkdir(part, 0o755)
    for name, content in files.items():
        mode = 0o600 if name == "key.pem" else 0o644
        if name.endswith(".conf"):
            content = content.replace(b"@", folder.encode())
        with open(os.open(os.path.join(part, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
    os.rename(part, folder)
    _sync(home)
    return digest


def _point(home: str, generation: str) -> None:
    """Let the link lead to a generation, in one step."""
    new = os.path.join(home, f".{CURRENT}")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    os.symlink(generation, new)
    os.rename(new, os.path.join(home, CURRENT))
    _sync(home)


def _sync(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _prune(home: str, generation: str) -> None:
    """Remove the old generations and what an interrupted run left."""
    entries = [entry for entry in os.scandir(home) if entry.is_dir(follow_symlinks=False)]
    entries.sort(key=lambda entry: (entry.name == generation, entry.stat().st_mtime), reverse=True)
    for entry in entries[KEPT:]:
        shutil.rmtree(entry.path, ignore_errors=True)


def _load(settings: Settings) -> None:
    """Have nginx test all files and read them. Raises Trouble."""
    for command in (settings.nginx_test, settings.nginx_reload):
        _run(command)


def _load_again(settings: Settings) -> None:
    with contextlib.suppress(Trouble):  # it runs with the files from before, whatever it says now
        _load(settings)


def _run(command: Sequence[str]) -> None:
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND, check=False, cwd="/"
        )
    except FileNotFoundError as error:
        raise Trouble(f"this host has no {command[0]}") from error
    except subprocess.TimeoutExpired as error:
        raise Trouble(f"{' '.join(command)} did not end within {COMMAND:.0f} s") from error
    if result.returncode:
        lines = (result.stderr + result.stdout).decode("utf-8", "replace").splitlines()
        wrong = [line for line in lines if "[emerg]" in line] or lines or ["it failed"]
        raise Trouble(wrong[0][:300])


def _await_served(settings: Settings, domain: str, before: bytes, after: bytes) -> None:
    """Wait until nginx serves the new certificate. A host that does not serve the site yet is not waited for.

    Raises:
        Trouble: it serves the one before all the time: its master could not read the new files.
    """
    old, new = _own(before), _own(after)
    until = time.monotonic() + SERVED
    while old != new and _served(settings.https_port, domain) == old:
        if time.monotonic() > until:
            raise Trouble(f"nginx did not load the new certificate of {domain} and still serves the one before")
        time.sleep(PAUSE)


def await_https(settings: Settings, site: Site) -> None:
    """Wait until nginx serves a site over https with the certificate that it is to read.

    Raises:
        Trouble: it does not.
    """
    until = time.monotonic() + SERVED
    while (generation := current(settings, site.name)) and not is_served(settings, site, generation.chain):
        if time.monotonic() > until:
            raise Trouble(
                f"nginx does not serve {site.name} over https on port {settings.https_port}, so http does not lead there; "
                "see /var/log/nginx/error.log, then deploy again"
            )
        time.sleep(PAUSE)


def is_served(settings: Settings, site: Site, *chains: bytes) -> bool:
    """Whether this host's nginx serves a site with one of these certificates.

    A client names no address in its handshake. So nginx cannot be asked for a site that has only addresses, which counts as served.
    """
    domain = next((domain for domain in site.domains if not _is_address(domain)), None) if site.domains else ""
    return domain is None or _served(settings.https_port, domain) in [_own(chain) for chain in chains]


def _is_address(domain: str) -> bool:
    try:
        ipaddress.ip_address(domain)
    except ValueError:
        return False
    return True


def _own(chain: bytes) -> bytes:
    """The first certificate of a chain."""
    return ssl.PEM_cert_to_DER_cert(pairs.certificates(chain)[0].decode("ascii"))


def _served(port: int, domain: str) -> bytes | None:
    """The certificate that this host's nginx serves for a domain, or without a name; None where it serves none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # which certificate it is matters here, and not who signed it
    try:
        host = domain.replace("*", pairs.LABEL) or None
        with (
            socket.create_connection(("127.0.0.1", port), 5) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            return secured.getpeercert(binary_form=True)
    except (OSError, ValueError):
        return None


def names(settings: Settings) -> list[str]:
    """The sites that have a folder on this host."""
    try:
        return sorted(entry.name for entry in os.scandir(settings.tls) if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []


def remove(settings: Settings, name: str) -> None:
    """Remove all generations of a site that no file of nginx names any more."""
    with alone(settings):
        shutil.rmtree(os.path.join(settings.tls, name), ignore_errors=True)
