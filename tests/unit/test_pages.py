"""The code of the pages docs/adding-….md runs, and the names in their lists are those of the kit."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import tarfile
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.process.managers import Manager
from ansible_collections.slipway.kit.plugins.module_utils.model import managers, schema, source_kinds
from ansible_collections.slipway.kit.plugins.module_utils.sources import kinds
from ansible_collections.slipway.kit.plugins.module_utils.sources.cache import Cache

from tests.lint.style import tracked

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("adding-*.md"))


def blocks(page: str, language: str = "python") -> list[str]:
    """The code blocks of a page."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def chapter(page: str, heading: str) -> str:
    """The text of a page from a heading to the next one."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return text.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def listed(text: str) -> list[str]:
    """The names with which the items of a list begin: `a`, or `a`, `b`."""
    items = re.findall(r"^- ((?:`\w+`(?:, )?)+)", text, re.MULTILINE)
    return [name for item in items for name in re.findall(r"`(\w+)`", item)]


def executed(code: str, module: Any, **more: Any) -> dict[str, Any]:
    """What the code defines, with the names of a module of the kit."""
    space = {**vars(module), **more}
    exec(code, space)
    return space


def test_the_process_manager_of_the_page_is_a_whole_one() -> None:
    [code] = blocks("adding-a-process-manager.md")
    manager = executed(code, managers)["OPENRC"]
    assert manager.program("web", "unit", "/log", "/run", 1.0).unit_file == f"unit{manager.suffix}"
    assert manager.files(manager.inits[0]) == []


def test_the_lists_about_a_process_manager_name_its_parts() -> None:
    fields = {field.name for field in dataclasses.fields(managers.ProcessManager)}
    assert set(listed(chapter("adding-a-process-manager.md", "1. The model"))) <= fields
    members = {*vars(Manager), *Manager.__annotations__}
    assert set(listed(chapter("adding-a-process-manager.md", "3. The host's side"))) <= members


def test_the_key_of_the_page_is_the_kits() -> None:
    key, derived, feature = blocks("adding-a-key.md")
    shown = eval(key, dict(vars(schema)))
    real = schema.table(schema.LIMITS)["cpu"]
    same = [field.name for field in dataclasses.fields(schema.Key) if field.name not in ("reason", "check")]
    assert [getattr(shown, name) for name in same] == [getattr(real, name) for name in same]
    assert textwrap.dedent(real.reason).split()[:5] == shown.reason.split()[:5]
    assert executed(derived, managers, limits={"cpu": 1.5})["cpu"] == 150
    assert executed(feature, managers)["CPU_LIMIT"] == managers.CPU_LIMIT


def test_the_lines_of_the_page_are_those_of_the_template() -> None:
    [lines] = blocks("adding-a-key.md", "jinja")
    assert lines in (ROOT / "templates/systemd/confinement.j2").read_text(encoding="utf-8")


def test_the_source_of_the_page_fetches(tmp_path: Path) -> None:
    key, kind, function = blocks("adding-a-source.md")
    name = eval(key, dict(vars(schema))).name
    rules = eval(kind, dict(vars(source_kinds)))
    assert rules.allowed <= {*source_kinds.LIMITED}
    (tmp_path / "web.py").write_text("app = None\n")
    with tarfile.open(tmp_path / "shop-1.4.2.tar.gz", "w:gz") as packed:
        packed.add(tmp_path / "web.py", "shop/web.py")
    digest = hashlib.sha256((tmp_path / "shop-1.4.2.tar.gz").read_bytes()).hexdigest()
    wanted = kinds.Wanted(
        source={name: "shop-1.4.2.tar.gz", "sha256": digest},
        value="shop-1.4.2.tar.gz",
        version=None,
        requirements=None,
        base=tmp_path,
        cache=tmp_path / "cache",
        store=Cache(tmp_path / "cache", "run"),
        log=lambda text: None,
    )
    s3 = SimpleNamespace(address=lambda value: value)
    fetched = executed(function, kinds, s3=s3)["_object"](wanted)
    assert (fetched.version, fetched.warnings) == ("shop-1.4.2", [])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_files_that_a_page_lists_exist_or_are_new(page: Path) -> None:
    rows = re.findall(r"^\| (`[^|]+`) \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    named = [path for row in rows for path in re.findall(r"`([\w./-]+\.\w+)`", row)]
    new = re.compile(r"openrc|s3")
    files = [f"/{path}" for path in tracked()]
    assert named
    assert [path for path in named if not new.search(path) and not any(one.endswith(f"/{path}") for one in files)] == []
