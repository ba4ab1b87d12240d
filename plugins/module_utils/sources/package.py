"""``package``: an app that the package index has. Its source is a requirements.txt that the kit writes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .errors import SourceError, printable
from .files import Files, generated

_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[\w\s.,-]*\])?\s*(?P<rest>.*)")


def tree(requirement: str, more: str | Sequence[str] | None) -> tuple[Files, list[str], str]:
    """Write a requirements.txt for a package.

    Args:
        requirement: The package, as the user wrote it.
        more: The app's `requirements`.

    Returns:
        The requirements.txt alone, the warnings, and the version, or the name where no version is pinned.

    Raises:
        SourceError: The requirement cannot be used.
    """
    match = _REQUIREMENT.fullmatch(requirement.strip())
    if match is None or not re.match(r"$|[<>=!~;@(]", match["rest"]) or re.search(r"\s(-|#)|\\", requirement):
        raise SourceError(f"`package` {printable(requirement)} is no requirement; write one such as httpbin==0.10.4.")
    if isinstance(more, str):
        raise SourceError(
            f"`requirements` {printable(more)} is a file, but a package has no files; give a list of requirements."
        )
    pinned = re.match(r"===?\s*([A-Za-z0-9.!+_-]+)\s*(;|$)", match["rest"])
    warnings = []
    if pinned is None:
        warnings.append(
            f"the package {printable(requirement)} names no single version, so what is installed may differ from host to "
            f"host; pin it: {match['name']}==<version>"
        )
    lines = "".join(f"{line.strip()}\n" for line in [requirement, *(more or ())])
    return generated("requirements.txt", lines.encode()), warnings, pinned[1] if pinned else match["name"]
