"""Files of the inventory in a release's code: what is in them, and what is said when one cannot be made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.slipway.kit.plugins.module_utils import placed
from ansible_collections.slipway.kit.plugins.module_utils.model import releases, resolve, settings
from ansible_collections.slipway.kit.plugins.module_utils.model.types import App, Host
from ansible_collections.slipway.kit.plugins.module_utils.placed import PlacedError
from ansible_collections.slipway.kit.plugins.module_utils.sources import folder

SECRETS = {"DB_PASSWORD": "hunter2-and-more"}


def shop(files: dict[str, str], **more: Any) -> App:
    host = Host.assumed()
    entry = {"module": "shop:app", "source": {"path": "x"}, "domains": ["shop.test"], "files": files, **more}
    return resolve.resolve("shop", entry, settings.settings({}, host), host, host.memory)


def made(base: Path, app: App, **names: Any) -> dict[str, bytes]:
    loader, task_vars = DataLoader(), {"inventory_dir": str(base), **names}
    return placed.contents(Templar(loader=loader, variables=task_vars), task_vars, loader, app, SECRETS)


def test_templates_are_rendered_and_all_else_is_copied_to_the_byte(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files/a.py.j2").write_text(
        "HOSTS = {{ app.domains | list }}\nPASSWORD = '{{ secrets.DB_PASSWORD }}'\nCITY = '{{ city }}'\nAT = '{{ app.release.path }}'\n\n\n"
    )
    (tmp_path / "files/logo.png").write_bytes(b"\x89PNG\r\n\0{{ city }}\xff")
    app = shop({"site/a.py": "files/a.py.j2", "logo.png": "files/logo.png"}, source={"path": "x", "folder": "backend"})
    files = made(tmp_path, app, city="Lund")
    assert files == {
        "backend/logo.png": b"\x89PNG\r\n\0{{ city }}\xff",
        "backend/site/a.py": (
            "HOSTS = ['shop.test']\nPASSWORD = 'hunter2-and-more'\nCITY = 'Lund'\n"
            f"AT = '/srv/shop/releases/{releases.RELEASE}'\n"
        ).encode(),
    }


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.j2", "one\n{{ nobody }}\n", "a.j2:2: "),
        ("a.j2", "one\ntwo\n{% if %}\n", "a.j2:3: "),
        ("a.j2", "{{ secrets.DB_PASSWORD | from_json }}\n", "does not render"),
        ("a.txt", "x" * (placed.LIMIT + 1), "has more than 1 MiB"),
        ("a.j2", "{{ 'x' * 2000000 }}", "has more than 1 MiB"),
        ("folder", None, "is no file"),
        ("gone", None, "does not exist"),
    ],
)
def test_what_cannot_be_placed_is_named_without_a_secret(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    if text:
        (tmp_path / name).write_text(text)
    with pytest.raises(PlacedError) as caught:
        made(tmp_path, shop({"site/a.py": name}))
    assert caught.value.placed.key == "site/a.py"
    assert message in str(caught.value)
    assert SECRETS["DB_PASSWORD"] not in str(caught.value)


def test_what_of_the_source_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "site/inner").mkdir(parents=True)
    (tmp_path / "site/inner/a.py").write_text("")
    (tmp_path / "other").symlink_to("site")
    tree, *_ = folder.tree(tmp_path, tmp_path / "cache")
    files = dict.fromkeys(["site/inner/a.py", "site/inner", "site/inner/a.py/b", "other/a", "new/a"], "x")
    obstacles = {one.key: why for one, why in placed.in_the_way(tree, shop(files))}
    assert set(obstacles) == {"site/inner", "site/inner/a.py/b", "other/a"}
    assert "a folder of the source" in obstacles["site/inner"]
    assert "a link of the source" in obstacles["other/a"]
