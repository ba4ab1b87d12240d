"""Installs the Observatory, and signs the certificate of the scenario `judges`: `python -m tests.judges`."""

from __future__ import annotations

import os
import sys

from tests.authority import Authority, pem

from . import observatory

CERTIFICATE = observatory.PLACE / "certificate"
NAMES = ("shop.test", "witness.test", "closed.test")


def main() -> int:
    """Write the files that the inventory names, and the authority's own certificate."""
    observatory.install()
    CERTIFICATE.mkdir(parents=True, exist_ok=True)
    authority = Authority()
    issued = authority.issue(*(f"*.{name}" for name in NAMES), revocable=True)
    for name, text in (("chain.pem", issued.chain), ("authority.pem", pem(authority.root))):
        (CERTIFICATE / name).write_text(text, encoding="utf-8")
    key = CERTIFICATE / "key.pem"
    key.touch(0o600)
    os.truncate(key, 0)
    key.write_text(issued.private, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
