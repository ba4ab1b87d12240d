"""The kinds of sources that the model accepts are those that can be fetched."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import sources
from ansible_collections.slipway.kit.plugins.module_utils.model import schema, source_kinds
from ansible_collections.slipway.kit.plugins.module_utils.sources import kinds


def test_each_kind_has_a_key_its_rules_and_a_function() -> None:
    keys = {key.name for key in schema.SOURCE}
    assert list(kinds.KINDS) == list(source_kinds.KINDS)
    assert set(kinds.KINDS) <= keys


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ({"path": "none"}, "The source folder {base}/none does not exist; correct `path`."),
        ({"path": "file"}, "The source folder {base}/file is not a folder; correct `path`."),
        ({"git": "none.git", "version": "main"}, "The git repository {base}/none.git does not exist; correct `git`."),
        (
            {"archive": "none.zip"},
            "The archive none.zip cannot be read (No such file or directory); correct `archive`.",
        ),
        ({"archive": "."}, "The archive . cannot be read (Is a directory); correct `archive`."),
        ({"path": "."}, None),
        ({"archive": "file"}, None),
        ({"archive": "https://example.com/none.zip"}, None),
        ({"git": "ssh://git@example.com/none.git", "version": "main"}, None),
        ({"package": "httpbin==0.10.4"}, None),
    ],
)
def test_what_is_not_on_this_machine_is_seen_without_fetching(
    tmp_path: Path, source: dict[str, str], why: str | None
) -> None:
    (tmp_path / "file").touch()
    if why is None:
        sources.check(source, tmp_path)
        return
    with pytest.raises(sources.SourceError, match=re.escape(why.format(base=tmp_path))):
        sources.check(source, tmp_path)


def test_the_rules_name_keys_of_sources() -> None:
    keys = {key.name for key in schema.SOURCE}
    assert set(source_kinds.LIMITED) <= keys
    for kind in source_kinds.KINDS.values():
        assert kind.allowed <= set(source_kinds.LIMITED)
        assert set(kind.needs) <= keys


def test_a_file_of_a_folder_is_missed_without_a_fetch(tmp_path: Path) -> None:
    (tmp_path / "app/web").mkdir(parents=True)
    for name in ("app/top.txt", "app/web/below.txt"):
        (tmp_path / name).touch()
    source = {"path": "app", "folder": "web"}
    assert sources.missing(source, tmp_path, "top.txt") is None
    assert sources.missing(source, tmp_path, "below.txt") is None
    assert sources.missing(source, tmp_path, "none.txt") == "is none.txt, which is not in app; correct it"
    for other in ({**source, "build": "make"}, {"git": "https://example.com/x.git"}):
        assert sources.missing(other, tmp_path, "none.txt") is None, "only a fetch tells"
    assert sources.missing(source, tmp_path, ["flask"]) is None
    assert sources.missing(source, tmp_path, None) is None
