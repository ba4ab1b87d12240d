"""Uploads a file into Zope's database and reads it; without a password it refuses."""

import base64
import uuid

from browser import Browser

browser = Browser("zope.test")
login = {"Authorization": f"Basic {base64.b64encode(b'admin:only-for-the-tests').decode()}"}
name, content = f"file-{uuid.uuid4()}", uuid.uuid4().bytes * 10_000
browser.open("/manage_main", status=401)
assert "Control Panel" in browser.open("/manage_main", **login).text
browser.upload(
    "/manage_addProduct/OFSP/manage_addFile", "file", (name, "application/octet-stream", content), id=name, **{}
)
assert browser.open(f"/{name}").body == content
