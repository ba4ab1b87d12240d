"""The layers of plugins/ hold: a module imports only what its layer may, and nothing imports in a circle."""

from __future__ import annotations

import graphlib
from pathlib import Path

import pytest

from docs import layers
from docs.layers import COLLECTION, LAYERS, PLUGINS, imported, layer


def named(path: Path) -> str:
    return str(path.relative_to(PLUGINS))


def test_each_module_has_a_layer() -> None:
    unknown = {layer(module) for module in layers.modules()} - {*LAYERS}
    assert not unknown, f"docs/layers.py does not say what these may import: {', '.join(sorted(unknown))}"


@pytest.mark.parametrize("module", list(layers.modules()), ids=named)
def test_a_module_imports_only_what_its_layer_may(module: Path) -> None:
    folder = layer(module)
    allowed = {folder, *LAYERS[folder].below}
    wrong = [named(target) for target in imported(module) if layer(target) not in allowed]
    assert not wrong, (
        f"{folder} may import {', '.join(sorted(allowed))} alone (docs/layers.py), and not {', '.join(wrong)}"
    )


def test_no_modules_import_each_other_in_a_circle() -> None:
    try:
        graphlib.TopologicalSorter(layers.graph()).prepare()
    except graphlib.CycleError as circle:
        pytest.fail(f"a circle: {' <- '.join(named(module) for module in circle.args[1])}")


def test_layers_import_only_lower_ones() -> None:
    for name, place in LAYERS.items():
        assert all(LAYERS[below].row < place.row for below in place.below), name


@pytest.mark.parametrize(
    ("line", "target"),
    [
        ("from ..base import locks", "host/base/locks.py"),
        ("from ..base.locks import Lock", "host/base/locks.py"),
        ("from . import switch", "host/run/switch.py"),
        ("from ...sources import fetch", "sources/__init__.py"),
        (f"from {COLLECTION}.module_utils.model import schema", "model/schema.py"),
        (f"from {COLLECTION}.module_utils.model.schema import Key", "model/schema.py"),
        (f"import {COLLECTION}.module_utils.terminal", "terminal.py"),
        (f"def later():\n    from {COLLECTION}.module_utils import resident", "resident/__init__.py"),
        ("import json", None),
        ("from ansible.module_utils.basic import AnsibleModule", None),
    ],
)
def test_every_way_of_importing_is_seen(
    line: str, target: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    utils = tmp_path / "module_utils"
    for path in (
        "host/base/locks",
        "host/run/switch",
        "sources/__init__",
        "model/schema",
        "resident/__init__",
        "terminal",
    ):
        (utils / path).parent.mkdir(parents=True, exist_ok=True)
        (utils / f"{path}.py").touch()
    monkeypatch.setattr(layers, "PLUGINS", tmp_path)
    module = utils / "host/run/new.py"
    module.write_text(f"{line}\n")
    assert list(imported(module)) == ([utils / target] if target else [])
