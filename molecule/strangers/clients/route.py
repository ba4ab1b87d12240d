"""Leads the names of the scenario's apps to the hosts that serve them, for clients that know URLs alone."""

import os
import socket
from typing import Any

ADDRESS = os.environ["STRANGERS_ADDRESS"]
_find = socket.getaddrinfo


def _route(host: Any, *arguments: Any, **options: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else str(host)
    return _find(ADDRESS if name.endswith(".test") else host, *arguments, **options)


socket.getaddrinfo = _route
