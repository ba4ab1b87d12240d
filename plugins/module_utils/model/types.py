"""What the model makes: a host, its settings, apps, and releases of them. Nothing here is derived."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..contract.facts import Facts
from ..contract.manifest import Health, Moments, Program, SystemPackages
from . import commands
from .managers import SYSTEMD_INIT, SYSVINIT, Init
from .timeouts import Timeouts


class ModelError(Exception):
    """An entry that cannot be resolved on this host; the message says why and what to change."""


@dataclass(frozen=True)
class Host:
    """What the model needs to know of a host."""

    cores: int
    memory: int
    """Bytes."""
    init: Init
    ipv6: bool
    python: str
    pythons: Mapping[str, str]
    """Interpreters: path to version; empty when no host was asked."""
    nginx_installed: bool
    nginx_user: str
    nginx_group: str
    nginx_main: str
    """Whose /etc/nginx/nginx.conf is: `distro`, `slipway`, `local` or `absent`."""
    nginx_distro: str | None
    """The text of nginx.conf, while it is the distribution's own."""
    default_server: str | None
    """A configuration file, not ours, that has the default server of the port."""
    welcome_page: str | None
    """The same when it is only the page that the distribution's package brings."""
    nameless_server: str | None
    """A configuration file, not ours, whose server without a name is the port's default only because it comes first."""
    drifted: tuple[str, ...]
    """The kit's files that another user or program has changed."""
    port_taken: str | None
    """Which other program than this host's nginx listens on the port."""
    unavailable: Mapping[str, str]
    """Packages that apps ask for and that this host cannot have, each with the reason."""

    @classmethod
    def assumed(cls, **known: Any) -> Host:
        """A common small host, for what is rendered or checked before any host was asked.

        Args:
            known: what is known about it anyway.
        """
        common = cls(
            cores=2,
            memory=4 * 1024**3,
            init=SYSTEMD_INIT,
            ipv6=True,
            python=PYTHON,
            pythons={},
            nginx_installed=True,
            nginx_user="www-data",
            nginx_group="www-data",
            nginx_main="slipway",
            nginx_distro=None,
            default_server=None,
            welcome_page=None,
            nameless_server=None,
            drifted=(),
            port_taken=None,
            unavailable={},
        )
        return replace(common, **known)

    @classmethod
    def from_facts(cls, facts: Facts, unavailable: Mapping[str, str]) -> Host:
        """The host that the `facts` module described, and the `packages` module could not install everything on."""
        nginx, taken = facts.nginx, facts.nginx.port_taken
        program = None
        if taken:
            program = f"{taken.program} (process {taken.pid})" if taken.program else "a program that was not found"
        return cls(
            cores=facts.cores,
            memory=facts.memory,
            init=SYSTEMD_INIT if facts.systemd else SYSVINIT,
            ipv6=facts.ipv6,
            python=PYTHON,
            pythons=facts.pythons,
            nginx_installed=nginx.installed,
            nginx_user=nginx.user,
            nginx_group=nginx.group,
            nginx_main=nginx.main_conf,
            nginx_distro=nginx.distro_conf,
            default_server=nginx.default_server,
            welcome_page=nginx.welcome_page,
            nameless_server=nginx.nameless_server,
            drifted=facts.drifted,
            port_taken=program,
            unavailable={name: why for name, why in unavailable.items() if name in facts.packages_missing},
        )


PYTHON = "/usr/bin/python3"
"""A host's own Python."""


@dataclass(frozen=True)
class Listener:
    """Where nginx listens for a site."""

    address: str
    """As nginx writes it; empty for every address of IPv4."""
    port: int
    tls: bool
    default: bool = False
    """Whether its site gets what names no other one."""

    def url(self, host: str, path: str) -> str:
        """The address of a page there."""
        scheme, usual = ("https", 443) if self.tls else ("http", 80)
        return f"{scheme}://{host}{'' if self.port == usual else f':{self.port}'}{path}"


@dataclass(frozen=True)
class Settings:
    """The host's settings, completed."""

    process_manager: str
    on_drift: str
    nginx_http_port: int
    nginx_trusted_proxies: tuple[str, ...]
    nginx_worker_connections: int
    nginx_max_header_size: int
    """Bytes."""
    firewall_ports: tuple[int, ...]
    firewall_extra: str
    ssh_passwords: bool
    updates_reboot: str | None
    fail2ban_ban_time: int
    """Seconds."""
    fail2ban_ignore: tuple[str, ...]
    python_archives: Mapping[str, str]
    """Versions of Python to the SHA-256 of the archive that the inventory names."""
    listeners: tuple[Listener, ...]
    """Where nginx listens for the apps."""


@dataclass(frozen=True)
class Limits:
    """What an instance may use; None for no limit."""

    memory: int | None
    """Bytes."""
    cpu: int | None
    """Percent of one processor."""
    tasks: int | None
    files: int


@dataclass(frozen=True)
class Sandbox:
    """What the sandbox lets through."""

    home: bool
    tmp: bool
    processes: bool
    devices: bool
    priorities: bool
    write: tuple[str, ...]
    """Folders beyond the app's own."""


@dataclass(frozen=True)
class Static:
    """A folder that nginx serves."""

    prefix: str
    """URL prefix, the mount in front, with a slash at both ends."""
    folder: str
    """Relative to the code."""


@dataclass(frozen=True)
class Media:
    """A folder of the app's shared folder that nginx serves: what the app and its clients have written."""

    prefix: str
    """URL prefix, the mount in front, with a slash at both ends."""
    folder: str
    """Relative to the shared folder."""


