"""The site that is judged."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Site:
    """A name, the address where it is served on the ports 80 and 443, and the authority that signed its certificate."""

    name: str
    address: str
    authority: Path

    def tls(self, *protocols: str, timeout: float = 10) -> ssl.SSLSocket:
        """Connect and check the certificate.

        Args:
            protocols: What the client offers by ALPN.
            timeout: Seconds until a read or a write fails.
        """
        context = ssl.create_default_context(cafile=str(self.authority))
        if protocols:
            context.set_alpn_protocols(list(protocols))
        raw = socket.create_connection((self.address, 443), timeout=timeout)
        try:
            return context.wrap_socket(raw, server_hostname=self.name)
        except BaseException:
            raw.close()
            raise

    def get(self, path: str = "/", timeout: float = 10) -> tuple[int, bytes]:
        """Send one request over its own connection; returns status and body."""
        connection = http.client.HTTPConnection(self.name, 443, timeout=timeout)
        with closing(connection):
            connection.sock = self.tls(timeout=timeout)
            connection.request("GET", path, headers={"Host": self.name, "Connection": "close"})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def seconds(self, path: str = "/") -> float:
        """How long a normal client waits for one request that must succeed, with its handshake."""
        begun = time.monotonic()
        status, _ = self.get(path)
        assert status == 200, status
        return time.monotonic() - begun
