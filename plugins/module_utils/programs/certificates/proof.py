"""Proves that domains lead to this host, by its own challenge file, before an authority counts an attempt.

What answers is untrusted: an answer has a deadline and a limit, and only the random text in it counts. The name servers of a
domain are untrusted, too: a domain's addresses have a limit, and a domain and a site have a deadline.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import os
import queue
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from .settings import Trouble

PORT = 80
"""Where an authority connects (RFC 8555, section 8.3)."""
FOLDER = ".well-known/acme-challenge"
RESOLVE = 15.0
ANSWER = 10.0
"""Seconds for the answer of one address."""
LIMIT = 4096
"""Bytes of an answer that are read."""
REDIRECTS = 5
ADDRESSES = 8
"""Addresses of a domain that are asked. Its name servers can give a thousand."""
DOMAIN = 60.0
"""Seconds for all addresses of a domain."""
SITE = 180.0
"""Seconds for all domains of a site."""
PARALLEL = 20


def prove(domains: Sequence[str], webroot: str) -> list[str]:
    """Ask for a file of this host's by every address of every domain.

    An address that does not answer at all is let through. A host behind a NAT often cannot reach its own public address, and
    the authority can. Only an answer that is not ours, or a refused connection, proves that a domain leads elsewhere.

    Returns:
        A remark on each address that gave no answer, for the message when the authority fails as well.

    Raises:
        Trouble: naming each domain that leads elsewhere.
    """
    faults: list[str] = []
    remarks: list[str] = []
    until = time.monotonic() + SITE
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for domain in domains:
        waiting.put(domain)
    with _challenge(webroot) as (token, text):

        def work() -> None:
            while time.monotonic() < until:
                try:
                    domain = waiting.get_nowait()
                except queue.Empty:
                    return
                _look(domain, min(until, time.monotonic() + DOMAIN), token, text, faults, remarks)

        threads = [threading.Thread(target=work, daemon=True) for _ in domains[:PARALLEL]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if not waiting.empty():
        faults.append(
            f"{waiting.get()} and {waiting.qsize()} more were not checked within {SITE:.0f} s, because others did not answer"
        )
    if faults:
        raise Trouble(f"{'; '.join(sorted(faults))}. The authority was not asked")
    return sorted(remarks)


def _look(domain: str, until: float, token: str, text: str, faults: list[str], remarks: list[str]) -> None:
    """Ask the addresses of a domain one after another; add what is wrong with them."""
    addresses = _addresses(domain, faults)
    for number, address in enumerate(addresses):
        if number == ADDRESSES or time.monotonic() >= until:
            remarks.append(f"{domain} has {len(addresses)} addresses, of which this host asked {number}")
            return
        fault, remark = _ask(domain, address, token, text, until)
        faults.extend(filter(None, [fault]))
        remarks.extend(filter(None, [remark]))


@contextlib.contextmanager
def _challenge(webroot: str) -> Iterator[tuple[str, str]]:
    """A file among the challenges, whose name and text no other program knows."""
    token, text = f"slipway-{secrets.token_hex(16)}", secrets.token_hex(16)
    folder = os.open(os.path.join(webroot, FOLDER), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(token, flags, 0o644, dir_fd=folder), "w", encoding="ascii") as handle:
            os.fchmod(handle.fileno(), 0o644)
            handle.write(text)
        try:
            yield token, text
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(token, dir_fd=folder)
    finally:
        os.close(folder)


def _addresses(domain: str, faults: list[str]) -> list[str]:
    """The addresses of a domain. The resolver has no deadline, so a thread waits for it."""
    answers: list[str] = []
    errors: list[str] = []

    def resolve() -> None:
        try:
            rows = socket.getaddrinfo(domain, PORT, type=socket.SOCK_STREAM)
            answers.extend(dict.fromkeys(str(row[4][0]) for row in rows))
        except (OSError, UnicodeError) as error:
            errors.append(str(getattr(error, "strerror", None) or error))

    thread = threading.Thread(target=resolve, daemon=True)
    thread.start()
    thread.join(RESOLVE)
    if not answers:
        why = errors[0] if errors else f"the name servers do not answer within {RESOLVE:.0f} s"
        faults.append(f"{domain} has no address ({why})")
    return list(answers)


def _ask(domain: str, address: str, token: str, text: str, until: float) -> tuple[str, str]:
    """What is wrong with an address, and a remark on it; both empty where it gives our file."""
    path = f"/{FOLDER}/{token}"
    until = min(until, time.monotonic() + ANSWER)
    try:
        for _ in range(REDIRECTS):
            status, body, place = _get(domain, address, path, until)
            if status == 200 and body.strip() == text:
                return "", ""
            if place is None or status not in (301, 302, 303, 307, 308):
                break
            path = place
        return f"{domain} leads to {address}, which is not this host or not its nginx", ""
    except ConnectionRefusedError:
        return f"{domain} leads to {address}, which refuses connections to port {PORT}", ""
    except (OSError, http.client.HTTPException, ValueError) as error:
        if _is_here(address):
            return f"{domain} leads to {address}, where this host does not answer ({error})", ""
        return "", f"{address} of {domain} cannot be reached from this host"


def _get(domain: str, address: str, place: str, until: float) -> tuple[int, str, str | None]:
    """Ask an address for a page; the status, the begin of the answer, and where it redirects to on the same domain."""
    parts = urlsplit(place)
    secure = parts.scheme == "https"
    left = max(0.1, until - time.monotonic())
    connection = http.client.HTTPConnection(address, 443 if secure else PORT, timeout=left)
    connection.sock = socket.create_connection((address, 443 if secure else PORT), left)
    timer = threading.Timer(left, _shut, [connection.sock])  # a byte a second would never end a read's own deadline
    timer.daemon = True
    timer.start()
    try:
        if secure:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = (
                ssl.CERT_NONE
            )  # an authority does not check it either: it may be what is to be replaced
            connection.sock = context.wrap_socket(connection.sock, server_hostname=domain)
        connection.request("GET", parts.path or "/", headers={"Host": domain, "Connection": "close"})
        response = connection.getresponse()
        body = response.read(LIMIT).decode("ascii", "replace")
        target = urlsplit(response.headers.get("Location") or "")
        same = target.scheme in ("http", "https") and target.hostname == domain and not target.query
        return response.status, body, target.geturl() if same else None
    finally:
        timer.cancel()
        connection.close()


def _shut(plain: socket.socket) -> None:
    with contextlib.suppress(OSError):
        plain.shutdown(socket.SHUT_RDWR)


def _is_here(address: str) -> bool:
    """Whether an address is one of this host's."""
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(address.partition("%")[0]).version == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
        return True
    except (OSError, ValueError):
        return False