@dataclass(frozen=True)
class Hook:
    """One command or task file that runs when a release goes live."""

    when: str
    commands: tuple[commands.Command, ...]
    """Run one after the other."""
    tasks: str | None
    timeout: int
    """Seconds that each command may take."""


@dataclass(frozen=True)
class Process:
    """A command that runs beside the web server as long as its release is current."""

    name: str
    command: commands.Command
    count: int
    """How many of it run."""
    overlap: bool
    """Whether it may run beside that of another release."""
    stop_signal: str
    """Without `SIG`."""
    stop_timeout: int
    """Seconds."""
    soak: float
    """Seconds."""


@dataclass(frozen=True)
class Timer:
    """A command that the current release runs at set times."""

    name: str
    command: commands.Command
    schedule: str
    """As the user wrote it."""
    calendar: tuple[str, ...]
    """The same for systemd."""
    moments: Moments | None
    """The same as numbers; None where only systemd reads the schedule."""
    timeout: int
    """Seconds."""


@dataclass(frozen=True)
class Placed:
    """A file of the inventory in a release's code."""

    place: str
    """From the top of the code on."""
    key: str
    """The same as the user wrote it, from the app's own folder on."""
    origin: str
    """What it is made of, absolute or relative to the inventory's folder."""


@dataclass(frozen=True)
class Wishes:
    """What the user says about the workers, and what the host has for them; the interface decides the rest."""

    worker_class: str | None
    workers: int | None
    threads: int | None
    cores: int
    memory: float
    """Bytes that all workers of the app may take."""


@dataclass(frozen=True)
class App:
    """A resolved app. Holds no secret, and nothing that depends on its interface or its content: see `Release`."""

    name: str
    module: str
    """As gunicorn takes it; the attribute is always written out. Empty for an app of processes alone."""
    source: Mapping[str, Any]
    folder: str
    """Its own folder in the source; empty for the whole of it."""
    domains: tuple[str, ...]
    mount: str
    interface: str | None
    """None where only loading it on a host tells."""
    python: str
    """Path of the interpreter."""
    python_version: str
    python_folder: str
    """Of an interpreter that the kit installs; empty for one of the host's own."""
    requirements: str | tuple[str, ...] | None
    system_packages: SystemPackages
    wishes: Wishes
    timeouts: Timeouts
    max_body_size: int
    """Bytes."""
    request_head: int
    """Bytes of a request's head that nginx lets through at most."""
    buffers: int
    """Bytes of one of nginx's buffers for answers; a head must fit into one."""
    static: tuple[Static, ...]
    build: tuple[commands.Command, ...]
    """What makes the rest of its code on the host."""
    build_secrets: tuple[str, ...]
    """The names of the secrets that `build` gets."""
    files: tuple[Placed, ...]
    media: tuple[Media, ...]
    health: Health
    hooks: tuple[Hook, ...]
    processes: tuple[Process, ...]
    timers: tuple[Timer, ...]
    limits: Limits
    network: str
    sandbox: Sandbox
    keep_releases: int
    state: str
    overlap: bool
    """Whether two instances may run at once."""
    together: str | None
    """The apps with the same word are deployed together or not at all."""
    fault: str
    """Why no new release of it can be made on this host; empty when there is no reason. All else of it works."""
    gunicorn_extra: str
    nginx_extra: str
    nginx_extra_streams: str
    """The same for the location of websockets and event streams, which includes another file."""
    unit_extra: str
    manager: str
    """The process manager's name."""
    user: str
    group: str
    builder: str
    """The user that builds its virtualenvs, which owns nothing else of the app."""
    nginx_group: str
    listeners: tuple[Listener, ...]
    """Where nginx listens for it."""
    root: str
    releases: str
    venvs: str
    shared: str
    home: str
    """Its HOME: caches and settings of libraries, which outlive releases."""
    current: str
    logs: str
    assets: str
    """Where the static files of all kept releases are, for pages that were loaded before a switch."""
    upstream: str
    """The path of the socket that nginx proxies to: through `current`."""
    nginx_locations: str
    """The file with the app's nginx locations."""
    nginx_extra_file: str
    """The file with its `nginx_extra`, which they include; its name is no app's."""
    nginx_extra_streams_file: str


@dataclass(frozen=True)
class Serving:
    """How an app is served, given its interface."""

    interface: str | None
    worker_class: str
    workers: int
    threads: int
    packages: tuple[str, ...]
    """Requirements that the kit adds when the app's own dependencies lack them."""


@dataclass(frozen=True)
class Paths:
    """The paths of one release."""

    path: str
    folder: str
    """The app's own folder in the source; empty for the whole of it."""
    code: str
    """That folder on the host."""
    venv: str
    run: str
    socket: str
    environment: str
    gunicorn_conf: str
    gunicorn_extra: str
    serving: str
    launcher: str
    probe: str
    manifest: str
    log_reader: str
    """The program that copies from the pipe to the log."""


@dataclass(frozen=True)
class Release:
    """A release of an app with its interface."""

    app: App
    serving: Serving
    id: str
    paths: Paths
    programs: tuple[Program, ...]
    """What the process manager runs of it: `web` first, where nginx asks it."""


@dataclass(frozen=True)
class Site:
    """One nginx server: the domains that serve the same apps."""

    name: str
    domains: tuple[str, ...]
    """Empty for the default site."""
    listeners: tuple[Listener, ...]
    apps: tuple[App, ...]
    file: str
