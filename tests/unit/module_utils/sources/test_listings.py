"""The controller's memory of the code that it sent, and the code that is left to send."""

from __future__ import annotations

import os
import tarfile
import time
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.sources import listings
from ansible_collections.slipway.kit.plugins.module_utils.sources.cache import KEPT, Cache
from ansible_collections.slipway.kit.plugins.module_utils.sources.files import Files, listing, walk


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", None)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    (folder / "shop").mkdir(parents=True)
    (folder / "web.py").write_text("one")
    (folder / "run").write_text("#!/bin/sh")
    (folder / "shop/models.py").write_text("two")
    (folder / "latest").symlink_to("shop")
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("a name that is no UTF-8")
    return folder


def files(folder: Path) -> Files:
    return listing(folder, walk(folder), "code")[0]


def test_nothing_is_remembered_of_code_that_was_never_sent(cache: Cache) -> None:
    assert listings.recall(cache, "0" * 64) is None
    assert listings.recall(cache, "../../etc/passwd") is None


def test_the_same_code_leaves_nothing_to_send(cache: Cache, code: Path) -> None:
    listings.remember(cache, files(code))
    before = listings.recall(cache, files(code).hash)
    assert before is not None
    changed, same = listings.since(files(code), before)
    assert (changed.entries, same) == ((), files(code).files)


def test_what_changed_is_sent_and_the_rest_is_kept(cache: Cache, code: Path, tmp_path: Path) -> None:
    listings.remember(cache, files(code))
    before = listings.recall(cache, files(code).hash)
    assert before is not None
    (code / "web.py").write_text("other")
    (code / "run").chmod(0o755)
    (code / "latest").unlink()
    (code / "latest").symlink_to("web.py")
    (code / "new.py").write_text("new")
    (code / "shop/models.py").rename(code / "models.py")
    changed, same = listings.since(files(code), before)
    assert changed.files == ["latest", "models.py", "new.py", "run", "web.py"]
    assert [os.fsencode(name) for name in same] == [b"caf\xe9.txt"]
    changed.write_tar(tmp_path / "sent.tar")
    with tarfile.open(tmp_path / "sent.tar") as archive:
        assert archive.getnames() == changed.files


def test_a_damaged_listing_is_none(cache: Cache, code: Path) -> None:
    listings.remember(cache, files(code))
    path = cache.folder("listings") / files(code).hash
    path.write_bytes(path.read_bytes()[:20])
    assert listings.recall(cache, files(code).hash) is None


def test_a_listing_that_nobody_uses_is_forgotten(cache: Cache, code: Path) -> None:
    listings.remember(cache, files(code))
    old = files(code).hash
    os.utime(cache.folder("listings") / old, (time.time() - KEPT - 60,) * 2)
    (code / "web.py").write_text("other")
    listings.remember(cache, files(code))
    assert listings.recall(cache, old) is None
    assert listings.recall(cache, files(code).hash)
