"""The data between controller and host: its schema, and each of its constants in only one place."""

from __future__ import annotations

import ast
import base64
import json
import re
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract import facts, job, manifest, names, typed
from ansible_collections.slipway.kit.plugins.module_utils.host.process import managers as hosts
from ansible_collections.slipway.kit.plugins.module_utils.model import managers
from ansible_collections.slipway.kit.plugins.module_utils.model.checks import git_ref
from ansible_collections.slipway.kit.plugins.module_utils.programs.probe import masking as probe_masking
from ansible_collections.slipway.kit.plugins.module_utils.sources import SourceError, repository

from tests import releases

ROOT = Path(__file__).parents[3]
MANIFESTS = ROOT / "tests/fixtures/manifests"
PLACES = tuple(
    value for name, value in vars(names).items() if name.isupper() and isinstance(value, str) and value.startswith("/")
)
ALONE = ("programs/", "resident/install.py", "resident/run.py")
"""Programs that run without the rest of the kit."""
KITS = re.compile("|".join(rf"{re.escape(place)}(?![\\w-])" for place in PLACES if "slipway" in place))
"""The places of the contract that are the kit's alone."""
TEXTS = [
    *(path for folder in ("roles", "playbooks") for path in sorted((ROOT / folder).rglob("*.yml"))),
    *sorted((ROOT / "templates").rglob("*.j2")),
]
TEXTS = [path for path in TEXTS if path.name != "argument_specs.yml"]  # generated from the schema


def texts(path: Path) -> list[str]:
    """The strings of a module that are no documentation."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(target, ast.Name) and target.id in ("DOCUMENTATION", "EXAMPLES", "RETURN"):
            prose.add(id(node.value))
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in prose]
    return [node.value for node in constants if isinstance(node.value, str)]


@pytest.mark.parametrize("path", sorted((ROOT / "plugins").rglob("*.py")), ids=lambda path: path.stem)
def test_a_place_of_the_contract_stands_once(path: Path) -> None:
    below = str(path.relative_to(ROOT / "plugins/module_utils")) if "module_utils" in path.parts else ""
    if below == "contract/names.py":
        return
    copies = [text for text in texts(path) if " " not in text and text.rstrip("/").startswith(PLACES)]
    if below.startswith(ALONE):
        # Such a program cannot import the contract: what it repeats of it must still be the contract's.
        assert [text for text in copies if text not in PLACES] == []
    else:
        assert [text for text in copies if text != "/srv/media"] == [], "write names.… in their place"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_roles_and_templates_repeat_no_place_of_the_contract(path: Path) -> None:
    copies = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if KITS.search(line)]
    assert [line for line in copies if not line.startswith("#")] == [], "pass it as a variable"


def test_the_probe_hides_secrets_as_the_contract_does() -> None:
    assert probe_masking.SHORTEST == names.SHORTEST_SECRET


def test_a_job_comes_as_it_was_sent() -> None:
    made = releases.manifest()
    one = job.Job(
        variants={"wsgi": job.Variant(made, ("gunicorn",), {"unit": "text"})},
        code=job.Code(like="/x", keep=("a",)),
        environment="{}",
        files={},
        programs={},
        python="/usr/bin/python3",
        interpreter=None,
        uv="/uv",
        lock=job.Lock("none", "", "", "", "", "", "", "", False, (), {}, False, False, ()),
        index=job.Index(None, (), "", None, ()),
        make=job.Make((("make", "all"),), {"A": "b"}, {}, ()),
        setup=job.Setup((("init",),), 10),
        deadline=60,
    )
    assert job.read(job.written([one])) == [one]


def test_a_job_of_another_schema_is_refused_with_both_numbers() -> None:
    payload = base64.b64encode(zlib.compress(json.dumps({"schema": 7, "jobs": []}).encode())).decode()
    with pytest.raises(typed.Misfit, match="schema 7, this Slipway reads 2"):
        job.read(payload)


def test_facts_of_another_schema_are_refused_with_both_numbers() -> None:
    with pytest.raises(typed.Misfit, match="schema 7, this Slipway reads 5"):
        facts.read({"schema": 7, "cores": 2})


def test_a_manifest_is_read_as_it_was_written() -> None:
    made = replace(releases.manifest(), static={"/static/": "static"}, secrets=("KEY",))
    assert manifest.parse(json.loads(manifest.written(made))) == made


def test_what_hosts_have_of_a_release_id_keeps_its_key() -> None:
    made = releases.manifest()
    data = json.loads(manifest.written(made))
    assert (data["release"], "release_id" in data) == (made.release_id, False)
    del data["release"]
    with pytest.raises(typed.Misfit, match="the key 'release' is missing"):
        manifest.parse(data)


@pytest.mark.parametrize(
    ("name", "linger", "pipe"), [("oldest", 3600, ""), ("before-programs", 30, "/run/shop/v1-00000001/log")]
)
def test_manifests_of_earlier_kits_are_read(name: str, linger: int, pipe: str) -> None:
    read = manifest.parse(json.loads((MANIFESTS / f"{name}.json").read_text()))
    assert (read.app, read.unit, read.web.stop) == ("shop", "slipway-shop-v1-00000001", 45)
    assert (read.timeouts.linger, read.web.log_pipe, read.overlap) == (linger, pipe, True)


def test_a_value_of_another_type_is_named() -> None:
    data = {"schema": 2, **typed.plain(releases.manifest())}
    data["timeouts"] = {**data["timeouts"], "boot": "soon"}
    with pytest.raises(typed.Misfit, match=r"timeouts\.boot is str, not float"):
        manifest.parse(data)


def test_both_sides_have_the_same_process_managers() -> None:
    for name in managers.PROCESS_MANAGERS:
        assert hosts.kind(name).name == name


@pytest.mark.parametrize("ref", ["/x", "-x", "a..b", "x.lock", "a//b", "x/", ""])
def test_both_checks_of_a_git_ref_refuse_the_same(ref: str) -> None:
    assert git_ref(ref)
    with pytest.raises(SourceError):
        repository.check_ref(ref)
