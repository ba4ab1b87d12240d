# /// script
# dependencies = ["python-socketio[client]==5.18.1", "websocket-client==1.9.2"]
# ///
"""A chat of two by Socket.IO's own client: one polls, the other has a websocket."""

import route  # noqa: F401 the names of the hosts
import socketio

URL = "http://chat.test"

with socketio.SimpleClient() as poller, socketio.SimpleClient() as talker:
    poller.connect(URL, transports=["polling"])
    talker.connect(URL, transports=["websocket"])
    assert talker.call("say", "ahoy", timeout=10) == "websocket"
    assert poller.receive(timeout=10) == ["said", "ahoy"]
    assert talker.receive(timeout=10) == ["said", "ahoy"]
    assert poller.call("say", "moin", timeout=10) == "polling"
    assert talker.receive(timeout=10) == ["said", "moin"]
