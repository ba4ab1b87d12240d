"""The exception of this package, and how it writes untrusted names."""

from __future__ import annotations

import re


class SourceError(Exception):
    """A source that cannot be shipped. The text says what is wrong, where, and what to do."""


def printable(name: bytes | str) -> str:
    """Escape control characters and invalid bytes in a file name or a line of output."""
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def masked(text: str) -> str:
    """Mask the passwords and tokens in the URLs of a text."""
    text = re.sub(r"(?i)(https?://)[^/@\s'\"]+@", r"\1***@", text)
    return re.sub(r"(://[^/@:\s'\"]+):[^/@\s'\"]+@", r"\1:***@", text)
