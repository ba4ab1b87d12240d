"""Logs in, uploads a file into the user's storage and reads it."""

import re

from browser import Browser

browser = Browser("pgadmin.test")
form = browser.open("/")
assert form.url.startswith("http://pgadmin.test/login"), form.url
token = re.search(r'csrfToken[^"]*"\s*:\s*"([^"]+)"|name="csrf_token"[^>]*value="([^"]+)"', form.text)
assert token, form.text[:4000]
print(form.text[:6000])
