"""The kit's own worker, and gunicorn's gthread: the same bytes sent get the same bytes back."""

from __future__ import annotations

import random
import re
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract import names

from tests.patience import patience

from .conftest import KIT
from .test_workers import running, write_configuration

pytestmark = pytest.mark.real

KINDS = ("gthread", "threads")
GUNICORNS = {"21.2.0": 600, "22.0.0": 600, "23.0.0": 600, "25.3.0": 600, "26.2.0": 600, names.PROVED_GUNICORN: 3000}
"""Each gunicorn that reads or answers requests in another way, and how many requests are compared."""
WEB = """
    import hashlib, json, tempfile
    SHOWN = ("REQUEST_METHOD", "PATH_INFO", "RAW_URI", "QUERY_STRING", "SCRIPT_NAME", "SERVER_NAME", "SERVER_PORT",
             "SERVER_PROTOCOL", "CONTENT_TYPE", "CONTENT_LENGTH", "REMOTE_ADDR", "REMOTE_PORT")
    class Pieces:
        def __init__(self, pieces):
            self.pieces, self.closed = iter(pieces), False
        def __iter__(self):
            return self
        def __next__(self):
            return next(self.pieces)
        def close(self):
            self.closed = True
    def late():
        yield b"begun"
        raise RuntimeError("late")
    def seen(environ):
        shown = {key: value for key, value in environ.items() if key in SHOWN or key[:5] in ("HTTP_", "wsgi.")}
        return json.dumps({key: str(value) for key, value in shown.items() if isinstance(value, (str, bool, tuple))})
    def app(environ, start):
        path, body = environ["PATH_INFO"], environ["wsgi.input"]
        if path == "/":
            start("200 OK", [])
            return [b"ok"]
        if path == "/raise":
            raise RuntimeError("early")
        if path == "/header":
            start("200 OK", [("X-Bad", "one\\r\\ntwo")])
        if path in ("/204", "/304"):
            start(path[1:] + " Nothing", [("Content-Length", "3")])
            return [b"abc"]
        if path == "/short":
            start("200 OK", [("Content-Length", "30")])
            return [b"abc"]
        if path == "/long":
            start("200 OK", [("Content-Length", "3")])
            return [b"ab", b"cdef"]
        if path == "/late":
            start("200 OK", [])
            return late()
        if path == "/no":
            return []
        if path == "/unread":
            start("413 Too Large", [("Content-Length", "2")])
            return [b"no"]
        if path == "/write":
            write = start("200 OK", [])
            write(b"written")
            return [b"", b"returned"]
        if path == "/replaced":
            start("200 OK", [])
            try:
                raise RuntimeError("replaced")
            except RuntimeError:
                import sys
                start("503 Later", [("Retry-After", "3")], sys.exc_info())
            return [b"later"]
        if path in ("/file", "/part"):
            file = tempfile.TemporaryFile()
            file.write(bytes(range(256)) * 300)
            file.seek(100)
            start("200 OK", [("Content-Length", "700")] if path == "/part" else [])
            return environ["wsgi.file_wrapper"](file)
        if path == "/lines":
            text = b"|".join(body)
        elif path == "/some":
            text = body.read(3) + body.readline(4)
        else:
            text = body.read()
        answer = seen(environ).encode() + hashlib.sha256(text).hexdigest().encode()
        start("200 OK", [("Content-Type", "application/json"), ("Set-Cookie", "a=b"), ("Set-Cookie", "c=d"), ("Connection", "x")])
        if path == "/pieces":
            return Pieces([answer[:10], b"", answer[10:], text * 2])
        return [answer]
"""
PATHS = (
    "/", "/echo", "/pieces", "/lines", "/some", "/unread", "/write", "/replaced", "/file", "/part", "/short", "/long",
    "/204", "/304", "/late", "/raise", "/header", "/no", "/%C3%A4%2F", "//twice", "/a/../b",
)  # fmt: skip
TARGETS = (
    "*",
    "http://shop.example/absolute?x=1",
    "no-slash",
    "shop.example:80",
    "/\xe4",
    "/a b",
    "/" + "l" * 9000,
    "",
    "/echo#part?x=1",
    "/echo?x=1#part",
    "/echo?x=1?y=2&z=%23",
    "/[x]:80/;p=1",
    "/\x7f",
    "/\t",
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")
ODD_METHODS = ("get", "G", "CONNECT", "B@D", "VERYLONGMETHODNAMETHATNOBODYKNOWS", "M-SEARCH")
VERSIONS = ("HTTP/1.0", "HTTP/2.0", "HTTP/1.2", "HTTP/1", "HTTP/1.10", "http/1.1", "HTTP/0.9", "")
HEADERS = (
    "Accept: text/html", "X-Empty:", "X-Space:   value  ", "Cookie: a=1; b=2", "Connection: close", "Connection: keep-alive",
    "X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https", "X-Forwarded-Proto: http", "x-lower-case: 1", "X-Request-ID: id-1", "Upgrade: h2c", "Via: 1.1 x",
    "Accept: text/event-stream", "X-Same: 1", "X-Same: 2", "Content-Type: text/plain; charset=utf-8", "X-Tab:\tvalue",
    "Script_Name: /shop", "Authorization: Basic eA==", "X-Latin: \xe4\xf6", "X-Blank: \xa0\x85", "X-Tabs: \t a\t b \t ", "X-Colons: a:b: c", "X-Long: " + "v" * 5000,
)  # fmt: skip
ODD_HEADERS = (
    "No colon", "Space : before", " folded: line", "X-Null: a\0b", "X-Bare: a\rb", "X_Under: score", "Bad{name}: x", ": none",
    "Content-Length: -1", "Content-Length: 1_0", "Content-Length: 5, 5", "Transfer-Encoding: gzip", "Transfer-Encoding: identity",
    "Expect: 200-maybe", "Host: two.example", "X-Bell: \a", "Content-Type: twice/named",
    "X-Forwarded-Protocol: ssl", "X-Forwarded-Ssl: on", "X-Forwarded-Proto: HTTPS", "Expect: 100-continue", "Content-Length: 1",
    "Name\xe4: x", "X-Feed: a\x0bb", "Transfer-Encoding: chunked, chunked", "X-Del: \x7f",
)  # fmt: skip
ODD_CHUNKS = (
    b"5\r\nhelloX\r\n0\r\n\r\n", b"g\r\n", b"-1\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", b"\r\nhello\r\n0\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n", b"5\nhello\n0\n\n", b"5;a=\"\r\nhello\r\n0\r\n\r\n", b"+5\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\r\nHost: x\r\n\r\n", b"5\r\nhello\r\n0\r\nbad trailer\r\n\r\n",
)  # fmt: skip
FILLER = b"0\r\n\r\n" * 100
"""Sent behind what is not well-formed, so that no server waits for more of it."""


def request(dice: random.Random) -> list[bytes]:
    """A request, in the pieces in which it is sent."""
    odd = dice.random() < 0.4
    oddity = dice.choice(("method", "target", "version", "header", "chunk", "flip", "second")) if odd else ""
    method = dice.choice(ODD_METHODS if oddity == "method" else METHODS)
    target = (
        dice.choice(TARGETS) if oddity == "target" else dice.choice(PATHS) + dice.choice(("", "", "?a=1&b=%20", "?"))
    )
    version = dice.choice(VERSIONS) if oddity == "version" else dice.choice(("HTTP/1.1",) * 9 + ("HTTP/1.0",))
    headers = dice.sample(HEADERS, dice.randint(0, 6))
    if dice.random() < 0.9:
        headers.insert(0, "Host: shop.example" + dice.choice(("", ":8080")))
    body = b""
    if dice.random() < 0.5 or oddity == "chunk":
        if dice.random() < 0.6 and oddity != "chunk":
            body = dice.randbytes(dice.choice((0, 1, 5, 5000, 70000)))
            headers.append(f"Content-Length: {len(body)}")
        else:
            body = dice.choice(ODD_CHUNKS) if oddity == "chunk" else chunked(dice)
            headers.append("Transfer-Encoding: " + dice.choice(("chunked", "Chunked")))
        if dice.random() < 0.2:
            headers.append("Expect: 100-continue")
    if oddity == "header":
        headers.insert(dice.randint(0, len(headers)), dice.choice(ODD_HEADERS))
    head = "".join(f"{line}\r\n" for line in (f"{method} {target} {version}".rstrip(), *headers)) + "\r\n"
    text = head.encode("latin-1") + body
    if oddity == "flip":
        place = dice.randrange(min(len(text), 400))
        text = text[:place] + bytes([dice.randrange(256)]) + text[place + 1 :]
    if oddity == "second":
        text += b"GET /second HTTP/1.1\r\nHost: shop.example\r\n\r\n"
    elif oddity:
        text += FILLER
    cuts = sorted(dice.sample(range(len(text)), dice.choice((0, 0, 1, 2))))
    return [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def chunked(dice: random.Random) -> bytes:
    """A well-formed body in chunks."""
    chunks = b""
    for _ in range(dice.randint(0, 4)):
        data = dice.randbytes(dice.choice((1, 16, 300, 9000)))
        chunks += b"%x%s\r\n%s\r\n" % (len(data), dice.choice((b"", b"", b";a=b", b' ; c="d"')), data)
    return chunks + b"0\r\n" + dice.choice((b"", b"", b"X-Trailer: t\r\n")) + b"\r\n"


def answer(folder: Path, pieces: list[bytes]) -> bytes:
    """All that the server sends until it closes the connection, without its clock and its folder."""
    received = b""
    with closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(patience(10))
        connection.connect(str(folder / "app.sock"))
        try:
            for piece in pieces:
                connection.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has refused the request, and does not read the rest
        try:
            while data := connection.recv(65536):
                received += data
        except ConnectionResetError:
            pass  # it had not read all: nothing follows
        except TimeoutError:
            received += b"(no end)"
    return re.sub(rb"\r\nDate: [^\r]*", b"", received).replace(str(folder).encode(), b"")


@contextmanager
def both(python_path: str) -> Iterator[list[Path]]:
    """A folder with a running app for each kind of worker."""
    with ExitStack() as stack:
        folders = []
        for kind in KINDS:
            folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="w", dir="/tmp", ignore_cleanup_errors=True))
            )
            write_configuration(folder, worker_class=kind, workers=1, threads=4, request_timeout=30, timeouts={})
            stack.enter_context(running(folder, WEB, PYTHONPATH=python_path))
            folders.append(folder)
        yield folders


