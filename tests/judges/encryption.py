"""testssl.sh: a grade for a site's TLS, and findings by their severity. Debian 13's version gives grades, Debian 12's none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .site import Site

GRADE = "A+"
ALLOWED = ("OK", "INFO", "LOW", "WARN")
"""Severities that a finding may have. WARN is about testssl.sh itself, such as an engine that its openssl lacks."""
ACCEPTED: Mapping[str, str] = {
    "BREACH": "nginx compresses the answers of apps. An app that reflects input next to a secret must mask the secret, as the "
    "form tokens of Django and Flask-WTF are.",
}
"""Findings that stay, each with the reason."""
REPORT = "/tmp/testssl.json"  # of the host that judges
CHECKS = ("--protocols", "--std", "--fs", "--server-defaults", "--vulnerable", "--headers")
"""What a grade needs; not the simulated browsers, nor each cipher by itself, which take as long again."""


def command(site: Site, authority: str) -> list[str]:
    """The command that judges a site and prints the report.

    Args:
        site: The site.
        authority: The file of its authority on the host that judges.
    """
    options = ["--quiet", "--color=0", "--warnings=off", f"--add-ca={authority}", f"--ip={site.address}"]
    report = f"/root/{site.name}.json"
    words = ["testssl", *options, f"--jsonfile={report}", *CHECKS, f"{site.name}:443"]
    return ["sh", "-c", 'rm -f "$0"; "$@" > /dev/null 2>&1 < /dev/null; cat "$0"', report, *words]


def faults(report: str) -> list[str]:
    """What speaks against a site: a grade below GRADE, and findings that are neither allowed nor accepted."""
    findings: list[dict[str, Any]] = json.loads(report)
    grades = [one["finding"] for one in findings if one["id"] == "overall_grade"]
    return [
        *(f"the grade is {grade}" for grade in grades or ["missing"] if grade != GRADE),
        *(
            f"{one['severity']} {one['id']}: {one['finding']}"
            for one in findings
            if one["severity"] not in ALLOWED and one["id"] not in ACCEPTED
        ),
        *(
            f"{name} is accepted, but no finding any more"
            for name in ACCEPTED
            if all(one["id"] != name for one in findings)
        ),
    ]
