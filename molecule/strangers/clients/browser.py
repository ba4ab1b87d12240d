"""A browser as far as the apps need one: cookies, redirects, forms with files."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from http.client import HTTPMessage
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import urlencode, urljoin

import route  # noqa: F401 the names of the hosts


@dataclass(frozen=True)
class Page:
    """What a request was answered, after all redirects."""

    url: str
    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")

    def field(self, name: str) -> str:
        """The value of a form's hidden field."""
        tags = [tag for tag in re.findall(r"<input[^>]*>", self.text) if re.search(rf"name=[\"']{name}[\"']", tag)]
        assert tags, f"{self.url} has no field {name}: {self.text[:2000]}"
        value = re.search(r"value=[\"']([^\"']*)", tags[0])
        return value[1] if value else ""


class Browser:
    """Keeps cookies, and begins at the app's address."""

    def __init__(self, host: str, **always: str) -> None:
        self.home = f"http://{host}/"
        self._always = always
        self.cookies = CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def open(self, path: str, data: bytes | None = None, status: int = 200, **headers: str) -> Page:
        """Ask for a path, whose answer must have this status; names of headers with _ for -."""
        heads = {name.replace("_", "-"): value for name, value in {**self._always, **headers}.items()}
        request = urllib.request.Request(urljoin(self.home, path), data, heads)
        try:
            answer: Any = self._opener.open(request, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            page = Page(answer.url, answer.status, answer.headers, answer.read())
        assert page.status == status, f"{page.url} is answered {page.status}: {page.text[:3000]}"
        return page

    def send(self, path: str, status: int = 200, **fields: str) -> Page:
        """Send a form, from a page of the same site."""
        return self.open(path, urlencode(fields).encode(), status, Referer=urljoin(self.home, path))

    def upload(self, path: str, name: str, file: tuple[str, str, bytes], status: int = 200, **fields: str) -> Page:
        """Send a form with a file: its name, type and content."""
        border = uuid.uuid4().hex
        parts = [
            f'--{border}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
            for field, value in fields.items()
        ]
        head = f'--{border}\r\nContent-Disposition: form-data; name="{name}"; filename="{file[0]}"\r\nContent-Type: {file[1]}\r\n\r\n'
        body = b"".join([*parts, head.encode(), file[2], f"\r\n--{border}--\r\n".encode()])
        kind = f"multipart/form-data; boundary={border}"
        return self.open(path, body, status, Content_Type=kind, Referer=urljoin(self.home, path))
