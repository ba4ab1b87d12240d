"""Looks up known vulnerabilities of packages in the OSV service, by way of uv.

`uv audit` audits a project's lock file, so it gets one with exactly these packages.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.version import Version

DEADLINE = 300
"""Seconds for all requests together. uv sends a thousand packages in a request and retries three times."""
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
PROJECT = "slipway-audit"

Package = tuple[str, str]
"""Name and version."""


class Unanswered(Exception):
    """The service did not answer; the text says why."""


def key(name: str, version: str) -> Package | None:
    """Normalize a package to the index's form; None if no index can have it."""
    name = re.sub(r"[-_.]+", "-", name).lower()
    try:
        # No advisory names the part that a build adds after "+" (torch 2.9.0+cpu).
        version = Version(version).public
    except ValueError:  # InvalidVersion, or a number too long for Python
        return None
    return (name, version) if NAME.fullmatch(name) and name != PROJECT else None


def lock(packages: Iterable[Package]) -> str:
    """Write the uv.lock of a project that depends on all packages, also on several versions of one."""
    source = 'source = { registry = "https://pypi.org/simple" }'
    wanted = sorted(set(packages))
    return "\n".join(
        [
            "version = 1",
            'requires-python = ">=3.8"',
            "",
            "[[package]]",
            f'name = "{PROJECT}"',
            'version = "0"',
            'source = { virtual = "." }',
            "dependencies = [",
            *(f'    {{ name = "{name}", version = "{version}", {source} }},' for name, version in wanted),
            "]",
            *(
                line
                for name, version in wanted
                for line in ("", "[[package]]", f'name = "{name}"', f'version = "{version}"', source)
            ),
            "",
        ]
    )


def ask(packages: Iterable[Package], service: str) -> Mapping[Package, list[dict[str, Any]]]:
    """Look up the known vulnerabilities of the packages that have any.

    Raises:
        Unanswered: The service did not answer.
    """
    import uv  # it ships the program; imported here, since other unit tests do not need it

    wanted = sorted(set(packages))
    if not wanted:
        return {}
    with tempfile.TemporaryDirectory(prefix="slipway-audit-") as folder:
        project = f'[project]\nname = "{PROJECT}"\nversion = "0"\nrequires-python = ">=3.8"\n'
        Path(folder, "pyproject.toml").write_text(project, encoding="utf-8")
        Path(folder, "uv.lock").write_text(lock(wanted), encoding="utf-8")
        command = [uv.find_uv_bin(), "audit", "--frozen", "--no-config", "--no-progress"]
        command += ["--preview-features", "audit-command,json-output"]  # their form may change; requirements/ pins it
        command += ["--output-format", "json", "--service-url", service]
        try:
            result = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=DEADLINE,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Unanswered(f"it did not answer within {DEADLINE} s") from error
    return _read(result)


def _read(result: subprocess.CompletedProcess[str]) -> Mapping[Package, list[dict[str, Any]]]:
    """Read uv's output. Status 0 means no vulnerabilities, 1 some, and any other status no answer."""
    if result.returncode not in (0, 1):
        lines = [
            re.sub(r"^\s*(error|cause): ", "", line).strip() for line in result.stderr.splitlines() if line.strip()
        ]
        raise Unanswered("; ".join(lines[-3:]) or f"uv audit ended with status {result.returncode}")
    advisories: dict[Package, list[dict[str, Any]]] = {}
    try:
        for one in json.loads(result.stdout)["vulnerabilities"]:
            package = (str(one["dependency"]["name"]), str(one["dependency"]["version"]))
            advisories.setdefault(package, []).append(
                {
                    "id": one["id"],
                    "aliases": one["aliases"],
                    "summary": one["summary"] or "",
                    "fixed_in": one["fix_versions"],
                    "link": one["link"],
                }
            )
    except (ValueError, KeyError, TypeError) as error:
        raise Unanswered(f"uv's answer cannot be read ({error!r})") from error
    return advisories
