"""Runs the bundled app's own tests in a separate virtualenv, made from its locked requirements."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
APP = ROOT / "examples/flask-shop"
VENV = ROOT / ".cache/example"


def main() -> int:
    """Build the virtualenv and run pytest in it; returns its exit status."""
    uv, python = str(ROOT / ".venv/bin/uv"), str(VENV / "bin/python")
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(VENV)], check=True)
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", python, "-r", str(APP / "requirements.txt")], check=True
    )
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, "pytest", "gunicorn>=27.0.1"], check=True)
    return subprocess.run([python, "-m", "pytest", "-q"], cwd=APP, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
