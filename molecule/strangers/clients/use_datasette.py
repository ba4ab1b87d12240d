"""Writes into a database and reads it: a page, a form, a static file, a redirect, a table as a stream."""

import uuid

from browser import Browser

browser = Browser("datasette.test")
note = f"note {uuid.uuid4()}"
form = browser.open("/notes/add")
page = browser.send("/notes/add", text=note, csrftoken=form.field("csrftoken"))
assert page.url == "http://datasette.test/notes/add", page.url  # a redirect of the app's own
assert "1 row affected" in page.text, page.text
assert note in browser.open("/notes/notes.csv?_stream=on").text
assert "max-width" in browser.open("/-/static/app.css").text
