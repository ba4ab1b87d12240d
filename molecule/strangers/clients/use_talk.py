# /// script
# dependencies = ["websockets==17.4"]
# ///
"""Two clients in the chat of FastAPI's tutorial."""

import route  # noqa: F401 the names of the hosts
from websockets.sync.client import connect

URL = "ws://talk.test/ws/"

with connect(URL + "1") as first:
    with connect(URL + "2") as second:
        second.send("ahoy")
        assert second.recv(timeout=10) == "You wrote: ahoy"
        assert first.recv(timeout=10) == second.recv(timeout=10) == "Client #2 says: ahoy"
    assert first.recv(timeout=10) == "Client #2 left the chat"
