"""The manifest: what a release says about itself, so that it can be started without a controller.

The model describes it (`written`), the host reads it (`read_manifest`). A rollback may lead to a release of any earlier
kit, so manifests of schema 1 are read, too. What they lack gets the value that held for the releases of their time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import names, typed
from .errors import HostError

SCHEMA = 2
"""The schema that is written."""
READ = (1, SCHEMA)
"""The schemas that are read."""
WEB = "web"
"""The name of the program that nginx asks."""


@dataclass(frozen=True)
class Program:
    """One of a release's programs, as the process manager runs it."""

    name: str
    """`web` is the one that nginx asks. Every other one is a process of the user's with its number, such as `worker.1`."""
    unit: str
    unit_file: str
    log: str
    log_pipe: str
    """Where its output waits until it is in the log; empty where the process manager writes the log itself."""
    stop: float
    """Seconds after which the process manager kills what has not stopped."""
    overlap: bool = field(default=True, metadata=typed.LATER)
    """Whether it may run beside that of another release. If not, it starts after the switch, when the other one has ended."""
    soak: float = field(default=0.0, metadata=typed.LATER)
    """Seconds that one of the user's processes must stay up, without a restart, to count as good."""


@dataclass(frozen=True)
class Moments:
    """When a timer is due: the numbers that each part of the time may have."""

    minute: tuple[int, ...]
    hour: tuple[int, ...]
    day: tuple[int, ...]
    month: tuple[int, ...]
    weekday: tuple[int, ...]
    """Sunday is 0."""
    either: bool
    """Whether the day or the weekday is enough, as with cron where both are named."""

    def on(self, month: int, day: int, weekday: int) -> bool:
        """Whether there are moments on a day."""
        if month not in self.month:
            return False
        if self.either:
            return day in self.day or weekday in self.weekday
        return day in self.day and weekday in self.weekday


@dataclass(frozen=True)
class Timer:
    """A command that the current release runs at set times."""

    name: str
    unit: str
    """Without suffix. It has the same name for every release, so that a timer keeps its schedule over a deploy."""
    log: str
    schedule: str
    """As the user wrote it."""
    moments: Moments | None
    """None where only systemd reads the schedule."""
    timeout: int
    """Seconds."""
    command: tuple[str, ...]
    """By which root runs it as the app, where the process manager has no timers."""


@dataclass(frozen=True)
class Timeouts:
    """Seconds. The model fixes their order; the host only obeys them."""

    request: float
    graceful: float
    drain: float
    linger: float
    boot: float


@dataclass(frozen=True)
class Health:
    """What counts as a healthy answer, and how often and for how long it must come."""

    path: str
    """With the mount in front."""
    status: tuple[tuple[int, int], ...]
    body: str | None
    host: str
    scheme: str
    successes: int
    interval: float
    soak: float
    follow: bool = False
    """Whether redirects within the app are followed, and the last answer is judged: the user says nothing of either."""


@dataclass(frozen=True)
class Visit:
    """Where nginx on this host serves the app, unless its files there say otherwise: an older release may not know https."""

    port: int
    host: str
    path: str


@dataclass(frozen=True)
class SupervisorPlace:
    """Where supervisord listens and where it finds its programs."""

    socket: str = names.SUPERVISOR_SOCKET
    programs: str = names.SUPERVISOR_PROGRAMS


@dataclass(frozen=True)
class SystemPackages:
    """Packages of the distribution that an app needs."""

    build: tuple[str, ...] = ()
    run: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """A release's `manifest.json`: enough to start, prove, activate, retire and return to it."""

    app: str
    release_id: str = field(metadata=typed.written_as("release"))
    version: str
    module: str
    interface: str
    mount: str
    manager: str
    """The process manager, by its name in the model's registry and in the host's."""
    programs: tuple[Program, ...]
    user: str
    """The user that the app runs as."""
    group: str
    builder: str
    """The user that builds its virtualenvs."""
    nginx_group: str
    root: str
    path: str
    folder: str
    """The app's own folder in the code; empty for the whole of it."""
    venv: str
    run: str
    socket: str
    workers: int
    worker_class: str
    threads: int
    timeouts: Timeouts
    health: Health
    visit: Visit
    static: Mapping[str, str]
    """URL prefixes to folders of the code that nginx serves."""
    media: Mapping[str, str]
    """URL prefixes to folders of the app's shared folder that nginx serves."""
    system_packages: SystemPackages
    keep_releases: int
    overlap: bool
    """Whether two instances of the app may run at once."""
    secrets: tuple[str, ...]
    """The names of the variables that hold secrets, so that messages can be kept free of the values."""
    python: str
    """The version of its interpreter."""
    code: str
    """The hash of its code as the source has it."""
    build: str
    """What tells one result of `build` from another; empty without such commands."""
    placed: tuple[str, ...]
    """The places of the inventory's files in the code."""
    lock: str
    """The hash of its dependencies."""
    supervisor: SupervisorPlace
    timers: tuple[Timer, ...] = field(default=(), metadata=typed.LATER)

    @property
    def serves(self) -> bool:
        """Whether nginx asks the app: an app of processes alone has neither socket nor health check."""
        return any(program.name == WEB for program in self.programs)

    @property
    def web(self) -> Program:
        """The program that nginx asks; for an app of processes alone, the first of them."""
        return next((program for program in self.programs if program.name == WEB), self.programs[0])

    @property
    def processes(self) -> tuple[Program, ...]:
        """The user's own processes."""
        return tuple(program for program in self.programs if program.name != WEB)

    @property
    def beside(self) -> tuple[Program, ...]:
        """The programs that may run beside those of another release."""
        return tuple(program for program in self.programs if program.overlap)

    @property
    def single(self) -> tuple[Program, ...]:
        """The programs that may not: they start when those of the other release have ended."""
        return tuple(program for program in self.programs if not program.overlap)

    @property
    def unit(self) -> str:
        """The unit of `web`."""
        return self.web.unit

    @property
    def unit_file(self) -> str:
        """The unit file of `web`."""
        return self.web.unit_file

    @property
    def log(self) -> str:
        """The log of `web`."""
        return self.web.log


