"""What the release module answers for several apps; test_building.py covers each build."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.job import Job
from ansible_collections.slipway.kit.plugins.module_utils.host.build import building, errors
from ansible_collections.slipway.kit.plugins.modules import release

from tests import releases

JOBS = [
    SimpleNamespace(manifest=releases.manifest(app=name, release_id="v1-00000000", root=f"/srv/{name}"))
    for name in ("blog", "shop")
]


class Ended(Exception):
    pass


class Module:
    """An AnsibleModule that keeps its answer."""

    def exit_json(self, **result: Any) -> None:
        raise Ended(result)

    def fail_json(self, **result: Any) -> None:
        raise Ended({**result, "failed": True})


def answer() -> dict[str, Any]:
    with pytest.raises(Ended) as ended:
        release.build(Module(), JOBS)
    result: dict[str, Any] = ended.value.args[0]
    return result


def test_apps_are_built_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(2, timeout=10)

    def build(job: Job) -> building.Built:
        together.wait()
        return building.Built(job.manifest, True, ["mind"])

    monkeypatch.setattr(building, "build", build)
    monkeypatch.setattr(release.os, "cpu_count", lambda: 2)
    assert answer() == {
        "changed": True,
        "built": ["blog v1-00000000", "shop v1-00000000"],
        "virtualenvs": 2,
        "installed": ["blog", "shop"],
        "failures": [],
        "lacking": [],
        "warnings": ["blog: mind", "shop: mind"],
    }


def test_one_that_fails_is_named_and_the_other_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(job: Job) -> building.Built:
        if job.manifest.app == "blog":
            raise errors.BuildError("web.py has a fault", "line 3")
        return building.Built(job.manifest, False, [])

    monkeypatch.setattr(building, "build", build)
    reply = answer()
    [failure] = reply["failures"]
    assert (failure["app"], failure["release"]) == ("blog", "v1-00000000")
    assert failure["reason"] == "was not built: web.py has a fault"
    assert failure["log"] == ["line 3"]
    assert (reply["built"], reply["lacking"]) == (["shop v1-00000000"], [])


@pytest.mark.parametrize("error", [OSError(28, "No space"), KeyError("ok")])
def test_every_fault_is_reported(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def build(job: Job) -> building.Built:
        raise error

    monkeypatch.setattr(building, "build", build)
    reasons = [failure["reason"] for failure in answer()["failures"]]
    assert len(reasons) == 2 and all(f"was not built: {error}" in reason for reason in reasons)


def test_those_whose_code_has_to_be_sent_again_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(job: Job) -> building.Built:
        if job.manifest.app == "blog":
            raise errors.Lacking("no web.py")
        return building.Built(job.manifest, False, [])

    monkeypatch.setattr(building, "build", build)
    reply = answer()
    assert (reply["built"], reply["lacking"], reply["failures"]) == (["shop v1-00000000"], ["blog"], [])
