"""The kit's templates are compiled once, in a folder that no other user can write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.slipway.kit.plugins.module_utils import compiled, rendering
from jinja2 import Environment

PAGE = "{% if who %}\nhello {{ who }}\n{% endif %}\n"


class Stage:
    """A kit with one template, and an inventory that may have one, too."""

    def __init__(self, folder: Path) -> None:
        self.kit, self.inventory, self.cache = folder / "slipway/kit", folder / "inventory", folder / "cache"
        for place in (self.kit, self.inventory):
            (place / "templates").mkdir(parents=True)
        self.write(PAGE)

    def write(self, text: str) -> None:
        """Change the kit's template."""
        (self.kit / "templates/page.j2").write_text(text)

    def override(self, text: str) -> None:
        """Write a template of the user's."""
        (self.inventory / "templates/page.j2").write_text(text)

    def render(self, who: str = "you") -> str:
        """The page."""
        names = {"who": who, "inventory_dir": str(self.inventory)}
        loader = DataLoader()
        return rendering.render(Templar(loader=loader, variables=names), names, loader, "page.j2", "/page", {})

    @property
    def kept(self) -> list[Path]:
        """What the cache holds."""
        return [path for path in self.cache.rglob("*") if path.is_file()]


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were compiled."""
    seen: list[str] = []
    whole = Environment.compile

    def compile_it(self: Environment, source: str, *args: object, **options: object) -> object:
        seen.append(str(source))
        return whole(self, source, *args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Environment, "compile", compile_it)
    return seen


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compilations: list[str]) -> Stage:
    made = Stage(tmp_path)
    monkeypatch.setattr(rendering, "KIT", str(made.kit))
    monkeypatch.setenv("SLIPWAY_CACHE", str(made.cache))
    return made


def test_a_template_is_compiled_once_and_again_when_it_has_changed(stage: Stage, compilations: list[str]) -> None:
    assert stage.render() == "hello you\n"
    assert PAGE in compilations
    compilations.clear()
    assert stage.render("them") == "hello them\n"
    assert PAGE not in compilations
    stage.write("new {{ who }}\n")
    assert stage.render() == "new you\n"
    assert "new {{ who }}\n" in compilations


def test_a_template_of_the_user_is_not_kept_and_what_it_extends_is(stage: Stage) -> None:
    (stage.inventory / "templates/part.j2").write_text("secret {{ who }}\n")
    stage.override('{% include "part.j2" %}\n')
    assert stage.render() == "secret you\n"
    assert stage.kept == []
    stage.override('{% extends "kit/templates/page.j2" %}\n')
    assert stage.render() == "hello you\n"
    (kept,) = stage.kept
    assert b"secret" not in kept.read_bytes()
    assert kept.stat().st_mode & 0o077 == 0


def test_a_template_that_was_read_otherwise_is_another_one(stage: Stage) -> None:
    header = "#jinja2: variable_start_string:'[[', variable_end_string:']]'\n"
    stage.override(header + '{% extends "kit/templates/page.j2" %}\n')
    assert stage.render() == "hello {{ who }}\n"
    (stage.inventory / "templates/page.j2").unlink()
    assert stage.render() == "hello you\n"


@pytest.mark.parametrize("damage", ["empty", "short", "text", "flipped"])
def test_a_damaged_file_is_as_good_as_none(stage: Stage, damage: str) -> None:
    stage.render()
    (kept,) = stage.kept
    data = kept.read_bytes()
    flipped = bytes(byte ^ 1 for byte in data[-40:])
    kept.write_bytes({"empty": b"", "short": data[:-40], "text": b"no code", "flipped": data[:-40] + flipped}[damage])
    assert stage.render() == "hello you\n"
    assert kept.read_bytes() == data


@pytest.mark.parametrize("thing", ["fifo", "link", "others"])
def test_what_is_not_the_operator_s_file_is_not_run(stage: Stage, compilations: list[str], thing: str) -> None:
    stage.render()
    (kept,) = stage.kept
    if thing == "others":
        kept.chmod(0o666)
    else:
        kept.rename(stage.cache / "elsewhere")
        os.mkfifo(kept) if thing == "fifo" else kept.symlink_to(stage.cache / "elsewhere")
    compilations.clear()
    assert stage.render() == "hello you\n"
    assert PAGE in compilations
    assert kept.is_file() and not kept.is_symlink()


def test_what_others_can_write_is_not_run(stage: Stage, compilations: list[str]) -> None:
    stage.render()
    folder = stage.kept[0].parent
    for open_one in (folder, folder.parent, stage.cache):
        open_one.chmod(0o777)
        assert compiled.cache(stage.cache, str(stage.kit)) is None
        compilations.clear()
        assert stage.render() == "hello you\n"
        assert PAGE in compilations
        open_one.chmod(0o700)
    assert compiled.cache(stage.cache, str(stage.kit)) is not None


def test_a_cache_that_cannot_be_made_costs_time_only(stage: Stage) -> None:
    stage.cache.write_text("a file")
    assert stage.render() == "hello you\n"
