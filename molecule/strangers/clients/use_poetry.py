"""Logs in to Django's admin, and adds a group by a form."""

import re
import uuid

from browser import Browser

browser = Browser("poetry.test")
form = browser.open("/admin/")
assert form.url == "http://poetry.test/admin/login/?next=/admin/", form.url
token = form.field("csrfmiddlewaretoken")
page = browser.send(
    "/admin/login/", username="admin", password="only for the tests", next="/admin/", csrfmiddlewaretoken=token
)
assert page.url == "http://poetry.test/admin/", page.url
style = re.search(r'href="(/static/admin/css/base[^"]*)"', page.text)
assert style and "--primary" in browser.open(style[1]).text
name = f"group {uuid.uuid4()}"
form = browser.open("/admin/auth/group/add/")
page = browser.send("/admin/auth/group/add/", name=name, csrfmiddlewaretoken=form.field("csrfmiddlewaretoken"))
assert page.url == "http://poetry.test/admin/auth/group/", page.url
assert name in page.text
