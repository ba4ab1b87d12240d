"""Requests that some server reads differently than another: each must be refused, or reach the app as one request.

Sources: RFC 9112 on message bodies, RFC 9113 on malformed requests, and the known kinds of request smuggling.
"""

from __future__ import annotations

import re
import socket
import ssl
import struct
from collections.abc import Mapping
from contextlib import closing, suppress

from .site import Site

SECRET = "/smuggled"  # a path
"""The path of the request that hides in another one's body. It must never reach an app."""
HIDDEN = f"GET {SECRET} HTTP/1.1\r\nHost: localhost\r\n\r\n"


def _post(*lines: str, body: str = "") -> str:
    return "\r\n".join(("POST /in HTTP/1.1", "Host: NAME", *lines, "", body))


REFUSED: Mapping[str, str] = {
    "both lengths": _post("Content-Length: 4", "Transfer-Encoding: chunked", body=f"0\r\n\r\n{HIDDEN}"),
    "both lengths, the other way round": _post(
        "Transfer-Encoding: chunked", "Content-Length: 4", body=f"0\r\n\r\n{HIDDEN}"
    ),
    "two equal lengths": _post("Content-Length: 0", "Content-Length: 0", body=HIDDEN),
    "two lengths": _post("Content-Length: 0", "Content-Length: 60", body=HIDDEN),
    "a list of lengths": _post("Content-Length: 0, 60", body=HIDDEN),
    "a length with a sign": _post("Content-Length: +60", body=HIDDEN),
    "a negative length": _post("Content-Length: -1", body=HIDDEN),
    "a length in hexadecimal": _post("Content-Length: 0x3c", body=HIDDEN),
    "a length beyond 64 bits": _post("Content-Length: 18446744073709551616", body=HIDDEN),
    "an unknown coding": _post("Transfer-Encoding: xchunked", body=f"0\r\n\r\n{HIDDEN}"),
    "two codings": _post("Transfer-Encoding: chunked, identity", body=f"0\r\n\r\n{HIDDEN}"),
    "a coding twice": _post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=f"0\r\n\r\n{HIDDEN}"),
    "a coding before another": _post(
        "Transfer-Encoding: identity", "Transfer-Encoding: chunked", body=f"0\r\n\r\n{HIDDEN}"
    ),
    "a space before the colon": _post("Transfer-Encoding : chunked", body=f"0\r\n\r\n{HIDDEN}"),
    "a tab before the coding": _post("Transfer-Encoding:\x0bchunked", body=f"0\r\n\r\n{HIDDEN}"),
    "a folded header": _post("X-Note: a", " b: c", "Content-Length: 0", body=HIDDEN),
    "a folded coding": _post("Transfer-Encoding:", " chunked", body=f"0\r\n\r\n{HIDDEN}"),
    "a line that is no header": _post("no header", "Content-Length: 0", body=HIDDEN),
    "a chunk without a size": _post("Transfer-Encoding: chunked", body=f"\r\n{HIDDEN}"),
    "a chunk of a bad size": _post("Transfer-Encoding: chunked", body=f"x\r\n{HIDDEN}"),
    "a chunk of a negative size": _post("Transfer-Encoding: chunked", body=f"-1\r\n{HIDDEN}"),
    "a chunk beyond 64 bits": _post("Transfer-Encoding: chunked", body=f"{'f' * 17}\r\n{HIDDEN}"),
    "a chunk that is longer than its size": _post(
        "Transfer-Encoding: chunked", body=f"3\r\nabcdef\r\n0\r\n\r\n{HIDDEN}"
    ),
    "two names": _post("Host: other.test", "Content-Length: 0"),
    "the same name twice": _post("Host: NAME", "Content-Length: 0"),
    "no name": "GET /in HTTP/1.1\r\nConnection: close\r\n\r\n",
    "a null byte in a header": _post("X-Note: a\0b", "Content-Length: 0"),
    "a null byte in the path": "GET /in\0 HTTP/1.1\r\nHost: NAME\r\n\r\n",
    "a space in the version": "GET /in HTTP/1 .1\r\nHost: NAME\r\n\r\n",
    "an unknown version": "GET /in HTTP/3.7\r\nHost: NAME\r\n\r\n",
    "a way out of the root": "GET /../../etc/passwd HTTP/1.1\r\nHost: NAME\r\n\r\n",
    "a tunnel": "CONNECT other.test:443 HTTP/1.1\r\nHost: NAME\r\n\r\n",
    "a trace": "TRACE / HTTP/1.1\r\nHost: NAME\r\n\r\n",
}
"""Requests that get a 4xx or a 5xx, or no answer. After some of them a body hides another request."""

