"""The commands that the benchmarks' own texts name work from the project's folder as they are written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TEXTS = [*ROOT.glob("benchmarks/**/*.py"), *ROOT.glob("docs/**/*.md"), ROOT / "README.md", ROOT / "Makefile"]
MODULES = sorted({name for path in TEXTS for name in re.findall(r"-m (benchmarks[\w.]*\w)", path.read_text("utf-8"))})


def test_some_commands_are_named() -> None:
    assert {"benchmarks.deploys", "benchmarks.serving", "benchmarks.serving.plot"} <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_a_command_starts_without_further_settings(module: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("usage: ")
