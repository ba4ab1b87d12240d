"""Secrets in the query of a request: which names they have, and how a line of a log is shown without them.

nginx masks its access log by the same words (templates/nginx/base.conf.j2). It cannot do so in its error log.
"""

from __future__ import annotations

import re

MASK = "***"
"""What is shown instead of a value."""
ANYWHERE = "token|secret|passw|passphrase|pwd|signature|credential|api_?key|session|jwt|otp"
"""What a name has anywhere in it."""
AT_END = "key|code|sig|auth|sid|state|pin|ticket"
"""What a name is, or ends with after `_`, `.` or `-`."""
_NAME = re.compile(r"[?&;]([^?&;=\s]+)=")
_SECRET = re.compile(rf"{ANYWHERE}|(?:^|[_.-])(?:{AT_END})$", re.IGNORECASE)
_END = re.compile(r'[&;\s]|"(?=[,\s]|$)|$')
"""Where a value ends. nginx puts some of what it logs between quotes."""


def masked(text: str) -> str:
    """Lines of nginx's logs without the values of a query that look like secrets. It takes a time in proportion to the text."""
    parts: list[str] = []
    at = 0
    for name in _NAME.finditer(text):
        if name.start() < at or not _SECRET.search(name[1]):
            continue
        end = _END.search(text, name.end())
        parts += [text[at : name.end()], MASK]
        at = end.start() if end else len(text)
    return "".join([*parts, text[at:]])
