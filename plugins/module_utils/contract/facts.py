"""The facts: what the controller knows of a host. The host gathers them, and the controller takes only what is named here.

Each field's kind (`Annotated`) is a word of plugins/module_utils/answers.py, by which an answer is checked; `CONTRACT` is
made of them.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from . import typed

SCHEMA = 5
"""The number of this schema. A host's facts with another one are refused: Ansible may have kept those of an earlier kit."""

Account = Annotated[str, "account"]
App = Annotated[str, "app"]
Count = Annotated[int, "count"]
File = Annotated[str, "file"]
Line = Annotated[str, "line"]
Package = Annotated[str, "package"]
Path = Annotated[str, "path"]
ReleaseId = Annotated[str, "release"]
Text = Annotated[str, "text"]
Word = Annotated[str, "word"]


@dataclass(frozen=True)
class ReleaseFacts:
    """What is known about a release on a host: what its manifest says, and what happened to it."""

    code: Word | None
    build: Word | None
    placed: tuple[Line, ...] | None
    bad: Text | None
    """Why it was marked bad; None while it is not."""
    activated: Word | None
    """When it was made current last."""
    previous: ReleaseId | None
    """Which release was current before it."""
    migrated: Word | None
    """When its migration ran."""
    complete: bool
    """It has its manifest, its code and a whole virtualenv."""
    mount: Path | None = None
    """The path below which it lives."""
    runs: tuple[Line, ...] = ()
    """The last runs that made it current. Hosts that share one had the same settings; an older kit recorded none."""


@dataclass(frozen=True)
class AppFacts:
    """An app on a host."""

    current: ReleaseId | None = None
    releases: Mapping[ReleaseId, ReleaseFacts] = field(default_factory=dict)
    removed_bad: Mapping[ReleaseId, Text] = field(default_factory=dict)
    """Why releases were marked bad whose folders are gone."""

    def why_bad(self, release_id: str) -> str | None:
        """Return why a release was marked bad, also a removed one; None if it was not."""
        on_disk = self.releases.get(release_id)
        return on_disk.bad if on_disk else self.removed_bad.get(release_id)


@dataclass(frozen=True)
class PortTaken:
    """Another program than this host's nginx that listens on the port."""

    program: Line
    """Empty when it was not found."""
    pid: Count


@dataclass(frozen=True)
class PortFacts:
    """A TCP port on which nginx is to listen."""

    port: Count
    taken: PortTaken | None
    default_server: Path | None
    """A configuration file, not ours, that has the port's default server."""
    nameless_server: Path | None
    """A configuration file, not ours, whose server without a name is the port's default only because it comes first."""


@dataclass(frozen=True)
class ListenFacts:
    """A port on which nginx listens for a site of the kit."""

    port: Count
    tls: bool
    quic: bool
    """Whether it is also UDP, for HTTP/3."""


@dataclass(frozen=True)
class NginxFacts:
    """nginx on a host, the kit's or another one."""

    installed: bool
    user: Account
    group: Account
    main_conf: Word
    """Whose nginx.conf is: `distro`, `slipway`, `local` or `absent`."""
    distro_conf: File | None
    """The text of nginx.conf, while it is the distribution's own."""
    running: bool
    masked: bool
    """Whether an administrator masked it, so that systemd neither starts nor reloads it."""
    at_boot: bool
    """Whether it starts at boot."""
    version: Word
    """Empty where it is not installed, or does not say."""
    openssl: Word
    """The version of OpenSSL that it uses; empty likewise."""
    http3: bool
    """Whether it was built with HTTP/3."""
    ports: tuple[PortFacts, ...]
    """One for each port that was asked about."""
    welcome_page: Path | None
    """The site that the distribution's package brings, while it is nothing but that and has the default server of a port."""
    sites: Mapping[Path, tuple[App, ...]]
    """The kit's site files, with the apps that each includes."""
    names: Mapping[Line, tuple[App, ...]]
    """The names under which those files serve apps, `_` for every other one, with the apps of each."""
    listening: Mapping[Path, tuple[ListenFacts, ...]] = field(default_factory=dict)
    """The ports of each of those files."""


@dataclass(frozen=True)
class Facts:
    """A host."""

    cores: Count
    memory: Count
    """Bytes."""
    systemd: bool
    """Whether systemd is its init."""
    ipv6: bool
    packages_missing: tuple[Package, ...]
    """Those of the packages that were asked for."""
    tools: Mapping[Word, bool]
    """Whether each tool is whole."""
    supervisor_running: bool
    """Whether supervisord runs and starts at boot."""
    apps: Mapping[App, AppFacts]
    """Those of the inventory."""
    deployed: tuple[App, ...]
    """The apps of which something is there, whether the inventory knows of them or not."""
    drifted: tuple[Line, ...]
    """The kit's files that another user or program has changed."""
    firewall: tuple[Count, ...] | None
    """The TCP ports that the kit's firewall opens; None where there is none."""
    certificates: tuple[Word, ...]
    """The sites that have a certificate on the host, whether or not the inventory knows them."""
    users: tuple[Account, ...]
    """The accounts that the kit made."""
    pythons: Mapping[Path, Word]
    """Interpreters: path to version."""
    nginx: NginxFacts
    origins: Mapping[App, Line] = field(default_factory=dict)
    """The inventory that each app belongs to, as far as it is known."""
    applied: Mapping[Line, Mapping[Word, Text]] = field(default_factory=dict)
    """The settings of the host that each inventory applied last, in JSON."""
    live: tuple[App, ...] = ()
    """The apps with a current release, whether the inventory knows of them or not."""
    ruled: tuple[App, ...] = ()
    """The apps with a rule in the one file with which an older kit gave sudo the rules of all apps."""

    def app(self, name: str) -> AppFacts:
        """The facts about an app; empty ones where the host has nothing of it."""
        return self.apps.get(name, AppFacts())


def read(data: Any) -> Facts:
    """The facts as Ansible keeps them.

    Raises:
        Misfit: they are not what this Slipway gathers.
    """
    typed.check_schema(data, (SCHEMA,))
    return typed.read(Facts, data)


def prepare() -> None:
    """Look up now what every `read` needs: the processes that are forked afterwards share it."""
    typed.prepare(Facts)


def _contract(hint: Any) -> Any:
    """The contract of a type, as plugins/module_utils/answers.py reads it."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return inner[1]
    if origin is tuple:
        return [_contract(inner[0])]
    if dataclasses.is_dataclass(hint):
        return {
            f"{name}{'?' if _optional(one) else ''}": _contract(_optional(one) or one)
            for name, one in typing.get_type_hints(hint, include_extras=True).items()
        }
    if origin is not None:
        return {f"<{_contract(inner[0])}>": _contract(inner[1])}
    return hint.__name__


def _optional(hint: Any) -> Any:
    """What a value that may be missing is otherwise; None for one that may not."""
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return None
    return next(one for one in typing.get_args(hint) if one is not type(None))


CONTRACT: dict[str, Any] = {"schema": "count", **_contract(Facts)}
"""What an answer of the module `facts` may hold."""
