"""Logs in, uploads a file into the user's storage and reads it back."""

import json
import re
import uuid

from browser import Browser

browser = Browser("pgadmin.test")
form = browser.open("/")
assert form.url.startswith("http://pgadmin.test/login"), form.url
token = re.search(r'csrfToken"?\s*:\s*"([^"]+)"', form.text)
assert token, form.text[:4000]
page = browser.send(
    "/authenticate/login", email="admin@example.com", password="only for the tests", csrf_token=token[1]
)
assert page.url == "http://pgadmin.test/browser/", page.url

token = re.search(r"csrf_token'\] = '([^']+)'", browser.open("/browser/js/utils.js").text)
assert token
heads = {"X_pgA_CSRFToken": token[1], "Content_Type": "application/json"}
dialog = {"dialog_type": "storage_dialog", "supported_types": ["*"], "storage_folder": ""}
folder = json.loads(browser.open("/file_manager/init", json.dumps(dialog).encode(), **heads).text)["data"]["transId"]
name, content = f"{uuid.uuid4()}.sql", f"select '{uuid.uuid4()}';\n".encode() * 1000
where = f"/file_manager/filemanager/{folder}/"
browser.upload(where, "newfile", (name, "application/sql", content), currentpath="/", csrf_token=token[1])
question = {"mode": "download", "path": f"/{name}", "storage_folder": ""}
answer = browser.open(where, json.dumps(question).encode(), **heads)
assert answer.body == content, answer.text[:1000]
