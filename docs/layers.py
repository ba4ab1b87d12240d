"""The layers of plugins/, and docs/map.svg, a picture of the real imports between them: `make map`.

With --check, writes nothing and fails when the picture is stale. tests/unit/test_layers.py holds the imports to `LAYERS`.
"""

from __future__ import annotations

import ast
import graphlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLUGINS = ROOT / "plugins"
PICTURE = ROOT / "docs/map.svg"
COLLECTION = "ansible_collections.slipway.kit.plugins"


@dataclass(frozen=True)
class Layer:
    """Modules that belong together, and what they may import."""

    summary: str
    """What it does, in a few words."""
    below: tuple[str, ...]
    """The layers that its modules may import directly."""
    column: int
    """Where the picture shows it: the controller's side is on the left, the hosts' on the right."""
    row: int
    """0 is the lowest row. Every arrow leads to a lower one."""


HOST = ("contract", "host/base", "host/files", "host/process", "host/system", "host/build", "host/run")
"""The hosts' side, from the bottom. A layer imports only what stands before it; `process` and `system` are level."""
LAYERS: Mapping[str, Layer] = {
    "plugins": Layer(
        "actions, lookups, filters, callback",
        ("controller", "sources", "model", "contract", "programs", "modules", "host/build"),
        column=0,
        row=8,
    ),
    "controller": Layer(
        "inventory, rendering, answers",
        ("sources", "model", "contract", "programs", "host/system", "host/base"),
        column=0,
        row=6,
    ),
    "sources": Layer(
        "fetches code and its dependencies", ("model", "contract", "host/files", "host/base"), column=0, row=4
    ),
    "model": Layer("schema, checks, everything derived", ("contract",), column=0, row=2),
    "modules": Layer("one call on a host", (*HOST, "host"), column=1, row=7),
    "host": Layer("arguments and answers of a call", HOST, column=1, row=6),
    "host/run": Layer("instances, health, switch, removal", HOST[:-1], column=1, row=5),
    "host/build": Layer("makes and proves a release", (*HOST[:-2], "programs"), column=1, row=4),
    "host/system": Layer("facts, accounts, packages, lock", HOST[:3], column=1, row=3),
    "host/process": Layer("process managers, confinement", (*HOST[:2], "programs"), column=2, row=3),
    "host/files": Layer("writes sets of files", HOST[:2], column=1, row=2),
    "host/base": Layer("files, trees, locks, processes", HOST[:1], column=1, row=1),
    "contract": Layer("what controller and hosts agree on", (), column=1, row=0),
    "programs": Layer("sent to hosts as text", (), column=0, row=0),
}
"""Each layer is a folder of plugins/module_utils, with three exceptions. `plugins` is what Ansible itself loads on the
controller. `modules` is what it runs on a host. `controller` is the rest of module_utils."""


def modules() -> Iterator[Path]:
    """Every module of the kit, without the symbolic links by which some have a second name."""
    return (path for path in sorted(PLUGINS.rglob("*.py")) if not path.is_symlink())


def layer(module: Path) -> str:
    """The layer to which a module of plugins/ belongs."""
    kind, *folders = module.relative_to(PLUGINS).parent.parts or ("",)
    if kind != "module_utils":
        return "modules" if kind == "modules" else "plugins"
    if not folders or folders == ["resident"]:
        return "controller"
    return "/".join(folders[:2]) if folders[0] == "host" else folders[0]


