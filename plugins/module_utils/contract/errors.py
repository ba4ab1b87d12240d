"""The one exception that the host's modules turn into a message.

It is apart from the manifest, since most calls need no manifest, and its classes take Python 4 ms to make.
"""

from __future__ import annotations


class HostError(Exception):
    """Something on the host is not as it must be; the text says what, where, and what to do."""
