"""Describe the releases of a host, and have the host build those that it lacks."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.kit.plugins.action import files, partly, resident
from ansible_collections.slipway.kit.plugins.module_utils import generated
from ansible_collections.slipway.kit.plugins.module_utils import inventory as inventories
from ansible_collections.slipway.kit.plugins.module_utils.contract import job as jobs
from ansible_collections.slipway.kit.plugins.module_utils.contract.facts import ReleaseFacts
from ansible_collections.slipway.kit.plugins.module_utils.contract.job import Code, Job
from ansible_collections.slipway.kit.plugins.module_utils.describing import Describing, Source, interfaces
from ansible_collections.slipway.kit.plugins.module_utils.inventory import Inventory
from ansible_collections.slipway.kit.plugins.module_utils.model import processes, releases, sites, workers
from ansible_collections.slipway.kit.plugins.module_utils.model.types import App, ModelError
from ansible_collections.slipway.kit.plugins.module_utils.sources import Files, SourceError, Tree, listings, served
from ansible_collections.slipway.kit.plugins.module_utils.sources.cache import Cache, root

SMALL = 2 * 1024 * 1024
"""Bytes of an archive that still travels in the module call itself; a separate file costs three more calls."""

resident.spec("release")  # before Ansible forks: see there


@dataclass(frozen=True)
class Prepared:
    """A release that the inventory describes, with its source."""

    app: App
    release_id: str
    tree: Tree
    job: Job


class ActionModule(partly.ActionModule, files.ActionModule):
    """At most one module call, and none when the host has every release."""

    _requires_connection = True
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Build what is missing; sets the fact `slipway_releases`.

        Without `build`, releases that cannot be named stay unnamed: it is the build that refuses them, and says why.
        """
        result: dict[str, Any] = ActionBase.run(self, tmp, task_vars)
        _valid, arguments = self.validate_argument_spec(argument_spec={"build": {"type": "bool", "default": True}})
        task_vars = task_vars or {}
        self._vars, self._redeploy = task_vars, boolean(task_vars.get("redeploy", False))
        try:
            self._inventory = inventories.load(self._templar, self._vars)
            obstacle = self._inventory.obstacle(self._inventory.to_deploy)
        except ModelError as exc:
            raise AnsibleActionFail(str(exc)) from exc
        has_failed = "ansible_failed_task" in self._vars  # the rescue only wants the names, and has said why
        if (obstacle := obstacle or self._nginx_is_down()) and (arguments["build"] or not has_failed):
            raise AnsibleActionFail(obstacle)
        prepared, failures = self._prepare_all()
        if arguments["build"]:
            built = self._build_missing([one for one in prepared if one.app.name not in self._inventory.held])
            failures += built.pop("failures", [])
            result.update(built)
        result.setdefault("changed", False)
        result["ansible_facts"] = {
            "slipway_releases": [{"root": one.app.root, "release": one.release_id} for one in prepared]
        }
        if failures and arguments["build"] and not result.get("failed"):
            self.hold(result, failures, self._vars)
        return result

    def _inventory_of(self, task_vars: Mapping[str, Any]) -> Inventory:
        """The host is resolved already."""
        return self._inventory

    def _nginx_is_down(self) -> str:
        """Why clients cannot reach the apps although nginx is there; its check after the switch would blame a release for it."""
        nginx = self._inventory.facts.nginx
        served = sites.present(self._inventory.to_deploy)
        if self._task.check_mode or not served or not nginx.installed or nginx.running:
            return ""
        return (
            "nginx does not run on this host, so that no request would reach the apps. nginx -t says whether its "
            "configuration is good; start it, or run site.yml, which does so"
        )

    def _build_missing(self, prepared: Sequence[Prepared]) -> dict[str, Any]:
        """Have the host build what it lacks; in check mode, say what that is.

        Where an app moves, nginx judges the sites first, also when all is built already: after this the hooks run.
        """
        warnings: list[str] = []
        missing = []
        for one in prepared:
            warnings += [f"{one.app.name}: {warning}" for warning in self._warnings(one)]
            on_host = self._on_host(one)
            if on_host is None or not on_host.complete:
                if not self._task.check_mode and generated.UNMADE in one.job.environment:
                    raise AnsibleActionFail(f"{one.app.name} has secrets that are not made yet; run the whole playbook")
                missing.append(one)
        moving = any(self._inventory.facts.app(one.app.name).current != one.release_id for one in prepared)
        if (missing or moving) and not self._task.check_mode:
            built = self._build(missing)
            installed = built.pop("installed", ())
            warnings += _unlocked(one for one in missing if one.app.name in installed)
            return {**built, "warnings": [*warnings, *built.get("warnings", ())]}
        warnings += _unlocked(missing)
        names = [f"{one.app.name} {one.release_id}" for one in missing]
        return {"warnings": warnings, "changed": bool(missing), "built": names}

    def _warnings(self, one: Prepared) -> list[str]:
        """What the user should know of an app's source."""
        app, tree = one.app, one.tree
        shadowed = (served.shadowed(tree, f"shared/{media.folder}", app.folder) for media in app.media)
        lacking = tree.lacking(self._inventory.entry(app.name), app.folder)
        return [
            *tree.warnings,
            *lacking,
            *filter(None, shadowed),
            *processes.suggestions(app),
            *workers.memory_advice(app),
        ]

    def _prepare_all(self) -> tuple[list[Prepared], list[dict[str, Any]]]:
        """Every app of this run; and, as failures, those that cannot be described or have failed before."""
        prepared: list[Prepared] = []
        failures: list[dict[str, Any]] = []
        for app in self._inventory.to_deploy:
            try:
                one = self._prepare(app)
                why = self._inventory.facts.app(app.name).why_bad(one.release_id)
                if why and not self._redeploy:
                    raise SourceError(
                        f"{one.release_id} was marked bad on this host: {why}. Change the app or its settings, "
                        "or deploy this very release again with -e redeploy=true"
                    )
                prepared.append(one)
            except (ModelError, SourceError, AnsibleError) as exc:
                failures.append({"app": app.name, "release": "", "reason": str(exc)})
        return prepared, failures

    def _prepare(self, app: App) -> Prepared:
        """The release of `app` that the inventory describes. Raises ModelError, SourceError, AnsibleError."""
        if app.fault:
            raise ModelError(app.fault)
        entry = self._inventory.entry(app.name)
        tree = inventories.fetch(entry, self._vars, self._display.vv)
        secrets = releases.secrets(entry, self._inventory.vault(app.name))
        describing = Describing(self._inventory, self._templar, self._loader, self._vars)
        release_id, job = describing.describe(app, Source.of(tree), secrets, interfaces(app))
        return Prepared(app, release_id, tree, job)

    def _build(self, missing: Sequence[Prepared]) -> dict[str, Any]:
        """Have the sites judged and everything built in one module call, with the code that the host lacks."""
        sites = self._sites(self._vars)
        call = {"sites": {key: sites[key] for key in ("payload", "validate")}}
        built = self._build_once(missing, call, whole=False)
        lacking = built.pop("lacking", ())
        again = [one for one in missing if one.app.name in lacking]
        if again:
            second = self._build_once(again, {}, whole=True)
            for part in ("built", "failures", "warnings", "installed"):
                second[part] = [*built.get(part, ()), *second.get(part, ())]
            built = {**second, "changed": bool(second["built"])}
        return built

    def _build_once(self, missing: Sequence[Prepared], call: Mapping[str, Any], whole: bool) -> dict[str, Any]:
        """One call. `whole`: all of the code is sent, since the current release turned out to lack what it should have."""
        remote: list[str] = []
        try:
            complete = [replace(one.job, code=self._code(one, remote, whole)) for one in missing]
            built: dict[str, Any] = self._execute_module(
                module_name="slipway.kit.release",
                module_args={**call, "payload": jobs.written(complete)},
                task_vars=self._vars,
            )
        finally:
            for folder in remote:
                self._remove_tmp_path(folder)
        return built

    def _code(self, one: Prepared, remote: list[str], whole: bool) -> Code:
        """How the host gets the code: from a release that has the same, or sent, as far as the current one lacks it.

        `remote` is the folder on the host for what is too large to travel in the call, once there is one.
        """
        app, tree = one.app, one.tree
        same = same_code(self._inventory, one)
        if same and not whole:
            return Code(folder=same)
        on_host = self._inventory.facts.app(app.name)
        current = on_host.releases.get(on_host.current or "")
        like = f"{app.releases}/{on_host.current}/code" if on_host.current else ""
        cache = Cache(root(), None)
        before = listings.recall(cache, current.code or "-") if current else None
        sent: Files = tree
        keep: Sequence[str] = ()
        if before and not whole:
            sent, keep = listings.since(tree, before)
        listings.remember(cache, tree)
        code = Code(like=like, keep=tuple(keep))
        with tempfile.NamedTemporaryFile(prefix="slipway-", suffix=".tar") as archive:
            path = Path(archive.name)
            sent.write_tar(path)
            if path.stat().st_size <= SMALL:
                return replace(code, stream=base64.b64encode(path.read_bytes()).decode("ascii"))
            remote[:] = remote or [self._make_tmp_path()]
            target: str = self._connection._shell.join_path(remote[0], f"{app.name}.tar")
            self._transfer_file(archive.name, target)
            return replace(code, archive=target)

    def _on_host(self, one: Prepared) -> ReleaseFacts | None:
        """What the host has of this very release."""
        return self._inventory.facts.app(one.app.name).releases.get(one.release_id)


def _unlocked(several: Iterable[Prepared]) -> list[str]:
    """A line for each app whose dependencies have no hashes. It is news when they are installed, and not at each release."""
    return [
        f"{one.app.name}: {unlocked}"
        for one in several
        if "package" not in one.app.source and (unlocked := one.tree.lock.unlocked())
    ]


def same_code(inventory: Inventory, one: Prepared) -> str | None:
    """The code folder of a complete release on the host with the same code, made and placed alike."""
    manifest = one.job.manifest
    for release_id, release in inventory.facts.app(one.app.name).releases.items():
        # Older releases have neither.
        alike = (release.build or "", release.placed or ()) == (manifest.build, manifest.placed)
        if release.complete and release.code == one.tree.hash and alike:
            return f"{one.app.releases}/{release_id}/code"
    return None
