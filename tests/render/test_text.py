"""Rules for every rendered file, whatever program reads it."""

from __future__ import annotations

import filecmp
import json
import re
from pathlib import Path

from ansible_collections.slipway.kit.plugins.module_utils import programs
from ansible_collections.slipway.kit.plugins.module_utils.contract import names

from tests.render.conftest import INVENTORIES, ROOT, every_key, render

PROGRAMS = tuple(
    f"/{path}" for log_reader in (True, False) for path in programs.of_release(log_reader, pause=True, timer=True)
)


def files(tree: Path) -> list[Path]:
    """The rendered files, without the kit's programs, which the linters check."""
    paths = [path for path in tree.rglob("*") if path.is_file() and not str(path).endswith(PROGRAMS)]
    assert len(paths) > 8
    return paths


def test_every_file_is_beautiful(tree: Path) -> None:
    for path in files(tree):
        text = path.read_text(encoding="utf-8")
        lines = text.split("\n")
        name = path.relative_to(tree)
        assert text.endswith("\n") and not text.endswith("\n\n"), name
        assert not text.startswith("\n"), name
        assert [number for number, line in enumerate(lines, 1) if line != line.rstrip()] == [], name
        # Python has two between functions (PEP 8).
        assert ("\n\n\n\n" if path.suffix == ".py" else "\n\n\n") not in text, name
        assert "\t" not in text, name
        # No empty line just inside a block either, which a template's condition easily leaves.
        assert not re.search(r"\{\n\n|\n\n *\}", text), name


def test_every_file_says_whose_it_is(tree: Path) -> None:
    for path in files(tree):
        if path.suffix not in (".json", ".html"):  # clients see the pages
            head = path.read_text(encoding="utf-8").splitlines()[:4]
            assert "# Managed by Slipway: changes here are overwritten." in head, path


def test_nothing_is_left_to_be_filled_in(tree: Path) -> None:
    for path in files(tree):
        text = path.read_text(encoding="utf-8") + str(path.relative_to(tree))
        if path.suffix == ".visit":  # the host fills it in
            text = text.replace(names.RANDOM, "")
        assert not re.search(r"@[a-z-]+@|\{\{|\{%|<class|undefined", text), path


def test_no_program_has_the_file_of_its_log(trees: dict[str, Path]) -> None:
    """systemd would open it as root, and what has it can cut it, stretch it or fill the disk."""
    rendered = [path for path in trees["systemd"].rglob("*") if path.suffix in (".service", ".socket", ".timer")]
    assert {path.suffix for path in rendered} == {".service", ".socket", ".timer"}
    for path in (*rendered, *(ROOT / "templates/systemd").rglob("*.j2")):
        assert not re.search(r"Standard(Output|Error) *= *(append|file|truncate)", path.read_text(encoding="utf-8")), (
            path
        )


def test_no_secret_is_written(trees: dict[str, Path]) -> None:
    for name in INVENTORIES:
        for path in files(trees[name]):
            assert "hunter2" not in path.read_text(encoding="utf-8"), path
    (environment,) = trees["systemd"].glob("srv/shop/releases/*/environment.json")
    written = json.loads(environment.read_text())
    masked = {name for name, value in written.items() if value == "********"}
    assert masked == {"PLAIN", "SECRET_KEY", "SENTRY_DSN", "VAULTED"}
    assert written["GREETING"] == '"Ahoy", 100 % of $sailors\n'


def test_rendering_again_gives_the_same(tmp_path: Path, trees: dict[str, Path]) -> None:
    again = render(every_key(tmp_path / "systemd", "systemd"), tmp_path / "build")["web1"]
    first = trees["systemd"]
    names = sorted(str(path.relative_to(first)) for path in files(first))
    assert names == sorted(str(path.relative_to(again)) for path in files(again))
    assert filecmp.cmpfiles(first, again, names, shallow=False) == (names, [], [])


def test_a_branch_s_name_makes_no_folders(trees: dict[str, Path]) -> None:
    (release,) = (trees["systemd"] / "srv/live/releases").iterdir()
    assert release.name == "feature-live-basket-00000000"


def test_the_examples_differ_only_where_environments_do() -> None:
    staging, production = (ROOT / "inventories" / name for name in ("staging", "production"))
    names = [{str(path.relative_to(folder)) for path in folder.rglob("*.yml")} for folder in (staging, production)]
    assert names[0] == names[1]
