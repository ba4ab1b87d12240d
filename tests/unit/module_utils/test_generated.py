"""Secrets that are made once: the same in every run, for their owner alone, and never in a message."""

from __future__ import annotations

import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible_collections.slipway.kit.plugins.module_utils import generated


def inventory(**vault: Any) -> dict[str, Any]:
    return {
        "apps": {"shop": {"secrets": {"KEY": {"generate": 50}, "OWN": "written"}}, "gone": {"state": "absent", "secrets": {"X": {"generate": 16}}}},
        "vault_apps": {"shop": {"secrets": vault}},
    }  # fmt: skip


def filled(base: Path, **vault: Any) -> dict[str, str]:
    variables = inventory(**vault)
    generated.fill(variables, base)
    return {**variables["apps"]["shop"]["secrets"], **variables["vault_apps"]["shop"]["secrets"]}


def test_made_once_and_the_same_ever_after(tmp_path: Path) -> None:
    generated.make(inventory(TOKEN={"generate": 16}), tmp_path)
    first = filled(tmp_path, TOKEN={"generate": 16})
    assert (len(first["KEY"]), len(first["TOKEN"]), first["OWN"]) == (50, 16, "written")
    assert (first["KEY"] + first["TOKEN"]).isalnum()
    generated.make(inventory(TOKEN={"generate": 16}), tmp_path)
    assert filled(tmp_path, TOKEN={"generate": 16}) == first
    assert sorted(path.name for path in (tmp_path / ".generated").iterdir()) == [".gitignore", ".lock", "shop.yml"]


def test_two_are_not_alike(tmp_path: Path) -> None:
    values = set()
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        generated.make(inventory(), tmp_path / name)
        values.add(filled(tmp_path / name)["KEY"])
    assert len(values) == 3


def test_a_deleted_line_is_made_anew_and_the_others_stay(tmp_path: Path) -> None:
    generated.make(inventory(TOKEN={"generate": 16}), tmp_path)
    before = filled(tmp_path, TOKEN={"generate": 16})
    path = tmp_path / ".generated/shop.yml"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "TOKEN" not in line))
    generated.make(inventory(TOKEN={"generate": 16}), tmp_path)
    after = filled(tmp_path, TOKEN={"generate": 16})
    assert after["KEY"] == before["KEY"] and after["TOKEN"] != before["TOKEN"]


def test_it_is_its_owners_alone_and_no_part_of_a_repository(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    generated.make(inventory(), tmp_path)
    assert stat.S_IMODE((tmp_path / ".generated/shop.yml").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / ".generated").stat().st_mode) == 0o700
    status = subprocess.run(
        ["git", "-C", tmp_path, "status", "--porcelain", "-uall"], capture_output=True, text=True, check=True
    )
    assert status.stdout == ""


def test_runs_at_once_make_one(tmp_path: Path) -> None:
    def run(_number: int) -> str:
        generated.make(inventory(), tmp_path)
        return filled(tmp_path)["KEY"]

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(run, range(32)))) == 1


def test_nothing_is_made_by_looking(tmp_path: Path) -> None:
    assert filled(tmp_path)["KEY"] == generated.UNMADE
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", ["KEY: [canary]\n", 'KEY: "canary\n', "canary\n", "KEY: 12345\n", b"KEY: \xff canary\n"]
)
def test_a_file_that_was_spoilt_is_named_and_not_quoted(tmp_path: Path, content: str | bytes) -> None:
    generated.make(inventory(), tmp_path)
    path = tmp_path / ".generated/shop.yml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(AnsibleError, match="delete it for new secrets") as caught:
        filled(tmp_path)
    assert str(path) in str(caught.value) and "canary" not in str(caught.value)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / ".generated").touch()
    with pytest.raises(AnsibleError, match=r"the secrets of shop cannot be kept in .*/\.generated: "):
        generated.make(inventory(), tmp_path)
