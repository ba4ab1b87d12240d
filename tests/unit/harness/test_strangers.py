"""The scenarios with third-party apps keep what they promise: short entries, and a client for each app."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

MOLECULE = Path(__file__).parents[3] / "molecule"
LINES = 12


def entries() -> Iterator[tuple[str, int]]:
    """Each app's name and how many lines its entry has."""
    for file in sorted(MOLECULE.glob("strangers*/inventory/host_vars/*.yml")):
        root = yaml.compose(file.read_text(encoding="utf-8"))
        (apps,) = (value for key, value in root.value if key.value == "apps")
        text = file.read_text(encoding="utf-8").splitlines()
        for key, value in apps.value:
            lines = text[key.start_mark.line : value.end_mark.line]
            yield key.value, sum(bool(line.strip()) and not line.strip().startswith("#") for line in lines)


@pytest.mark.parametrize(("name", "lines"), list(entries()))
def test_a_strangers_app_needs_a_short_entry_and_has_a_client(name: str, lines: int) -> None:
    assert 4 <= lines <= LINES
    assert (MOLECULE / f"strangers/clients/use_{name}.py").is_file()
