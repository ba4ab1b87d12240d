# /// script
# dependencies = ["gradio_client==2.7.2"]
# ///
"""Uses a page by Gradio's own client: an answer in parts, and an upload."""

import tempfile
from pathlib import Path

import route  # noqa: F401 the names of the hosts
from gradio_client import Client, handle_file

client = Client("http://gradio.test/", verbose=False)
job = client.submit("ahoy", api_name="/spell")
assert job.result(timeout=30) == "ahoy"
assert job.outputs() == ["a", "ah", "aho", "ahoy"], job.outputs()
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder, "upload.bin")
    file.write_bytes(bytes(3_000_000))
    assert client.predict(handle_file(str(file)), api_name="/weigh") == 3_000_000
