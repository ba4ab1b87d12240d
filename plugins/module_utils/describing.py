"""Describes the release that an inventory asks for: its files, environment, manifest and id, and the job that builds it.

The deploy and the offline render share it. What it is given differs alone: the render has no source and shows no secret.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.slipway.kit.plugins.module_utils import placed, programs, rendering
from ansible_collections.slipway.kit.plugins.module_utils.contract import manifest as manifests
from ansible_collections.slipway.kit.plugins.module_utils.contract import names, typed
from ansible_collections.slipway.kit.plugins.module_utils.contract.job import (
    Code,
    Index,
    Interpreter,
    Job,
    Lock,
    Make,
    Setup,
    Variant,
)
from ansible_collections.slipway.kit.plugins.module_utils.inventory import Inventory
from ansible_collections.slipway.kit.plugins.module_utils.model import artefacts, checks, releases, tools, workers
from ansible_collections.slipway.kit.plugins.module_utils.model.managers import PROCESS_MANAGERS
from ansible_collections.slipway.kit.plugins.module_utils.model.types import App, ModelError, Serving
from ansible_collections.slipway.kit.plugins.module_utils.sources import Dependencies, Tree

INTERFACES = ("wsgi", "asgi")
"""What an app may turn out to speak."""
NO_INTERFACE = ""
"""In the place of the interface of an app without a web server."""


def interfaces(app: App) -> Sequence[str]:
    """The interfaces that an app may turn out to speak."""
    if not app.module:
        return (NO_INTERFACE,)
    return (app.interface,) if app.interface else INTERFACES


@dataclass(frozen=True)
class Source:
    """What of an app's source decides about its release."""

    version: str
    hash: str
    lock: Dependencies

    @classmethod
    def of(cls, tree: Tree) -> Source:
        """That of a source that was fetched."""
        return cls(tree.version, tree.hash, tree.lock)

    @classmethod
    def unseen(cls, version: str) -> Source:
        """Return the source of an app that was not fetched."""
        return cls(version, "", Dependencies(kind="none", path=None, hash="", hashed=False, local=False))


