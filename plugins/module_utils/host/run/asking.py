"""One HTTP request with one deadline for everything: connection, head and body.

The answer is untrusted. A page that sends a byte a second, or never ends (server-sent events), must not hold a deploy. So
nothing here waits longer than its deadline, and a body is read only to look for a word in it.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import re
import select
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urljoin, urlsplit

#: Seconds between two calls of `look` while an answer is awaited.
LOOK = 0.1
#: The header by which an instance says how many of its workers serve.
WORKERS = "X-Slipway-Workers"
#: Bytes of a body that are read at most; more is not needed to find a word in it.
ENOUGH = 64 * 1024
#: The header by which an app's location in nginx tells the kit which configuration of it has answered.
VISIT = "X-Slipway-Visit"
#: The header by which that location tells whether nginx has reached the app, and whether the app has answered.
UPSTREAM = "X-Slipway-Upstream"
#: Redirects that are followed in a row; browsers give up after 20, and a front page needs one or two.
REDIRECTS = 5


class Circle(http.client.HTTPException):
    """Redirects lead on and on."""


@dataclass(frozen=True)
class Answer:
    """One HTTP answer, as far as it is judged."""

    status: int
    location: str
    body: str
    """Empty unless a word was looked for."""
    cookies: Mapping[str, str] = field(default_factory=dict)
    path: str = ""
    """The page that gave it, when that is not the one that was asked for: redirects were followed."""
    server: str = ""
    """What the answer says about the program that gave it."""
    visits: tuple[str, ...] = ()
    """The configuration of nginx that gave it, by its name, when the request asked for that name (VISIT)."""
    reached: bool | None = None
    """Whether nginx has reached the app, which may have closed the connection; None where nginx does not tell."""
    led: bool | None = None
    """Whether the app gave it, and nginx passed it on; None where nginx does not tell."""
    workers: int | None = None
    """How many workers of the instance serve; None where an older release does not say."""


@dataclass(frozen=True)
class Page:
    """What is asked for on a host that is known."""

    scheme: str
    path: str


@dataclass(frozen=True)
class Deadline:
    """When to give up, on the clock of `time.monotonic`, and what is called while waiting: it may raise to give up earlier."""

    end: float
    look: Callable[[], None]

    def left(self) -> float:
        """Seconds until the deadline. Raises TimeoutError when it has passed."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def wait(self, connection: socket.socket) -> None:
        """Return when there is something to read. Raises TimeoutError at the deadline."""
        if getattr(connection, "pending", int)():
            return  # decrypted already, so the socket itself may stay silent
        while not select.select([connection], [], [], min(LOOK, self.left()))[0]:
            self.look()


class _Bytes(io.RawIOBase):
    """What comes over a connection."""

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._connection, self._deadline = connection, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._deadline.wait(self._connection)
        self._connection.settimeout(self._deadline.left())
        return self._connection.recv_into(buffer)


class _Socket:
    """The part of a socket that http.client uses, each call within the deadline."""

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._connection, self._deadline = connection, deadline

    def sendall(self, data: bytes) -> None:
        self._connection.settimeout(self._deadline.left())
        self._connection.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Bytes(self._connection, self._deadline))

    def close(self) -> None:
        """http.client calls this as soon as it has a head that says `Connection: close`; the body is still to be read."""


def ask(
    address: str | tuple[str, int],
    path: str,
    headers: Mapping[str, str],
    timeout: float,
    word: str | None = None,
    look: Callable[[], None] = lambda: None,
    name: str = "",
) -> Answer:
    """One GET.

    Args:
        address: the path of a unix socket, or an IPv4 address and port.
        path: what to ask for.
        headers: sent besides our own.
        timeout: seconds for all of it.
        word: what is looked for in the body. Without one, the head is the whole answer.
        look: called while the answer is awaited; it may raise to give up.
        name: the host's name in the handshake, for https; over plain http without one.

    Raises:
        OSError: no process listens, the connection broke, or (TimeoutError) no head arrived in time.
        http.client.HTTPException: what came was not HTTP.
    """
    deadline = Deadline(time.monotonic() + timeout, look)
    with contextlib.ExitStack() as open_sockets:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        connection = open_sockets.enter_context(socket.socket(family))
        connection.settimeout(deadline.left())
        connection.connect(address)
        if name:
            connection = open_sockets.enter_context(_encrypted(connection, name, deadline))
        request = http.client.HTTPConnection("localhost")
        request.sock = _Socket(connection, deadline)
        request.request("GET", path, headers={"User-Agent": "slipway", "Connection": "close", **headers})
        answer = request.getresponse()
        body = "" if word is None else _read(answer, word)
        connected, began = _times(answer.getheader(UPSTREAM) or "")
        return Answer(
            answer.status,
            answer.getheader("Location") or "",
            body,
            _cookies(answer),
            server=answer.getheader("Server") or "",
            visits=tuple(answer.msg.get_all(VISIT, [])),
            reached=_took_place(connected),
            led=_took_place(began),
            workers=_number(answer.getheader(WORKERS) or ""),
        )


