"""Logs in, and asks the API for the user's name."""

import json

from browser import Browser

browser = Browser("superset.test")
form = browser.open("/login/")
assert form.url.startswith("http://superset.test/login/")
page = browser.send("/login/", username="admin", password="for-tests", csrf_token=form.field("csrf_token"))
assert page.url.startswith("http://superset.test/superset/welcome/"), page.url
assert json.loads(browser.open("/api/v1/me/").text)["result"]["username"] == "admin"
assert browser.open("/static/assets/images/favicon.png").body.startswith(b"\x89PNG")
