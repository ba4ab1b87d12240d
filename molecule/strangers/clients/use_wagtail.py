"""Logs in, uploads a picture, and looks at what nginx serves: static files, and the picture as other clients get it."""

import re
import struct
import uuid
import zlib

from browser import Browser


def picture(size: int = 64) -> bytes:
    """A PNG of random grey."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + (uuid.uuid4().bytes * size)[:size] for _ in range(size))
    head = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


browser = Browser("wagtail.test")
assert "Welcome to your new Wagtail site" in browser.open("/").text
form = browser.open("/admin/")
assert form.url.startswith("http://wagtail.test/admin/login/?next=/admin/"), form.url
token = form.field("csrfmiddlewaretoken")
page = browser.send(
    "/admin/login/", username="admin", password="only for the tests", next="/admin/", csrfmiddlewaretoken=token
)
assert page.url == "http://wagtail.test/admin/", page.url

style = re.search(r'href="(/static/wagtailadmin/css/core[^"]*)"', page.text)
assert style, page.text[:2000]
assert "immutable" in (browser.open(style[1]).headers["Cache-Control"] or ""), browser.open(style[1]).headers

form = browser.open("/admin/images/add/")
title = f"picture {uuid.uuid4()}"
page = browser.upload(
    "/admin/images/add/", "file", ("sea.png", "image/png", picture()), title=title,
    collection="1", csrfmiddlewaretoken=form.field("csrfmiddlewaretoken"),
)  # fmt: skip
assert page.url == "http://wagtail.test/admin/images/", page.url
assert title in page.text
shown = re.search(r'src="(/media/images/[^"]*)"', page.text)
assert shown, page.text[:3000]
answer = browser.open(shown[1])
assert answer.headers["Content-Type"] == "image/png", answer.headers
assert answer.headers["X-Content-Type-Options"] == "nosniff", answer.headers
assert answer.headers["Content-Security-Policy"] == "sandbox", answer.headers
assert answer.body.startswith(b"\x89PNG")
