"""What the import probe's program says becomes a message without secrets."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.build import proving
from ansible_collections.slipway.kit.plugins.module_utils.host.build.errors import AppError
from ansible_collections.slipway.kit.plugins.module_utils.host.process import cells, confine

SECRET = "hunter2-hunter2-hunter2"


def test_a_secret_at_the_end_of_a_long_line_is_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line is cut for the message: what is left of a secret there could not be recognised any more."""
    (tmp_path / "environment.json").write_text(json.dumps({"KEY": SECRET}))
    line = "x" * (confine.LETTERS - 10) + SECRET
    answer = {"ok": False, "kind": proving.EXITS, "message": "it ended", "hint": "", "detail": ""}
    outcome = cells.Outcome(1, json.dumps(answer), line)
    monkeypatch.setattr(proving, "as_app", lambda *_: outcome)
    manifest: Any = SimpleNamespace(
        path=str(tmp_path), module="shop:app", folder="", app="shop", secrets=("KEY",), venv="venv",
        timeouts=SimpleNamespace(boot=5),
    )  # fmt: skip
    job: Any = SimpleNamespace(
        manifest=manifest, lock=SimpleNamespace(place="requirements.txt"), variants={"wsgi": None}
    )
    with pytest.raises(AppError) as refused:
        proving.probe(job, SimpleNamespace(manifest=manifest))  # type: ignore[arg-type]
    assert refused.value.output == "x" * (confine.LETTERS - 10) + "$KEY"
