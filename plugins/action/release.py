"""Resolve every app of the host, fetch and render it on the controller, and have the host build what it lacks."""

from __future__ import annotations

import base64
import json
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.kit.plugins.action import files, partly, resident
from ansible_collections.slipway.kit.plugins.module_utils import generated, inventory, placed, programs, rendering
from ansible_collections.slipway.kit.plugins.module_utils.inventory import Inventory
from ansible_collections.slipway.kit.plugins.module_utils.model import artefacts, resolve
from ansible_collections.slipway.kit.plugins.module_utils.model.resolve import App
from ansible_collections.slipway.kit.plugins.module_utils.sources import Files, SourceError, Tree, listings, served
from ansible_collections.slipway.kit.plugins.module_utils.sources.cache import Cache

SMALL = 2 * 1024 * 1024
"""Bytes of an archive that still travels in the module call itself; a file of its own costs three more calls."""

Prepared = tuple[App, Tree, dict[str, Any]]
"""An app with its release, its code, and what the host needs to build it, but for the code."""

resident.spec("release")  # before Ansible forks: see there


class ActionModule(partly.ActionModule, files.ActionModule):
    """One module call at the most, and none when the host has every release."""

    _requires_connection = True
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Build what is missing; sets the fact `slipway_releases`.

        Without `build`, releases that cannot be named stay unnamed: it is the build that refuses them, and says why.
        """
        result: dict[str, Any] = ActionBase.run(self, tmp, task_vars)
        _valid, arguments = self.validate_argument_spec(
            argument_spec={"build": {"type": "bool", "default": True}, "sites": {"type": "dict"}}
        )
        names = task_vars or {}
        try:
            found = inventory.load(self._templar, names)
        except resolve.ModelError as exc:
            raise AnsibleActionFail(str(exc)) from exc
        if obstacle := resolve.obstacle(found.to_deploy, found.settings, found.host):
            raise AnsibleActionFail(obstacle)
        prepared, failures = self._prepare_all(found, names)
        built: dict[str, Any] = (
            self._build_missing(found, prepared, arguments["sites"], names) if arguments["build"] else {}
        )
        failures += built.pop("failures", [])
        result.update(built)
        result.setdefault("changed", False)
        result["ansible_facts"] = {
            "slipway_releases": [{"root": app.root, "release": app.release.id} for app, _tree, _job in prepared]
        }
        if failures and arguments["build"] and not result.get("failed"):
            self.hold(result, failures, names)
        return result

    def _build_missing(
        self, found: Inventory, prepared: list[Prepared], sites: Mapping[str, Any] | None, names: dict[str, Any]
    ) -> dict[str, Any]:
        """Have the host build what it lacks; in check mode, say what that is.

        Where an app moves, nginx judges the sites first, also when all is built already: after this the hooks run.
        """
        result: dict[str, Any] = {"warnings": []}
        jobs = []
        for app, tree, job in prepared:
            shadowed = (served.shadowed(tree, f"shared/{one.folder}", app.release.folder) for one in app.media)
            told = (*tree.warnings, *tree.lacking(found.entry(app.name), app.release.folder), *filter(None, shadowed))
            result["warnings"] += [f"{app.name}: {warning}" for warning in told]
            if not _there(found, app).get("complete"):
                if not self._task.check_mode and generated.UNMADE in job["environment"]:
                    raise AnsibleActionFail(f"{app.name} has secrets that are not made yet; run the whole playbook")
                jobs.append((app, tree, job))
                if "package" not in app.source and (unlocked := tree.lock.unlocked()):
                    result["warnings"].append(f"{app.name}: {unlocked}")
        moving = any(
            (found.facts or {}).get("apps", {}).get(app.name, {}).get("current") != app.release.id
            for app, _, _ in prepared
        )
        if (jobs or moving) and not self._task.check_mode:
            done = self._build(found, jobs, sites, names)
            result.update(done, warnings=[*result["warnings"], *done.get("warnings", ())])
        else:
            result.update(changed=bool(jobs), built=[f"{app.name} {app.release.id}" for app, _tree, _job in jobs])
        return result

    def _prepare_all(self, found: Inventory, names: Mapping[str, Any]) -> tuple[list[Prepared], list[dict[str, Any]]]:
        """Every app of this run; and, as failures, those that cannot be described or have failed before."""
        prepared: list[Prepared] = []
        failures: list[dict[str, Any]] = []
        for app in found.to_deploy:
            try:
                one = self._prepare(found, app, names)
                bad = _there(found, one[0]).get("bad")
                if bad and not boolean(names.get("redeploy", False)):
                    raise SourceError(
                        f"{one[0].release.id} was marked bad on this host: {bad}. Change the app or its settings, "
                        "or deploy this very release again with -e redeploy=true"
                    )
                prepared.append(one)
            except (resolve.ModelError, SourceError, AnsibleError) as exc:
                failures.append({"app": app.name, "release": "", "reason": str(exc)})
        return prepared, failures

    def _prepare(self, found: Inventory, app: App, names: Mapping[str, Any]) -> Prepared:
        """`app` with the release that the inventory describes. Raises ModelError, SourceError, AnsibleError."""
        if app.fault:
            raise resolve.ModelError(app.fault)
        entry = found.entry(app.name)
        tree = inventory.fetch(entry, names, self._display.vv)
        secrets = resolve.secrets(entry, found.vault(app.name))
        environment = resolve.environment(entry, found.vault(app.name), app)
        contents = self._files(names, app, secrets)
        make = self._make(names, app, secrets, environment)
        build = resolve.build_digest(
            app, [tree.hash, tree.lock.hash, {**make, "files": placed.hashes(make.get("files", {}))}]
        )
        variants, venvs = {}, {}
        for interface in [app.interface] if app.interface else ["wsgi", "asgi"]:
            variant = resolve.for_interface(app, interface, entry, found.host, found.share)
            variant = resolve.with_venv(variant, tree.lock.hash)
            venvs[interface] = {"path": variant.release.venv, "packages": list(variant.packages)}
            variants[interface] = {
                name: rendering.render(self._templar, names, self._loader, src, name, extra)
                for name, (src, extra) in artefacts.release(variant).items()
            }
            variants[interface]["manifest.json"] = (
                json.dumps(
                    resolve.manifest(variant, tree.version, tree.hash, tree.lock.hash, secrets, build),
                    indent=2,
                    default=list,
                )
                + "\n"
            )
        settings = json.dumps(environment, indent=0, sort_keys=True) + "\n"
        carried = programs.of_release(artefacts.has_log_reader(app))
        setup = next((hook for hook in app.hooks if hook.when == "setup"), None)
        # An app that is there already gets a release of its own in which it is set up.
        rest = [part for part in (placed.hashes(contents), bool(setup)) if part]
        identity = resolve.release_id(
            tree.version, [tree.hash, venvs, variants, settings, programs.of_process(carried), *rest]
        )
        app = resolve.with_release(app, identity)

        def named(text: str) -> str:
            return text.replace(resolve.RELEASE, identity)

        def sent(files: Mapping[str, bytes]) -> dict[str, str]:
            """Files as they travel; of those that are copied none is about a release."""
            mark, own = resolve.RELEASE.encode(), identity.encode()
            rendered = {one.place for one in app.files if placed.is_template(one)}
            return {
                place: base64.b64encode(data.replace(mark, own) if place in rendered else data).decode("ascii")
                for place, data in files.items()
            }

        job = {
            "name": app.name,
            "root": app.root,
            "id": identity,
            "path": app.release.path,
            "folder": app.release.folder,
            "user": app.user,
            "group": app.group,
            "builder": app.builder,
            "manager": app.manager,
            "unit_file": app.release.unit_file,
            "module": app.module,
            "boot": app.timeouts.boot,
            "overlap": app.overlap,
            "build": app.timeouts.build,
            "log": app.release.log,
            "links": {
                "run": app.release.run,
                "log": app.release.log,
            },
            "nginx_group": app.nginx_group,
            "static": {one.prefix: one.folder for one in app.static},
            "home": app.home,
            "shared": app.shared,
            "media": [one.folder for one in app.media],
            "variants": {
                interface: {named(name): named(text) for name, text in files.items()}
                for interface, files in variants.items()
            },
            "environment": named(settings),
            "files": sent(contents),
            "make": {
                "digest": build,
                "commands": app.build,
                "environment": named(json.dumps(make["environment"])),
                "files": sent(make["files"]),
                "unset": make["unset"],
            }
            if make
            else None,
            "setup": {"commands": setup.commands if setup else (), "timeout": setup.timeout if setup else 0},
            "secrets": sorted(secrets),
            "programs": carried,
            "interpreter": _interpreter(app, found),
            "venv": {
                "python": app.python,
                "lock": tree.lock.hash,
                "kind": tree.lock.kind,
                "file": tree.lock.path,
                "shown": app.source.get("package") or tree.lock.path or "its requirements",
                "folder": tree.lock.folder,
                "member": tree.lock.member,
                "text": tree.lock.text,
                "complete": tree.lock.complete,
                "constraints": list(tree.lock.constraints),
                "scm": dict(tree.lock.scm),
                "hashed": tree.lock.hashed,
                "local": tree.lock.local,
                "lines": list(tree.lock.lines),
            },
            "venvs": venvs,
            "dependencies": tree.lock.place("package" in app.source),
            "uv": resolve.UV_BIN,
            "index": {
                "url": found.indexes.url,
                "extra": found.indexes.extra,
                "ca": resolve.CA_FILE,
                "strategy": found.indexes.strategy,
                "secrets": list(found.indexes.secrets),
            },
        }
        return app, tree, job

    def _files(self, names: Mapping[str, Any], app: App, secrets: Mapping[str, Any]) -> dict[str, bytes]:
        """The contents of the app's `files`. Raises ModelError."""
        try:
            return placed.contents(self._templar, names, self._loader, app, secrets)
        except placed.PlacedError as exc:
            raise resolve.ModelError(f"apps.{app.name}.files.{exc.placed.key} {exc}") from exc

    def _make(
        self, names: Mapping[str, Any], app: App, secrets: Mapping[str, Any], environment: Mapping[str, str]
    ) -> dict[str, Any]:
        """What `build` gets to see: environment and files, with stand-ins for secrets; empty without `build`."""
        if not app.build:
            return {}
        unset = sorted(set(secrets) - set(app.build_secrets))
        shown = resolve.build_environment(secrets, unset)
        return {
            "environment": resolve.build_environment(environment, unset),
            "files": self._files(names, app, shown),
            "unset": unset,
        }

    def _build(
        self, found: Inventory, jobs: list[Prepared], sites: Mapping[str, Any] | None, names: dict[str, Any]
    ) -> dict[str, Any]:
        """Have the sites judged and everything built in one module call, with the code that the host lacks."""
        call: dict[str, Any] = {}
        if sites:
            wanted = {"owner": "root", "group": "root", "mode": None, **sites}
            call["sites"] = {"payload": self._payload(wanted, names), "validate": sites["validate"]}
        done = self._build_once(found, jobs, call, names, whole=False)
        lacking = [job for job in jobs if job[0].name in done.pop("lacking", ())]
        if lacking:
            again = self._build_once(found, lacking, {}, names, whole=True)
            for part in ("built", "failures", "warnings"):
                again[part] = [*done.get(part, ()), *again.get(part, ())]
            done = {**again, "changed": bool(again["built"])}
        return done

    def _build_once(
        self,
        found: Inventory,
        jobs: Sequence[Prepared],
        call: Mapping[str, Any],
        names: Mapping[str, Any],
        whole: bool,
    ) -> dict[str, Any]:
        """One call. `whole`: all of the code is sent, since the current release turned out to lack what it should have."""
        remote: list[str] = []
        try:
            for app, tree, job in jobs:
                build = job["make"]["digest"] if job["make"] else ""
                job["code"] = self._code(found, app, tree, build, remote, whole)
            raw = json.dumps([job for _app, _tree, job in jobs], default=list).encode()
            payload = base64.b64encode(zlib.compress(raw, 6)).decode("ascii")
            done: dict[str, Any] = self._execute_module(
                module_name="slipway.kit.release", module_args={**call, "payload": payload}, task_vars=names
            )
        finally:
            for folder in remote:
                self._remove_tmp_path(folder)
        return done

    def _code(
        self, found: Inventory, app: App, tree: Tree, build: str, remote: list[str], whole: bool
    ) -> dict[str, Any]:
        """How the host gets the code: from a release that has the same, or sent, as far as the current one lacks it.

        `build` is the digest of what `build` makes. `remote` is the folder on the host for what is too large to travel in the call, once there is one.
        """
        same = _same_code(found, app, tree, build)
        if same and not whole:
            return {"from": same}
        there = (found.facts or {}).get("apps", {}).get(app.name, {})
        current = there.get("current")
        code: dict[str, Any] = {"like": f"{app.releases}/{current}/code" if current else None, "keep": []}
        cache = Cache(inventory.cache(), None)
        before = listings.recall(cache, there["releases"].get(current, {}).get("code") or "-") if current else None
        sent: Files = tree
        if before and not whole:
            sent, code["keep"] = listings.since(tree, before)
        listings.remember(cache, tree)
        with tempfile.NamedTemporaryFile(prefix="slipway-", suffix=".tar") as archive:
            path = Path(archive.name)
            sent.write_tar(path)
            if path.stat().st_size <= SMALL:
                code["stream"] = base64.b64encode(path.read_bytes()).decode("ascii")
            else:
                remote[:] = remote or [self._make_tmp_path()]
                code["archive"] = self._connection._shell.join_path(remote[0], f"{app.name}.tar")
                self._transfer_file(archive.name, code["archive"])
        return code


