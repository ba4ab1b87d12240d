"""Speaks with supervisord over its socket, by its XML-RPC interface."""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client  # nosec B411 # of supervisord alone, over a socket of root's
from collections.abc import Sequence
from typing import Any

from ...contract.errors import HostError
from .units import SupervisorAway


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return _Connection(self._path)


def call(path: str, method: str, arguments: Sequence[Any], accept: Sequence[int]) -> Any:
    """Make one call on a separate connection; None for the faults in `accept`.

    Raises:
        SupervisorAway: no process listens at `path`.
        HostError: supervisord refuses the call, or does not answer.
    """
    proxy = xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=_Transport(path))
    try:
        return getattr(proxy.supervisor, method)(*arguments)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode in accept:
            return None
        words = " ".join([method, *map(str, arguments)])
        raise HostError(f"supervisord at {path} refuses {words}: {fault.faultString}") from fault
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise SupervisorAway(f"supervisord does not listen on {path}: start it") from error
    except (OSError, http.client.HTTPException) as error:
        raise HostError(f"supervisord at {path} did not answer {method}: {error}") from error
