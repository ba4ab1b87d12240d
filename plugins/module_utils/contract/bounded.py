"""Reads JSON that an untrusted program wrote.

A value takes up to a hundred times the memory of its text, and seconds to make. So the text must be short.
"""

from __future__ import annotations

import json
from typing import Any

LINE = 64 << 10
"""Characters of a line in a log that are read as JSON."""


def loads(text: str, most: int) -> Any:
    """Return the value of a text of JSON.

    Args:
        text: The text.
        most: The characters that it may have.

    Raises:
        ValueError: It is no JSON, it is longer, or its value is nested too deeply or takes too much memory.
    """
    if len(text) > most:
        raise ValueError(f"it is longer than {most} characters")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except MemoryError:
        raise ValueError("its value takes too much memory") from None
