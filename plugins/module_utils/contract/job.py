"""The job: what the controller sends so that the host builds a release.

What the release's manifest says about it is only there, so the job is about the rest: contents, and where they come from.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from . import typed
from .manifest import Manifest

SCHEMA = 2

Commands = tuple[tuple[str, ...], ...]
"""Commands, each a program and its arguments."""


@dataclass(frozen=True)
class Variant:
    """What of a release depends on the interface, which only the import probe knows for sure."""

    manifest: Manifest
    packages: tuple[str, ...]
    """Requirements that are installed where the app's own dependencies lack them."""
    files: Mapping[str, str]
    """Texts by their names in the release's folder."""


@dataclass(frozen=True)
class Code:
    """Where the code comes from: from a release on the host, or sent."""

    folder: str = ""
    """The folder of the same code in a release on the host. Empty for code that is sent; then the rest counts."""
    like: str = ""
    """The code of the current release, whose files are taken where they did not change; empty where there is none."""
    keep: tuple[str, ...] = ()
    """The files that are not sent, since the current release has them."""
    stream: str = ""
    """An archive, in base64."""
    archive: str = ""
    """The path of an archive on the host: one that is too large for `stream`."""


@dataclass(frozen=True)
class Lock:
    """The app's dependencies, as the controller found them in its source."""

    kind: str
    """The notation, by its file's usual name; `list` or `none`."""
    file: str
    """From the top of the code on; empty for a list and for none."""
    shown: str
    """What the dependencies are called in messages."""
    place: str
    """Where one writes a dependency that is missing."""
    hash: str
    folder: str
    """The folder that paths in the file count from."""
    member: str
    """The project of a uv.lock with several; empty where the lock is beside it."""
    text: str
    """A requirements.txt that was made of another tool's lock."""
    complete: bool
    """Whether `text` names all there is to install."""
    constraints: tuple[str, ...]
    """Limits to versions: a file; or an empty text, and requirements."""
    scm: Mapping[str, str]
    """Variables by which projects of the source learn their version."""
    hashed: bool
    local: bool
    """Whether something is built from the source itself."""
    lines: tuple[str, ...]
    """The requirements of a `list`."""


@dataclass(frozen=True)
class Index:
    """Where packages come from."""

    url: str | None
    extra: tuple[str, ...]
    ca: str
    """A file on the host, which may be missing."""
    strategy: str | None
    secrets: tuple[str, ...]
    """What of the addresses no message may repeat."""


@dataclass(frozen=True)
class Interpreter:
    """A Python that the host installs unless it is there."""

    folder: str
    path: str
    version: str
    mirror: str
    """The mirror that uv uses; empty for uv's default."""
    url: str
    """The address of an archive, which comes before the mirror; empty where there is none."""
    sha256: str


@dataclass(frozen=True)
class Make:
    """Commands that make the rest of the code on the host (`build`)."""

    commands: Commands
    environment: Mapping[str, str]
    files: Mapping[str, str]
    """The inventory's files as the commands may see them, in base64."""
    unset: tuple[str, ...]
    """The secrets in whose place they get a stand-in."""


@dataclass(frozen=True)
class Setup:
    """Commands that the app runs once on a host (`hooks.setup`)."""

    commands: Commands
    timeout: float


@dataclass(frozen=True)
class Job:
    """One release to build."""

    variants: Mapping[str, Variant]
    """By interface: the app's own, or each that it may turn out to speak."""
    code: Code
    environment: str
    """The app's environment, as the launcher takes it."""
    files: Mapping[str, str]
    """The inventory's files by their place in the code, in base64."""
    programs: Mapping[str, str]
    """The text of each program of the kit, by its path in the release."""
    python: str
    """The path of its interpreter."""
    interpreter: Interpreter | None
    """None where the host has it in any case."""
    uv: str
    lock: Lock
    index: Index
    make: Make | None
    setup: Setup | None
    deadline: float
    """Seconds that building the virtualenv may take; and, for themselves, all commands of `make`."""
    directives: tuple[str, ...] = ()
    """The names that `unit_extra` sets in systemd's units; none under another process manager."""

    @property
    def manifest(self) -> Manifest:
        """What the release's manifest says whatever the interface is."""
        return next(iter(self.variants.values())).manifest


def written(jobs: Iterable[Job]) -> str:
    """Jobs as they travel."""
    data = {"schema": SCHEMA, "jobs": [typed.plain(job) for job in jobs]}
    return base64.b64encode(zlib.compress(json.dumps(data).encode(), 6)).decode("ascii")


def read(payload: str) -> list[Job]:
    """Jobs as they came.

    Raises:
        Misfit: they are not what this Slipway's controller writes.
    """
    data = json.loads(zlib.decompress(base64.b64decode(payload)))
    typed.check_schema(data, (SCHEMA,))
    return [typed.read(Job, job, f"jobs[{number}]") for number, job in enumerate(data.get("jobs", ()))]
