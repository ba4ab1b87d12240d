"""The manifest: what a release says about itself, so that it can be started without a controller."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SCHEMA = 1
#: `<version>-<8 hex digits>`; never with a slash, never hidden.
RELEASE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*-[0-9a-f]{8}")
APP = re.compile(r"[a-z][a-z0-9-]{0,30}")


class HostError(Exception):
    """Something on the host is not as it must be; the text says what, where, and what to do."""


@dataclass(frozen=True)
class Timeouts:
    """Seconds. The model fixes their order; here they are only obeyed."""

    request: float
    graceful: float
    stop: float
    drain: float
    linger: float
    boot: float


@dataclass(frozen=True)
class Health:
    """What counts as a healthy answer, and how often and for how long it must come."""

    path: str
    status: tuple[tuple[int, int], ...]
    body: str | None
    host: str
    scheme: str
    successes: int
    interval: float
    soak: float
    follow: bool = False
    """Whether redirects within the app are followed, and the last answer is judged."""


@dataclass(frozen=True)
class Visit:
    """Where nginx on this host serves the app to visitors."""

    port: int
    host: str
    path: str


@dataclass(frozen=True)
class SupervisorPlace:
    """Where supervisord listens and where it finds its programs."""

    socket: str = "/run/slipway/supervisor.sock"
    programs: str = "/etc/slipway/supervisor.d"


@dataclass(frozen=True)
class Manifest:
    """A release's `manifest.json`, as far as the host side needs it."""

    app: str
    release: str
    manager: str
    unit: str
    unit_file: str
    root: str
    path: str
    run: str
    socket: str
    log: str
    mount: str
    worker_class: str
    timeouts: Timeouts
    health: Health
    visit: Visit
    static: Mapping[str, str]
    keep_releases: int
    supervisor: SupervisorPlace
    log_pipe: str = ""
    """Where the instance's words wait until they are in its log; empty where they go another way."""
    overlap: bool = True
    """Whether two instances of the app may run at once."""
    user: str = ""
    """As whom it runs."""
    secrets: tuple[str, ...] = ()
    """The names of the variables that hold secrets."""


def app_name(root: str) -> str:
    """The app whose root this is.

    Raises:
        HostError: the path cannot be an app's root, so nothing under it may be touched.
    """
    name = os.path.basename(root)
    if os.path.normpath(root) != root or root.count("/") < 2 or not root.startswith("/") or not APP.fullmatch(name):
        raise HostError(f"{root!r} is no app's root: expected an absolute path such as /srv/shop")
    return name


def release_path(root: str, release: str) -> str:
    """The folder of a release.

    Raises:
        HostError: the id is not one, and might lead elsewhere.
    """
    if not RELEASE.fullmatch(release):
        raise HostError(f"{release!r} is no release id: expected <version>-<8 hex digits>, such as v1.4.2-1a2b3c4d")
    return os.path.join(root, "releases", release)


def read_manifest(root: str, release: str) -> Manifest:
    """Read the manifest of one release.

    Raises:
        FileNotFoundError: there is no such release on this host.
        HostError: the manifest cannot be read, is of another schema, or belongs to another release.
    """
    app_name(root)
    path = os.path.join(release_path(root, release), "manifest.json")
    try:
        with open(path, encoding="utf-8") as handle:
            manifest = _parse(json.load(handle))
    except FileNotFoundError:
        raise
    except KeyError as error:
        raise HostError(f"{path}: the key {error} is missing; deploy the release again") from error
    except (OSError, ValueError, TypeError) as error:
        raise HostError(f"{path}: cannot be used ({error}); deploy the release again") from error
    if (manifest.root, manifest.release) != (root, release):
        raise HostError(f"{path}: describes {manifest.root} {manifest.release}; a release cannot be moved or copied")
    return manifest


def _parse(data: dict[str, Any]) -> Manifest:
    if data["schema"] != SCHEMA:
        raise ValueError(f"schema {data['schema']}, this Slipway reads {SCHEMA}")
    times, health, visit = data["timeouts"], data["health"], data["visit"]
    return Manifest(
        **{
            key: str(data[key])
            for key in (
                "app",
                "release",
                "manager",
                "unit",
                "unit_file",
                "root",
                "path",
                "run",
                "socket",
                "log",
                "mount",
                "worker_class",
            )
        },
        timeouts=Timeouts(
            **{key: float(times[key]) for key in ("request", "graceful", "stop", "drain", "boot")},
            # Releases of before `linger` was a key of its own have it in `stream`.
            linger=float(times.get("linger", times["stream"])),
        ),
        health=Health(
            path=str(health["path"]),
            status=tuple((int(low), int(high)) for low, high in health["status"]),
            body=health["body"],
            host=str(health["host"]),
            scheme=str(health["scheme"]),
            successes=int(health["successes"]),
            interval=float(health["interval"]),
            soak=float(health["soak"]),
            follow=bool(health.get("follow", False)),
        ),
        visit=Visit(port=int(visit["port"]), host=str(visit["host"]), path=str(visit["path"])),
        static={str(prefix): str(folder) for prefix, folder in data["static"].items()},
        keep_releases=int(data["keep_releases"]),
        supervisor=SupervisorPlace(**{key: str(data["supervisor"][key]) for key in ("socket", "programs")}),
        log_pipe=str(data.get("log_pipe", "")),
        overlap=bool(data.get("overlap", True)),
        user=str(data.get("user", "")),
        secrets=tuple(map(str, data.get("secrets", ()))),
    )