def imported(module: Path) -> Iterator[Path]:
    """The modules of the kit that `module` imports, anywhere in it."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            name, wanted = node.module or "", [alias.name for alias in node.names]
            folder = module.parents[node.level - 1] if node.level else None
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith(f"{COLLECTION}."):
                    yield from _files(PLUGINS, alias.name.removeprefix(f"{COLLECTION}."), [])
            continue
        else:
            continue
        if folder is None:
            if not f"{name}.".startswith(f"{COLLECTION}."):
                continue
            folder, name = PLUGINS, name.removeprefix(COLLECTION).lstrip(".")
        yield from _files(folder, name, wanted)


def _files(folder: Path, name: str, wanted: list[str]) -> Iterator[Path]:
    """The files that `from name import wanted` loads, seen from `folder`."""
    target = folder.joinpath(*name.split(".")) if name else folder
    if target.with_suffix(".py").is_file():
        yield target.with_suffix(".py")
        return
    for word in wanted or [""]:
        inside = (target / word).with_suffix(".py") if word else target / "__init__.py"
        package = target / word / "__init__.py"
        yield next((path for path in (inside, package) if path.is_file()), target / "__init__.py")


def graph() -> dict[Path, set[Path]]:
    """Each module with the modules that it imports."""
    return {module: set(imported(module)) - {module} for module in modules()}


def between_layers() -> dict[str, set[str]]:
    """Each layer with the layers that its modules really import."""
    arrows: dict[str, set[str]] = {name: set() for name in LAYERS}
    for module, targets in graph().items():
        arrows[layer(module)] |= {layer(target) for target in targets} - {layer(module)}
    return arrows


def direct(arrows: Mapping[str, set[str]]) -> dict[str, list[str]]:
    """The arrows without those that follow from others: where A leads to B and B to C, A's to C is left out."""
    reached: dict[str, set[str]] = {}
    for name in graphlib.TopologicalSorter(arrows).static_order():
        reached[name] = set(arrows[name]).union(*(reached[below] for below in arrows[name]))
    return {
        name: sorted(below for below in targets if not any(below in reached[other] for other in targets))
        for name, targets in arrows.items()
    }


WIDTH, HEIGHT = 230, 46
"""Of a box."""
COLUMNS, ROW, MARGIN = (20, 310, 600), 72, 20
STYLE = """
  text { font-family: system-ui, sans-serif; fill: #1f2933; }
  .name { font-size: 14px; font-weight: 600; }
  .summary, .side { font-size: 11.5px; fill: #52606d; }
  rect { fill: #f1f5f9; stroke: #7b8794; }
  .arrow { fill: none; stroke: #7b8794; stroke-width: 1.3; }
  marker path { fill: #7b8794; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e4e7eb; }
    .summary, .side { fill: #9aa5b1; }
    rect { fill: #243240; }
  }"""


def corner(name: str) -> tuple[int, int]:
    """The upper left corner of a layer's box."""
    top = max(place.row for place in LAYERS.values())
    return COLUMNS[LAYERS[name].column], MARGIN + (top - LAYERS[name].row) * ROW


def arrow(upper: str, lower: str) -> str:
    """An arrow from one box to another that lies lower."""
    (x1, y1), (x2, y2) = corner(upper), corner(lower)
    between = any(x1 == x2 == x and y1 < y < y2 for x, y in map(corner, LAYERS))
    if between:  # past them, on the right
        x, y, end = x1 + WIDTH, y1 + HEIGHT // 2, y2 + HEIGHT // 2
        path = f"M{x} {y} C{x + 40} {y} {x + 40} {end} {x + 4} {end}"
    elif x1 < x2:  # out of the right edge, into the left one
        path = f"M{x1 + WIDTH} {y1 + HEIGHT * 2 // 3} L{x2 - 4} {y2 + HEIGHT // 3}"
    elif x1 > x2:  # into the right edge
        path = f"M{x1 + WIDTH // 2} {y1 + HEIGHT} L{x2 + WIDTH + 4} {y2 + HEIGHT // 2}"
    else:
        path = f"M{x1 + WIDTH // 2} {y1 + HEIGHT} L{x2 + WIDTH // 2} {y2 - 4}"
    return f'<path class="arrow" d="{path}" marker-end="url(#head)"/>'


def draw() -> str:
    """The picture."""
    height = corner("contract")[1] + HEIGHT + MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {COLUMNS[-1] + WIDTH + MARGIN} {height}" role="img">',
        "<title>Which layers of plugins/ import which</title>",
        f"<style>{STYLE}\n</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 Z"/></marker></defs>',
    ]
    for upper, targets in direct(between_layers()).items():
        lines += [arrow(upper, lower) for lower in targets]
    for name, place in LAYERS.items():
        x, y = corner(name)
        lines += [
            f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5"/>',
            f'<text class="name" x="{x + 12}" y="{y + 19}">{escape(name)}</text>',
            f'<text class="summary" x="{x + 12}" y="{y + 36}">{escape(place.summary)}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


def main(check: bool) -> int:
    """Write the picture, or check that it is current."""
    picture = draw()
    if check:
        if PICTURE.is_file() and PICTURE.read_text(encoding="utf-8") == picture:
            return 0
        print(f"{PICTURE.relative_to(ROOT)} does not show the imports as they are: make map", file=sys.stderr)
        return 1
    PICTURE.write_text(picture, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
