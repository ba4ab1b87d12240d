"""A release of an app: its id, its paths, its programs, its environment, and what it says about itself on the host."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from ..contract import names
from ..contract.manifest import WEB, Manifest, Program, SupervisorPlace, Timeouts, Visit
from . import layout, processes, timers
from .managers import PROCESS_MANAGERS
from .types import App, ModelError, Process, Release, Serving
from .workers import serving

RELEASE = "@release-id@"
"""Stands for the release's id in rendered files until the id, which is a hash of them, is known."""
VENV = "@venv@"
"""Stands for the virtualenv while the dependencies are not known."""
UNSET = "unset-while-building"
"""What `build` finds in the place of a secret that is not for it."""


def release(app: App, served: Serving, release_id: str, venv: str) -> Release:
    """A release of `app`.

    Raises:
        ModelError: its socket's path would be too long.
    """
    paths = layout.of_release(app.name, release_id, app.folder, venv)
    if len(paths.socket.encode()) > names.SOCKET_LIMIT:
        raise ModelError(
            f"the socket {paths.socket} is longer than {names.SOCKET_LIMIT} bytes; shorten the app's name or `version`"
        )
    web = PROCESS_MANAGERS[app.manager].program(
        WEB,
        unit=names.unit(app.name, release_id),
        log=layout.log(app.name, release_id),
        run=paths.run,
        stop=app.timeouts.stop,
    )
    further = tuple(_program(app, release_id, process, number) for process, number in processes.numbered(app))
    return Release(app, served, release_id, paths, (*((web,) if app.module else ()), *further))


def _program(app: App, release_id: str, process: Process, number: int) -> Program:
    """One of the user's processes, as the process manager runs it."""
    name = processes.title(process, number)
    return replace(
        PROCESS_MANAGERS[app.manager].program(
            name,
            unit=f"{names.unit(app.name, release_id)}.{name}",
            log=layout.log(app.name, f"{release_id}.{name}"),
            run=processes.run(app, release_id, name),
            stop=process.stop_timeout,
        ),
        overlap=process.overlap,
        soak=process.soak,
    )


def view(it: Release, program: Program) -> dict[str, Any]:
    """A program of a release as templates see it: in the variable `app`, the release is `app.release`.

    One of the user's processes is `app.process`.
    """
    shown = {key: value for key, value in asdict(program).items() if key in ("unit", "unit_file", "log", "log_pipe")}
    release_view = {"id": it.release_id, **asdict(it.paths), **shown}
    return {**asdict(it.app), **asdict(it.serving), "process": _process(it, program), "release": release_view}


def _process(it: Release, program: Program) -> dict[str, Any] | None:
    """What templates see of one of the user's processes; None for the web server."""
    for process, number in processes.numbered(it.app):
        if processes.title(process, number) == program.name:
            return {
                **asdict(process),
                "title": program.name,
                "folder": processes.run(it.app, it.release_id, program.name).removeprefix("/run/"),
                "words": processes.words(process, number, it.release_id),
            }
    return None


def unknown(app: App) -> Release:
    """A release of `app` of which nothing is known but the app: what the inventory's own files see."""
    return release(app, serving(app, app.interface), RELEASE, VENV)


def virtualenv(app: App, served: Serving, lock: str) -> str:
    """The virtualenv that belongs to the app's interpreter, its dependencies' hash and the kit's additions.

    With another library on the host a package may be built with more in it.
    """
    parts = [app.python, app.python_version, lock, served.packages, app.requirements]
    key = digest([*parts, *filter(None, [app.system_packages.build])], 16)
    return f"{app.venvs}/{key}"


def release_id(version: str, parts: Any) -> str:
    """`<version>-<8 hex>`: the hash covers `parts`, everything a process is made of."""
    return f"{version}-{digest(parts, 8)}"


def digest(parts: Any, length: int) -> str:
    """The first `length` hexadecimal digits of the SHA-256 of `parts` as canonical JSON."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def secrets(entry: Mapping[str, Any], vault: Mapping[str, Any]) -> dict[str, Any]:
    """The app's secrets, from both places where they may be written."""
    return {**entry.get("secrets", {}), **vault.get("secrets", {})}


def environment(entry: Mapping[str, Any], secrets: Mapping[str, Any], app: App) -> dict[str, str]:
    """Everything the app's processes find in their environment besides the launcher's base, secrets included."""
    configured = {**entry.get("environment", {}), **secrets}
    kit = {
        "HOME": app.home,
        "SLIPWAY_APP": app.name,
        "SLIPWAY_RELEASE": RELEASE,
        "SLIPWAY_SHARED": app.shared,
    }
    if app.mount != "/":
        # gunicorn hands it to WSGI callables; ASGI ones get root_path from its configuration
        kit["SCRIPT_NAME"] = app.mount
    return {name: str(value) for name, value in {**kit, **configured}.items()}


def build_environment(environment: Mapping[str, str], hidden: Iterable[str]) -> dict[str, str]:
    """An app's environment as its `build` finds it; `hidden` are the names of the secrets that are not for it."""
    return {**environment, **dict.fromkeys(hidden, UNSET)}


def build_digest(app: App, parts: Any) -> str:
    """What tells one result of `build` from another: its commands and all that they may read; empty without commands.

    `parts` are what the controller alone knows: code, dependencies, contents of `files`, environment.
    """
    return digest([app.build, app.python, app.python_version, app.requirements, parts], 16) if app.build else ""


def manifest(it: Release, version: str, code: str, lock: str, secrets: Iterable[str] = (), build: str = "") -> Manifest:
    """What a release says about itself on the host.

    Args:
        it: the release.
        version: its name in the source.
        code: the hash of its code.
        lock: the hash of its dependencies.
        secrets: the names of its secrets.
        build: its `build_digest`.
    """
    app, times = it.app, it.app.timeouts
    return Manifest(
        app=app.name,
        release_id=it.release_id,
        version=version,
        module=app.module,
        interface=it.serving.interface or "",
        mount=app.mount,
        manager=app.manager,
        programs=it.programs,
        user=app.user,
        group=app.group,
        builder=app.builder,
        nginx_group=app.nginx_group,
        root=app.root,
        path=it.paths.path,
        folder=it.paths.folder,
        venv=it.paths.venv,
        run=it.paths.run,
        socket=it.paths.socket,
        workers=it.serving.workers,
        worker_class=it.serving.worker_class,
        threads=it.serving.threads,
        timeouts=Timeouts(
            request=times.request, graceful=times.graceful, drain=times.drain, linger=times.linger, boot=times.boot
        ),
        health=app.health,
        visit=Visit(port=app.listeners[0].port, host=app.health.host, path=app.health.path),
        static={one.prefix: one.folder for one in app.static},
        media={one.prefix: one.folder for one in app.media},
        system_packages=app.system_packages,
        keep_releases=app.keep_releases,
        overlap=app.overlap,
        secrets=tuple(sorted(secrets)),
        python=app.python_version,
        code=code,
        build=build,
        placed=tuple(one.place for one in app.files),
        lock=lock,
        supervisor=SupervisorPlace(),
        timers=timers.described(app, it.paths, it.release_id),
    )