@dataclass(frozen=True)
class Describing:
    """Describes the releases of one host."""

    inventory: Inventory
    templar: Any
    """The action's, as is `loader`."""
    loader: Any
    task_vars: Mapping[str, Any]

    def describe(
        self,
        app: App,
        source: Source,
        secrets: Mapping[str, Any],
        interfaces: Sequence[str],
        release_id: str | None = None,
    ) -> tuple[str, Job]:
        """The id of an app's release, and the job that builds it.

        The code is not in the job yet: what of it has to be sent, the host's facts tell.

        Args:
            app: the app.
            source: its source.
            secrets: its secrets, or what is shown in their place.
            interfaces: those that it may turn out to speak.
            release_id: what it is called, where its content is not known; a hash of that by default.

        Raises:
            ModelError: the inventory cannot be resolved on this host.
            AnsibleError: a template does not render.
        """
        environment = releases.environment(self.inventory.entry(app.name), secrets, app)
        contents = self._contents(app, secrets)
        made = self._make(app, secrets, environment)
        build = releases.build_digest(app, _decides(source, made)) if source.hash else ""
        settings = json.dumps(environment, indent=0, sort_keys=True) + "\n"
        manager = PROCESS_MANAGERS[app.manager]
        carried = programs.of_release(manager.pipes_log, manager.pauses and bool(app.processes), bool(app.timers))
        setup = next((hook for hook in app.hooks if hook.when == "setup"), None)

        def manifest(serving: Serving, release_id: str) -> manifests.Manifest:
            venv = releases.virtualenv(app, serving, source.lock.hash)
            it = releases.release(app, serving, release_id, venv)
            return releases.manifest(it, source.version, source.hash, source.lock.hash, secrets, build)

        served = {interface: workers.serving(app, interface) for interface in interfaces}
        drafts = {
            interface: Variant(
                manifest=manifest(serving, releases.RELEASE),
                packages=serving.packages,
                files=self._rendered(app, serving, source),
            )
            for interface, serving in served.items()
        }
        if release_id is None:
            # An app that the host already has gets a separate release for its setup.
            rest = [part for part in (placed.hashes(contents), bool(setup)) if part]
            parts: list[Any] = [source.hash, {name: typed.plain(one) for name, one in drafts.items()}, settings]
            parts += [programs.of_process(carried), *rest]
            release_id = releases.release_id(source.version, parts)
        named = _Named(app, release_id)
        job = Job(
            variants={
                interface: Variant(
                    manifest=manifest(served[interface], release_id),
                    packages=draft.packages,
                    files={named.text(name): named.text(text) for name, text in draft.files.items()},
                )
                for interface, draft in drafts.items()
            },
            code=Code(),
            environment=named.text(settings),
            files=named.files(contents),
            programs=carried,
            python=app.python,
            interpreter=self._interpreter(app),
            uv=tools.UV_BIN,
            lock=_lock(app, source.lock),
            index=self._index(),
            make=named.make(made) if made else None,
            setup=Setup(setup.commands, setup.timeout) if setup else None,
            deadline=app.timeouts.build,
            directives=checks.unit_names(app.unit_extra) if manager.has_directives else (),
        )
        return release_id, job

    def _rendered(self, app: App, serving: Serving, source: Source) -> dict[str, str]:
        """The release's rendered files; in the place of its id stands `releases.RELEASE`."""
        venv = releases.virtualenv(app, serving, source.lock.hash)
        it = releases.release(app, serving, releases.RELEASE, venv)
        return {
            name: rendering.render(self.templar, self.task_vars, self.loader, src, name, variables)
            for name, (src, variables) in artefacts.release(it).items()
        }

    def _contents(self, app: App, secrets: Mapping[str, Any]) -> dict[str, bytes]:
        """The contents of the app's `files`. Raises ModelError."""
        try:
            return placed.contents(self.templar, self.task_vars, self.loader, app, secrets)
        except placed.PlacedError as exc:
            raise ModelError(f"apps.{app.name}.files.{exc.placed.key} {exc}") from exc

    def _make(self, app: App, secrets: Mapping[str, Any], environment: Mapping[str, str]) -> _Made | None:
        """What `build` gets to see; None without `build`."""
        if not app.build:
            return None
        unset = sorted(set(secrets) - set(app.build_secrets))
        return _Made(
            environment=releases.build_environment(environment, unset),
            files=self._contents(app, releases.build_environment(secrets, unset)),
            unset=tuple(unset),
        )

    def _interpreter(self, app: App) -> Interpreter | None:
        """How the host gets the app's interpreter; None for one of the host's own."""
        if not app.python_folder:
            return None
        version, indexes = app.python_version, self.inventory.indexes
        return Interpreter(
            folder=app.python_folder,
            path=app.python,
            version=version,
            mirror=indexes.python_mirror,
            url=indexes.python_archives.get(version, ""),
            sha256=self.inventory.settings.python_archives.get(version, ""),
        )

    def _index(self) -> Index:
        indexes = self.inventory.indexes
        return Index(
            url=indexes.url,
            extra=tuple(indexes.extra),
            ca=names.CA_FILE,
            strategy=indexes.strategy,
            secrets=tuple(indexes.secrets),
        )


@dataclass(frozen=True)
class _Made:
    """What `build` gets to see: environment and files, with stand-ins for secrets."""

    environment: Mapping[str, str]
    files: Mapping[str, bytes]
    unset: tuple[str, ...]


@dataclass(frozen=True)
class _Named:
    """Puts the release's id into what was rendered before it was known."""

    app: App
    release_id: str

    def text(self, text: str) -> str:
        """A text."""
        return text.replace(releases.RELEASE, self.release_id)

    def files(self, contents: Mapping[str, bytes]) -> dict[str, str]:
        """The app's `files` as they travel; of those that are copied none is about a release."""
        mark, release_id = releases.RELEASE.encode(), self.release_id.encode()
        rendered = {one.place for one in self.app.files if placed.is_template(one)}
        return {
            place: base64.b64encode(data.replace(mark, release_id) if place in rendered else data).decode("ascii")
            for place, data in contents.items()
        }

    def make(self, made: _Made) -> Make:
        """The commands of `build`, with what they see."""
        return Make(
            commands=self.app.build,
            environment={name: self.text(value) for name, value in made.environment.items()},
            files=self.files(made.files),
            unset=made.unset,
        )


def _decides(source: Source, made: _Made | None) -> list[Any]:
    """What decides about the result of `build` besides its commands."""
    seen = {"files": placed.hashes(made.files), "environment": made.environment, "unset": made.unset} if made else {}
    return [source.hash, source.lock.hash, seen]


def _lock(app: App, lock: Dependencies) -> Lock:
    """The dependencies as the host needs them."""
    package = app.source.get("package")
    return Lock(
        kind=lock.kind,
        file=lock.path or "",
        shown=package or lock.path or "its requirements",
        place=lock.place(package is not None),
        hash=lock.hash,
        folder=lock.folder,
        member=lock.member,
        text=lock.text,
        complete=lock.complete,
        constraints=tuple(lock.constraints),
        scm=dict(lock.scm),
        hashed=lock.hashed,
        local=lock.local,
        lines=tuple(lock.lines),
    )
