"""What the model makes: a host, its settings, apps, and releases of them. Nothing here is derived.

One module, though a long one: a list of fields, each with its text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..contract.facts import Facts, ListenFacts, NginxFacts
from ..contract.manifest import Health, Moments, Program, SystemPackages
from . import commands
from .front import Header, Location, RateLimit
from .https import Tls
from .managers import SYSTEMD_INIT, Init, init_of
from .timeouts import Timeouts


class ModelError(Exception):
    """An entry that cannot be resolved on this host; the message says why and what to change."""


@dataclass(frozen=True)
class Port:
    """What else there is on a port of a host."""

    taken: str | None = None
    """Which other program than this host's nginx listens there."""
    default_server: str | None = None
    """A configuration file, not ours, that has the port's default server."""
    nameless_server: str | None = None
    """A configuration file, not ours, whose server without a name is the port's default only because it comes first."""


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
    welcome_page: str | None
    """The site that the distribution's package brings, while it is nothing but that."""
    nginx_masked: bool
    """Whether an administrator masked it, so that systemd neither starts nor reloads it."""
    nginx_version: tuple[int, ...]
    """Empty while it is not installed."""
    nginx_http3: bool
    """Whether it was built with HTTP/3."""
    openssl: tuple[int, ...]
    """The version of OpenSSL that it uses; empty where it does not say."""
    ports: Mapping[int, Port]
    """What is known about the ports that the host was asked about."""
    firewall: tuple[int, ...] | None
    """The ports that the kit's firewall opens; None where there is none."""
    drifted: tuple[str, ...]
    """The kit's files that another user or program has changed."""
    unavailable: Mapping[str, str]
    """Packages that apps ask for and that this host cannot have, each with the reason."""
    listening: Mapping[str, tuple[ListenFacts, ...]] = field(default_factory=dict)
    """Where nginx listens for each site file of the kit on the host."""

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
            welcome_page=None,
            nginx_masked=False,
            nginx_version=(1, 22, 1),
            nginx_http3=False,
            openssl=(3, 0, 0),
            ports={},
            firewall=None,
            drifted=(),
            unavailable={},
        )
        return replace(common, **known)

    @classmethod
    def from_facts(cls, facts: Facts, unavailable: Mapping[str, str]) -> Host:
        """The host that the `facts` module described, and the `packages` module could not install everything on."""
        nginx = facts.nginx
        return cls(
            cores=facts.cores,
            memory=facts.memory,
            init=init_of(facts.systemd),
            ipv6=facts.ipv6,
            python=PYTHON,
            pythons=facts.pythons,
            nginx_installed=nginx.installed,
            nginx_user=nginx.user,
            nginx_group=nginx.group,
            nginx_main=nginx.main_conf,
            nginx_distro=nginx.distro_conf,
            welcome_page=nginx.welcome_page,
            nginx_masked=nginx.masked,
            nginx_version=_version(nginx.version),
            nginx_http3=nginx.http3,
            openssl=_version(nginx.openssl),
            ports=_ports(nginx),
            firewall=facts.firewall,
            drifted=facts.drifted,
            unavailable={name: why for name, why in unavailable.items() if name in facts.packages_missing},
            listening=nginx.listening,
        )

    def port(self, number: int) -> Port:
        """What else there is on a port; nothing where the host was not asked."""
        return self.ports.get(number, Port())


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdecimal())


def _ports(nginx: NginxFacts) -> dict[int, Port]:
    """What the facts say about each port."""
    ports = {}
    for one in nginx.ports:
        program = None
        if one.taken:
            program = "a program that was not found"
            if one.taken.program:
                program = f"{one.taken.program} (process {one.taken.pid})"
        ports[one.port] = Port(program, one.default_server, one.nameless_server)
    return ports


PYTHON = "/usr/bin/python3"
"""A host's own Python."""


@dataclass(frozen=True)
class Certificate:
    """What a site's certificate is for, and where it comes from."""

    site: str
    """The site's name, and that of the certificate's folder on the host."""
    domains: tuple[str, ...]
    """Empty for the default site, which only a certificate that no authority signs on demand can have."""
    app: str
    """The app whose `tls` describes it: there are the user's files and credentials."""
    source: str
    """`self_signed`, `acme` or `provided`."""
    dns: str | None
    """certbot's DNS plugin; None where the authority asks nginx."""
    chain: str
    """The user's file with the certificate and its intermediates, absolute or relative to the inventory's folder."""
    key: str
    """The same for its key."""
    folder: str
    """Its folder on the host."""