def _interpreter(app: App, found: Inventory) -> dict[str, str]:
    """How the host gets the app's interpreter, as `host/build/interpreters.py` takes it; empty for one of the host's own."""
    if not app.python_folder:
        return {}
    version = app.python_version
    return {
        "folder": app.python_folder,
        "path": app.python,
        "version": version,
        "mirror": found.indexes.python_mirror,
        "url": found.indexes.python_archives.get(version, ""),
        "sha256": found.settings.python_archives.get(version, ""),
    }


def _there(found: Inventory, app: App) -> Mapping[str, Any]:
    """What the host has of this very release; empty when it has nothing."""
    there: Mapping[str, Any] = (found.facts or {}).get("apps", {}).get(app.name, {}).get("releases", {})
    return there.get(app.release.id, {})


def _same_code(found: Inventory, app: App, tree: Tree, build: str) -> str | None:
    """The code folder of a complete release on the host with the same code, made and placed alike."""
    places = [one.place for one in app.files]
    there = (found.facts or {}).get("apps", {}).get(app.name, {}).get("releases", {})
    for identity, release in there.items():
        alike = (release.get("build") or "", release.get("placed") or []) == (build, places)  # older ones have neither
        if release.get("complete") and release.get("code") == tree.hash and alike:
            return f"{app.releases}/{identity}/code"
    return None
