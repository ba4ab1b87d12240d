"""The one exception of this package, and how it writes names that come from strangers."""

from __future__ import annotations

import re


class SourceError(Exception):
    """A source that cannot be shipped: one clear sentence that says what is wrong, where, and what to do."""


def printable(name: bytes | str) -> str:
    """A file name or a line of a program's output, safe to print: control characters and bad bytes are escaped."""
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def masked(text: str) -> str:
    """``text`` with the passwords and tokens of the URLs in it hidden."""
    text = re.sub(r"(?i)(https?://)[^/@\s'\"]+@", r"\1***@", text)
    return re.sub(r"(://[^/@:\s'\"]+):[^/@\s'\"]+@", r"\1:***@", text)