def app_name(root: str) -> str:
    """The app whose root this is.

    Raises:
        HostError: the path cannot be an app's root, so nothing under it may be touched.
    """
    name = os.path.basename(root)
    plain = os.path.normpath(root) == root and root.startswith("/") and root.count("/") >= 2
    if not plain or not names.APP.fullmatch(name):
        raise HostError(f"{root!r} is no app's root: expected an absolute path such as {names.app_root('shop')}")
    return name


def release_path(root: str, release_id: str) -> str:
    """The folder of a release.

    Raises:
        HostError: the id is not one, and might lead elsewhere.
    """
    if not names.RELEASE.fullmatch(release_id):
        raise HostError(f"{release_id!r} is no release id: expected <version>-<8 hex digits>, such as v1.4.2-1a2b3c4d")
    return os.path.join(root, "releases", release_id)


def read_manifest(root: str, release_id: str) -> Manifest:
    """Read the manifest of one release.

    Raises:
        FileNotFoundError: there is no such release on this host.
        HostError: the manifest cannot be read, is of another schema, or belongs to another release.
    """
    app_name(root)
    path = os.path.join(release_path(root, release_id), names.MANIFEST)
    try:
        with open(path, encoding="utf-8") as handle:
            manifest = parse(json.load(handle))
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise HostError(f"{path}: cannot be used ({error}); deploy the release again") from error
    if (manifest.root, manifest.release_id) != (root, release_id):
        raise HostError(f"{path}: describes {manifest.root} {manifest.release_id}; a release cannot be moved or copied")
    return manifest


def written(manifest: Manifest) -> str:
    """The text of a manifest's file."""
    return json.dumps({"schema": SCHEMA, **typed.plain(manifest)}, indent=2) + "\n"


def parse(data: Any) -> Manifest:
    """The manifest in plain data.

    Raises:
        Misfit: it is none that this Slipway reads.
    """
    if typed.check_schema(data, READ) == 1:
        data = _upgraded(data)
    manifest = typed.read(Manifest, data)
    if not manifest.programs:
        raise typed.Misfit("programs is empty")
    if manifest.module and not manifest.serves:
        raise typed.Misfit("programs has no web")
    return manifest


def _upgraded(data: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest of schema 1 as one of schema 2: what it lacks is what held for the releases of its time."""
    timeouts = data.get("timeouts")
    if not isinstance(timeouts, Mapping):
        raise typed.Misfit("the key 'timeouts' is missing")
    web = {"name": "web", "log_pipe": "", **{key: data[key] for key in _OF_WEB if key in data}}
    if "stop" in timeouts:
        web["stop"] = timeouts["stop"]
    return {
        **_OLDER,
        **data,
        "programs": [web],
        # Before `linger` was a separate key, connections continued for as long as a stream may be silent.
        "timeouts": {**({"linger": timeouts["stream"]} if "stream" in timeouts else {}), **timeouts},
    }


_OF_WEB = ("unit", "unit_file", "log", "log_pipe")
_OLDER: Mapping[str, Any] = {
    "version": "",
    "module": "",
    "interface": "",
    "user": "",
    "group": "",
    "builder": "",
    "nginx_group": "",
    "folder": "",
    "venv": "",
    "workers": 0,
    "threads": 0,
    "media": {},
    "system_packages": {},
    "overlap": True,
    "secrets": (),
    "python": "",
    "code": "",
    "build": "",
    "placed": (),
    "lock": "",
}
"""What manifests of schema 1 may lack: the host side of their time did not read it, or there was no such key."""