@pytest.fixture(scope="module")
def gunicorns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with each gunicorn in a folder."""
    top = tmp_path_factory.mktemp("gunicorns")
    for version in GUNICORNS:
        command = [KIT / ".venv/bin/uv", "pip", "install", "--quiet", "--no-deps", "--target", top / version]
        subprocess.run([*command, f"gunicorn=={version}"], check=True)
    return top


@pytest.mark.parametrize("version", GUNICORNS)
def test_the_same_bytes_get_the_same_answer(gunicorns: Path, version: str) -> None:
    dice = random.Random(version)
    with both(str(gunicorns / version)) as folders:
        logged = [
            f".{kind}_worker\n" in (folder / "log").read_text() for kind, folder in zip(KINDS, folders, strict=True)
        ]
        assert all(logged), "another class serves"
        statuses: dict[bytes, int] = {}
        for _ in range(GUNICORNS[version]):
            pieces = request(dice)
            expected, given = (answer(folder, pieces) for folder in folders)
            assert given == expected, b"".join(pieces)[:2000]
            statuses[given[9:12]] = statuses.get(given[9:12], 0) + 1
    # The generator must reach more than one part of the server.
    assert {b"200", b"204", b"304", b"400", b"413", b"500", b"503", b"100"} <= set(statuses), statuses