WHOLE: Mapping[str, tuple[str, str]] = {
    "a body with a length": (_post(f"Content-Length: {len(HIDDEN)}", "Connection: close", body=HIDDEN), HIDDEN),
    "a body in chunks": (
        _post("Transfer-Encoding: chunked", "Connection: close", body=f"{len(HIDDEN):x}\r\n{HIDDEN}\r\n0\r\n\r\n"),
        HIDDEN,
    ),
    "a chunk with an extension": (
        _post("Transfer-Encoding: chunked", "Connection: close", body=f"3;{SECRET}=1\r\nabc\r\n0\r\n\r\n"),
        "abc",
    ),
    "trailers": (
        _post(
            "Transfer-Encoding: chunked", "Connection: close", body="3\r\nabc\r\n0\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"
        ),
        "abc",
    ),
}
"""Requests that are valid, and the body that the app must get."""

CLAIMS = (
    "X-Forwarded-For: 192.0.2.66",
    "X-Forwarded-For: 192.0.2.67",
    "X_Forwarded_For: 192.0.2.68",
    "X-Forwarded-Proto: http",
    "X_Forwarded_Proto: http",
    "X-Forwarded-Host: evil.test",
    "X_Forwarded_Host: evil.test",
    "X-Forwarded-Port: 66",
    "X-Forwarded-Prefix: /evil",
    "X-Forwarded-Server: evil.test",
    "X-Forwarded-Ssl: off",
    "X-Real-IP: 192.0.2.69",
    "X_Real_IP: 192.0.2.70",
    "Forwarded: for=192.0.2.71;host=evil.test;proto=http",
    "X-Script-Name: /evil",
    "Script-Name: /evil",
    "Script_Name: /evil",
    "Remote_User: root",
    "Proxy: http://evil.test",
    "X-Original-URL: /evil",
    "X-Rewrite-URL: /evil",
    "X-Forwarded-For : 192.0.2.72",
)
"""Headers by which a client claims to be another one, or a proxy."""

UNREAD = (
    "HTTP_X_FORWARDED_SERVER",
    "HTTP_X_SCRIPT_NAME",
    "HTTP_SCRIPT_NAME",
    "HTTP_X_ORIGINAL_URL",
    "HTTP_X_REWRITE_URL",
)
"""Claims that reach the app. No Python server or framework believes them by itself, and proxies in front of nginx may need them."""

TRICKS = (
    "/static/../environment.json",
    "/static/%2e%2e/environment.json",
    "/static/.%2e/environment.json",
    "/static/..%2fenvironment.json",
    "/static/%2e%2e%2fenvironment.json",
    "/static/..%5cenvironment.json",
    "/static/..;/environment.json",
    "/static//../environment.json",
    "/static/./../environment.json",
    "//static/../../environment.json",
    "/static..%2f/environment.json",
    "/static../environment.json",
    "/static/%252e%252e/environment.json",
    "/static/%c0%ae%c0%ae/environment.json",
    "/static/\\..\\environment.json",
    "/static/..%00/environment.json",
    "/static//etc/passwd",
    "/static/%2fetc%2fpasswd",
    "/environment.json",
    "/manifest.json",
    "/.git/config",
    "/static/.env",
    "/code/app.py",
)
"""Ways to a file that is not among the app's static files."""

REDIRECTS = (
    "//evil.test",
    "//evil.test/%2e%2e",
    "/%2f%2fevil.test",
    "/%5cevil.test",
    "/\\evil.test",
    "/@evil.test",
    "/.evil.test",
    "/%0d%0aX-Injected:%20yes",
    "/%0aX-Injected:%20yes",
    "/?next=%0d%0aX-Injected:%20yes",
    "/%E5%98%8D%E5%98%8AX-Injected:%20yes",
    "https://evil.test/",
)
"""Targets that may make a redirect lead elsewhere, or end a header."""


