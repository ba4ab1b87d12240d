"""Compressed copies of a release's static files."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.files import compressed

TEXT = b"a { color: red }\n" * 200


def names(top: Path) -> set[str]:
    return {str(path.relative_to(top)) for path in top.rglob("*.gz")}


def test_a_text_gets_a_copy_with_its_mode_and_time(tmp_path: Path) -> None:
    (tmp_path / "css").mkdir()
    path = tmp_path / "css/a.css"
    path.write_bytes(TEXT)
    path.chmod(0o640)
    os.utime(path, (1_000_000, 1_000_000))
    compressed.compress(str(tmp_path))
    copy = tmp_path / "css/a.css.gz"
    assert gzip.decompress(copy.read_bytes()) == TEXT
    assert copy.stat().st_size < len(TEXT)
    assert (copy.stat().st_mode & 0o7777, copy.stat().st_mtime) == (0o640, 1_000_000)
    assert path.read_bytes() == TEXT


def test_the_copy_of_a_content_is_always_the_same(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.css").write_bytes(TEXT)
        compressed.compress(str(tmp_path / name))
    assert (tmp_path / "a/a.css.gz").read_bytes() == (tmp_path / "b/b.css.gz").read_bytes()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("small.css", TEXT[:1000]),
        ("picture.png", TEXT),
        ("random.txt", os.urandom(5000)),
        ("large.js", b"x" * (compressed.MOST + 1)),
    ],
)
def test_other_files_get_none(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    compressed.compress(str(tmp_path))
    assert names(tmp_path) == set()


def test_the_app_s_own_copy_stays(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_bytes(TEXT)
    (tmp_path / "a.css.gz").write_bytes(b"own")
    (tmp_path / "b.css").write_bytes(TEXT)
    (tmp_path / "b.css.gz").mkdir()
    compressed.compress(str(tmp_path))
    assert (tmp_path / "a.css.gz").read_bytes() == b"own"
    assert names(tmp_path) == {"a.css.gz", "b.css.gz"}


def test_links_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(TEXT)
    (tmp_path / "static").mkdir()
    (tmp_path / "static/a.css").symlink_to("../secret")
    compressed.compress(str(tmp_path / "static"))
    assert names(tmp_path) == set()


def test_a_release_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.css", "b.css", "c.css"):
        (tmp_path / name).write_bytes(TEXT)
    monkeypatch.setattr(compressed, "TOTAL", 2 * len(TEXT))
    compressed.compress(str(tmp_path))
    assert names(tmp_path) == {"a.css.gz", "b.css.gz"}


def test_the_same_file_in_an_earlier_release_has_its_copy(tmp_path: Path) -> None:
    earlier, top = tmp_path / "a", tmp_path / "b"
    for folder in (earlier, top):
        folder.mkdir()
    for name in ("same.css", "changed.css", "without.css"):
        (earlier / name).write_bytes(TEXT)
    compressed.compress(str(earlier))
    (earlier / "without.css.gz").unlink()
    for name in ("same.css", "without.css"):
        os.link(earlier / name, top / name)
    (top / "changed.css").write_bytes(TEXT + TEXT)
    (top / "new.css").write_bytes(TEXT)
    compressed.compress(str(top), str(earlier))
    assert names(top) == {"same.css.gz", "changed.css.gz", "without.css.gz", "new.css.gz"}
    assert (top / "same.css.gz").samefile(earlier / "same.css.gz")
    assert gzip.decompress((top / "changed.css.gz").read_bytes()) == TEXT + TEXT


def test_an_app_without_static_files_has_nothing_to_compress(tmp_path: Path) -> None:
    compressed.compress(str(tmp_path / "static"))
    assert list(tmp_path.iterdir()) == []
