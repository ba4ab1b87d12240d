# /// script
# dependencies = ["streamlit==1.67.0", "websockets==17.4"]
# ///
"""Runs the page by Streamlit's own messages over its websocket, as its front end in a browser does."""

import route  # noqa: F401 the names of the hosts
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

with connect(
    "ws://streamlit.test/_stcore/stream", origin="http://streamlit.test", subprotocols=["streamlit"], max_size=None
) as socket:
    question = BackMsg()
    question.rerun_script.query_string = ""
    socket.send(question.SerializeToString())
    shown, status = [], None
    while status is None:
        message = ForwardMsg.FromString(socket.recv(timeout=30))
        if message.HasField("script_finished"):
            status = message.script_finished
        elif message.HasField("delta"):
            shown.append(message.delta.new_element.markdown.body)
assert status == ForwardMsg.FINISHED_SUCCESSFULLY, status
assert any("Streamlit" in text for text in shown), shown
