"""Uploads a file into Zope's database and reads it; without a password it refuses."""

import base64
import uuid

from browser import Browser

Browser("zope.test").open("/manage_main", status=401)
browser = Browser("zope.test", Authorization=f"Basic {base64.b64encode(b'admin:only-for-the-tests').decode()}")
assert "Control Panel" in browser.open("/manage_main").text
name, content = f"file-{uuid.uuid4()}", uuid.uuid4().bytes * 10_000
adder = "/manage_addProduct/OFSP/manage_addFile"
page = browser.upload(adder, "file", (name, "application/octet-stream", content), id=name)
assert page.url.startswith("http://zope.test/"), page.url
assert name in page.text, page.text[:2000]  # where it was redirected to
assert Browser("zope.test").open(f"/{name}").body == content