@dataclass(frozen=True)
class Listener:
    """Where nginx listens for a site."""

    address: str
    """As nginx writes it; empty for every address of IPv4."""
    port: int
    tls: bool
    default: bool = False
    """Whether its site gets what names no other one."""
    quic: bool = False
    """Whether clients may come by HTTP/3, too."""

    def url(self, host: str, path: str) -> str:
        """The address of a page there."""
        scheme, usual = ("https", 443) if self.tls else ("http", 80)
        return f"{scheme}://{host}{'' if self.port == usual else f':{self.port}'}{path}"


@dataclass(frozen=True)
class Server:
    """One of nginx's servers of a site."""

    listeners: tuple[Listener, ...]
    names: tuple[str, ...]
    """Empty for the default site."""
    leads: str = ""
    """Where it sends clients, before path and query; empty where it serves the apps."""
    undecided: bool = False
    """Whether the site's certificate decides which of the two it does: a placeholder sends no client anywhere."""


@dataclass(frozen=True)
class Settings:
    """The host's settings, completed."""

    process_manager: str
    on_drift: str
    nginx_http_port: int
    nginx_https_port: int
    nginx_http3: bool
    tls_policy: str
    nginx_trusted_proxies: tuple[str, ...]
    access_log: str
    """`text` or `json`."""
    noindex: bool
    """Whether the inventory's name says that it is not production."""
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
    """Where nginx listens for the apps over plain http."""
    https_listeners: tuple[Listener, ...]
    """Where nginx listens for those with `tls`, besides."""


@dataclass(frozen=True)
class Recycle:
    """When a worker is replaced; 0 for never."""

    requests: int
    jitter: int
    """Requests that a worker may add to them."""
    memory: int
    """Bytes."""


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
    locations: tuple[Location, ...]
    """Its paths by their limits; the whole of them first."""
    request_head: int
    """Bytes of a request's head that nginx lets through at most."""
    buffers: int
    """Bytes of one of nginx's buffers for answers; a head must fit into one."""
    static: tuple[Static, ...]
    headers: tuple[Header, ...]
    """Of its answers, where it does not send them itself."""
    media_headers: tuple[Header, ...]
    """Of what clients uploaded; what the kit sets there is left out."""
    noindex: bool
    basic_auth: bool
    """Whether clients need a password."""
    allow: tuple[str, ...]
    """The networks of its clients; empty for all."""
    rate_limit: RateLimit | None
    error_pages: str | None
    """The user's own pages: a folder, absolute or relative to the inventory's."""
    own_errors: bool
    """Whether `nginx_extra` has nginx replace the app's answers, so that the kit's pages must not."""
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
    warm_up: tuple[str, ...]
    """Paths, with the mount in front, that each worker requests of itself before it serves."""
    recycle: Recycle
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
    """Where nginx listens for it over plain http."""
    https_listeners: tuple[Listener, ...]
    """Where it listens over https; empty without `tls`."""
    tls: Tls | None
    """None for plain http."""
    primary: str | None
    """The one of its domains to which the others lead."""
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
    nginx_headers_file: str
    """The file with the headers of its answers; every location that adds one includes it."""
    nginx_static_headers_file: str
    """The same for its static files."""
    nginx_media_headers_file: str
    """The same for what clients uploaded."""
    nginx_users_file: str
    """The users of `basic_auth`."""
    error_pages_folder: str
    """Where the user's own pages are on the host."""

    @property
    def front(self) -> Listener:
        """Where clients are to come."""
        return (*self.https_listeners, *self.listeners)[0]


@dataclass(frozen=True)
class Serving:
    """How an app is served, given its interface."""

    interface: str | None
    worker_class: str
    workers: int
    threads: int
    packages: tuple[str, ...]
    """Requirements that the kit adds when the app's own dependencies lack them."""
    keeps_connections: bool = False
    """Whether nginx keeps its connections to the instance."""


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
    release_id: str
    paths: Paths
    programs: tuple[Program, ...]
    """What the process manager runs of it: `web` first, where nginx asks it."""


@dataclass(frozen=True)
class Site:
    """What nginx serves under the domains of the same apps."""

    name: str
    domains: tuple[str, ...]
    """Empty for the default site."""
    listeners: tuple[Listener, ...]
    """For plain http."""
    https_listeners: tuple[Listener, ...]
    """For https; empty without `tls`."""
    apps: tuple[App, ...]
    file: str
    certificate: Certificate | None
    """None for plain http."""
    primary: str | None
    """The domain to which all others lead."""

    @property
    def served(self) -> tuple[str, ...]:
        """The domains under which it serves its apps."""
        return tuple(domain for domain in self.domains if self.primary in (None, domain))

    @property
    def redirected(self) -> tuple[str, ...]:
        """The domains that lead to the primary one."""
        return tuple(domain for domain in self.domains if domain not in self.served)
