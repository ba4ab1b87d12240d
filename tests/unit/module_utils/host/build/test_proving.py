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


def release(root: Path, name: str, **changes: str) -> Any:
    """A release's manifest; its folder has these files and, at their side, what each release has."""
    path = root / "releases" / name
    (path / "serving").mkdir(parents=True)
    (path / "venv").symlink_to(root / "venvs/one")
    texts = {
        "gunicorn.conf.py": f"chdir = '/srv/shop/releases/{name}/code'\n",
        "environment.json": f'{{"SLIPWAY_RELEASE": "{name}"}}',
        "serving/workers.py": "",
    }
    for file, text in {**texts, **changes}.items():
        (path / file).write_text(text)
    return SimpleNamespace(
        path=str(path), root=str(root), venv=str(root / "venvs/one"), serves=True, timeouts=SimpleNamespace(boot=5)
    )


@pytest.mark.parametrize(
    ("changes", "checks"),
    [
        ({}, 0),
        ({"gunicorn.conf.py": "workers = 3"}, 1),
        ({"environment.json": '{"GUNICORN_CMD_ARGS": "--workers many"}'}, 1),
        ({"serving/workers.py": "# of another kit"}, 1),
        ({"serving/threads.py": "# of another kit"}, 1),
        ({"gunicorn_extra.py": "import config_of_the_app"}, 1),
    ],
)
def test_gunicorn_reads_a_configuration_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], checks: int
) -> None:
    """The current release serves with the same one, except for the release's name."""
    commands: list[str] = []
    monkeypatch.setattr(proving, "as_app", lambda _, what, *__: commands.append(what) or cells.Outcome(0, "", ""))
    release(tmp_path, "v1-00000000")
    (tmp_path / "current").symlink_to("releases/v1-00000000")
    manifest = release(tmp_path, "v2-00000000", **changes)
    proving.check_config(SimpleNamespace(manifest=manifest))  # type: ignore[arg-type]
    assert len(commands) == checks


@pytest.mark.parametrize("what", ["another virtualenv", "no release before", "an older kit's release"])
def test_a_configuration_is_checked_where_no_release_has_proved_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    commands: list[str] = []
    monkeypatch.setattr(proving, "as_app", lambda _, what, *__: commands.append(what) or cells.Outcome(0, "", ""))
    if what != "no release before":
        before = Path(release(tmp_path, "v1-00000000").path)
        (tmp_path / "current").symlink_to("releases/v1-00000000")
        if what == "an older kit's release":
            (before / "environment.json").unlink()
        else:
            (before / "venv").unlink()
            (before / "venv").symlink_to(tmp_path / "venvs/two")
    proving.check_config(SimpleNamespace(manifest=release(tmp_path, "v2-00000000")))  # type: ignore[arg-type]
    assert commands == ["check"]
