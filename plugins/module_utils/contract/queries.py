"""Secrets in the query of a request: which names they have, and how a line of a log is shown without them.

nginx masks its access log by the same patterns (templates/nginx/base.conf.j2). It cannot do so in its error log. A URL in a query
has its own query encoded, perhaps several times: `%3F` and `%253F` are separators like `?`.
"""

from __future__ import annotations

import re

MASK = "***"
"""What is shown instead of a value."""
SEPARATOR = r"(?:[?&;]|%(?:25)*(?:3F|26|3B))"
"""What is before a name."""
EQUALS = r"(?:=|%(?:25)*3D)"
"""What is after a name."""
LETTER = r"(?:[^?&;=%\s]|%(?!(?:25)*(?:3[FBD]|26)))"
"""A character of a name."""
ANYWHERE = (
    r"token|secret|passw|passcode|passphrase|pwd|signature|credential|authorization|api_?key|session|sess_?id|jwt|otp"
    r"|%(?:25)*(?:2[DE]|3[0-9]|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9A])"
)
"""What a name has anywhere in it. No client needs to encode letters, digits, or `-`, `.` and `_`: one that does so hides a name."""
BEFORE_END = r"[_.\-\[]|%(?:25)*5B|(?-i:[a-z0-9](?=[A-Z]))"
AT_END = "key|code|sig|auth|sid|state|pin|ticket|pass|pw"
"""What a name is, or ends with after one of `BEFORE_END`. A bracket may follow, and the place in a list: `code[0]`."""
AFTER_END = r"(?:\]|%(?:25)*5D)?(?:(?:\[|%(?:25)*5B)[0-9]{0,4}(?:\]|%(?:25)*5D))?"
_NAME = re.compile(rf"{SEPARATOR}({LETTER}+){EQUALS}", re.IGNORECASE)
_SECRET = re.compile(rf"{ANYWHERE}|(?:^|{BEFORE_END})(?:{AT_END}){AFTER_END}$", re.IGNORECASE)
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