def _times(words: str) -> tuple[str | None, str | None]:
    """When nginx had a connection and an answer's head, as it says: `to 0.000 at 0.012`. An older file lacks the first."""
    match = re.fullmatch(r"(?:to (.*) )?at (.*)", words)
    return (match[1], match[2]) if match else (None, None)


def _took_place(times: str | None) -> bool | None:
    """By the times of nginx's tries (`-, 0.012`; `-` for one without success), whether the last one succeeded."""
    return None if times is None else times.rpartition(" ")[2][:1].isdigit()


def _number(text: str) -> int | None:
    """A small number that an answer states."""
    return int(text) if re.fullmatch("[0-9]{1,6}", text) else None


def _encrypted(connection: socket.socket, name: str, deadline: Deadline) -> socket.socket:
    """A connection after its handshake. The certificate is not judged: this host's own nginx is asked, by its address."""
    import ssl  # only few hosts need it, and it takes time

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection.settimeout(deadline.left())
    return context.wrap_socket(connection, server_hostname=name)


def follow(
    get: Callable[[Page, Mapping[str, str]], Answer], page: Page, host: str, may: Callable[[Page], bool]
) -> Answer:
    """The answer at the end of the redirects that stay on the host, cookies kept.

    Args:
        get: asks for a page with headers.
        page: the first one.
        host: the host's name, with its port if it has one.
        may: whether a page is to be followed; if not, the redirect to it is the answer.

    Raises:
        Circle: there are more than REDIRECTS.
        What `get` raises.
    """
    first, cookies = page, dict[str, str]()
    for _ in range(REDIRECTS + 1):
        answer = get(page, {"Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items())} if cookies else {})
        cookies.update(answer.cookies)
        target = _target(answer, page, host)
        if target is None or not may(target):
            return answer if page == first else replace(answer, path=page.path)
        page = target
    raise Circle(f"GET {first.path} leads from redirect to redirect, the last one to {page.path}")


def _target(answer: Answer, page: Page, host: str) -> Page | None:
    """The page of this host to which an answer redirects; None when it is no redirect, or leads elsewhere."""
    if answer.status not in (301, 302, 303, 307, 308) or not answer.location:
        return None
    try:
        url = urlsplit(urljoin(f"{page.scheme}://{host}{page.path}", answer.location))
        elsewhere = url.scheme not in ("http", "https") or url.hostname != urlsplit(f"//{host}").hostname
    except ValueError:
        return None
    path = quote(url.path or "/", safe="%/:=&~+!$,;'@()*") + (f"?{quote(url.query, safe=_QUERY)}" if url.query else "")
    return None if elsewhere else Page(url.scheme, path)


_QUERY = "%/?:=&~+!$,;'@()*[]"
"""What a query may hold as it is (RFC 3986)."""


def _cookies(answer: http.client.HTTPResponse) -> dict[str, str]:
    """The cookies that an answer sets, without their attributes: they are kept only for a few redirects."""
    jar: SimpleCookie = SimpleCookie()
    for line in answer.msg.get_all("Set-Cookie", [])[:50]:
        with contextlib.suppress(CookieError):
            jar.load(line)
    return {name: morsel.coded_value for name, morsel in jar.items()}


def _read(answer: http.client.HTTPResponse, word: str) -> str:
    """The body as far as the word, or as far as it arrived in time."""
    data, wanted = b"", word.encode()
    with contextlib.suppress(TimeoutError):
        while wanted not in data and len(data) < ENOUGH:
            part = answer.read1(ENOUGH - len(data))
            if not part:
                break
            data += part
    return data.decode("utf-8", "replace")