def answers(site: Site, request: str, port: int = 443, timeout: float = 3) -> bytes:
    """Send bytes as they are; returns everything that the server sends until it closes, or is silent."""
    data = request.replace("NAME", site.name).encode("latin-1")
    received = b""
    raw = site.tls(timeout=timeout) if port == 443 else socket.create_connection((site.address, port), timeout=timeout)
    with closing(raw) as connection, suppress(TimeoutError, ConnectionError, ssl.SSLError):
        connection.sendall(data)
        while more := connection.recv(65536):
            received += more
    return received


def statuses(received: bytes) -> list[int]:
    """The status of each answer."""
    return [int(status) for status in re.findall(rb"^HTTP/1\.[01] (\d{3}) ", received, re.MULTILINE)]


def body(received: bytes) -> bytes:
    """The body of an answer, whose chunks are put together."""
    head, _, rest = received.partition(b"\r\n\r\n")
    if b"chunked" not in head.lower():
        return rest
    whole = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        whole, rest = whole + rest[:length], rest[length + 2 :]
    return whole


# HTTP/2, with headers that are written without compression: no client library would send what follows.

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, AWAY = 0, 1, 3, 4, 7

MALFORMED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "a line break in a value": (("x-note", f"a\r\n\r\n{HIDDEN}"),),
    "a line feed in a value": (("x-note", "a\ntransfer-encoding: chunked"),),
    "a line break in a name": (("x-note: a\r\nhost", "evil.test"),),
    "a colon in a name": (("transfer-encoding: chunked", "x"),),
    "a capital letter in a name": (("X-Note", "a"),),
    "a null byte": (("x-note", "a\0b"),),
    "a length that is too small": (("content-length", "1"),),
    "a length that is too large": (("content-length", "9"),),
    "two lengths": (("content-length", "0"), ("content-length", "9")),
    "another name": (("host", "evil.test"),),
    "a path twice": ((":path", SECRET),),
    "an unknown pseudo header": ((":note", "a"),),
}
"""Header fields that make a request of HTTP/2 malformed, which an HTTP/1 server behind would read as something else."""

OF_A_CONNECTION: Mapping[str, tuple[str, str]] = {
    "a coding": ("transfer-encoding", "chunked"),
    "a connection header": ("connection", "keep-alive, x-secret"),
    "an upgrade": ("upgrade", "h2c"),
    "settings": ("http2-settings", "AAMAAABkAAQAAP__"),
}
"""Fields that HTTP/2 forbids, since they are about a connection. nginx may ignore them; an app must not get them."""


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One frame of HTTP/2."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _text(value: str) -> bytes:
    raw = value.encode("latin-1")
    if len(raw) < 127:
        return bytes([len(raw)]) + raw
    rest, prefix = len(raw) - 127, b"\x7f"
    while rest >= 128:
        prefix += bytes([rest % 128 + 128])
        rest //= 128
    return prefix + bytes([rest]) + raw


def block(*fields: tuple[str, str]) -> bytes:
    """Header fields as literals, never indexed (RFC 7541, 6.2.3)."""
    return b"".join(b"\x10" + _text(name) + _text(value) for name, value in fields)


def stream(site: Site, *fields: tuple[str, str], content: bytes = b"abc", timeout: float = 3) -> bytes:
    """Send one request of HTTP/2; returns the kinds of frames about it that the server sends until the request ends."""
    whole = (
        (":method", "POST"), (":scheme", "https"), (":authority", site.name), (":path", "/in"),
        *((name, value.replace("NAME", site.name)) for name, value in fields),
    )  # fmt: skip
    request = PREFACE + frame(SETTINGS, 0, 0, b"") + frame(HEADERS, 4, 1, block(*whole)) + frame(DATA, 1, 1, content)
    kinds, received = b"", b""
    with closing(site.tls("h2", timeout=timeout)) as connection, suppress(TimeoutError, ConnectionError, ssl.SSLError):
        assert connection.selected_alpn_protocol() == "h2"
        connection.sendall(request)
        while more := connection.recv(65536):
            received += more
            while len(received) >= 9 and len(received) >= 9 + (length := int.from_bytes(received[:3], "big")):
                kind, flags, number = received[3], received[4], int.from_bytes(received[5:9], "big")
                received = received[9 + length :]
                if number or kind == AWAY:
                    kinds += bytes([kind])
                if kind in (RESET, AWAY) or (number and flags & 1):
                    return kinds
    return kinds
