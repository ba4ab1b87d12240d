"""Turns (a user's entry, a host's facts) into a resolved app: the only place where anything is derived."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from . import checks, commands, interpreters, schema
from .validation import NETWORK, timeout_family

GUNICORN = "27.0.1"
"""The gunicorn that apps get which bring none. 27.0.1 is the first whose stopping threads answer the last requests of kept-alive connections."""
ASGI_SERVER = ("uvicorn==0.54.0", "websockets==15.0.1")
"""What serves ASGI apps that bring none: uvicorn, and what it needs for websockets. Apps may bring an older uvicorn; version 15 of websockets suits those as well."""
UV = "0.13.9"
"""The uv that builds virtualenvs on the hosts."""
SUPERVISOR = "4.3.0"
"""The supervisor of hosts without systemd."""

WORKER_MEMORY = 128 * 1024**2
"""Bytes reckoned per worker when their number is derived from memory: a Django worker with its ORM loaded needs 80 to 120 MiB."""
HOST_SHARE = 0.5
"""The part of a host's memory that all apps' workers may take by default; the rest is for the system, nginx and databases."""

TOOLS = "/opt/slipway"
ETC = "/etc/slipway"
LOGS = "/var/log/slipway"
STATE = "/var/lib/slipway"
CA_FILE = "/etc/slipway/ca.pem"
UV_BIN = f"{TOOLS}/uv-{UV}/bin/uv"
SUPERVISOR_VENV = f"{TOOLS}/supervisor-{SUPERVISOR}"
SUPERVISOR_SOCKET = "/run/slipway/supervisor.sock"
SUPERVISOR_PID = "/run/slipway/supervisord.pid"
SUPERVISOR_PROGRAMS = f"{ETC}/supervisor.d"
FIREWALL = f"{ETC}/firewall.nft"
NGINX_CONF_D = "/etc/nginx/conf.d"
NGINX_APPS = "/etc/nginx/slipway"

HEAD_BUFFERS = 4
"""How many of nginx's buffers a request's head may fill; `nginx_max_header_size` is the size of one."""

RELEASE = "@release-id@"
"""Stands for the release's id in rendered files until the id, which is a hash of them, is known."""
USER_LIMIT = 32
"""Letters in a user's name (useradd(8))."""
SOCKET_LIMIT = 107
"""Bytes in the path of a unix socket (unix(7): 108 with the final NUL)."""


class ModelError(Exception):
    """An entry that cannot be resolved on this host; the message says why and what to change."""


@dataclass(frozen=True)
class Host:
    """What the model needs to know of a host, with the values of a common small one for rendering without a host."""

    cores: int = 2
    memory: int = 4 * 1024**3
    """Bytes."""
    systemd: bool = True
    ipv6: bool = True
    python: str = "/usr/bin/python3"
    pythons: Mapping[str, str] = field(default_factory=dict)
    """Interpreters: path to version; empty when no host was asked."""
    nginx_installed: bool = True
    nginx_user: str = "www-data"
    nginx_group: str = "www-data"
    nginx_main: str = "slipway"
    """Whose /etc/nginx/nginx.conf is: `distro`, `slipway`, `local` or `absent`."""
    nginx_distro: str | None = None
    """The text of nginx.conf, while it is the distribution's own."""
    default_server: str | None = None
    """A configuration file, not ours, that has the default server of the port."""
    welcome_page: str | None = None
    """The same when it is only the page that the distribution's package brings."""
    nameless_server: str | None = None
    """A configuration file, not ours, whose server without a name is the port's default only because it comes first."""
    drifted: tuple[str, ...] = ()
    """Files of the kit's that somebody else has changed."""
    port_taken: str | None = None
    """Which other program than this host's nginx listens on the port."""
    unavailable: Mapping[str, str] = field(default_factory=dict)
    """Packages that apps ask for and that this host cannot have, each with the reason."""

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any], unavailable: Mapping[str, str]) -> Host:
        """The host that the `facts` module described, and the `packages` module could not install everything on."""
        nginx = facts["nginx"]
        return cls(
            cores=facts["cores"],
            memory=facts["memory"],
            systemd=facts["systemd"],
            ipv6=facts["ipv6"],
            pythons=facts["pythons"],
            nginx_installed=nginx["installed"],
            nginx_user=nginx["user"],
            nginx_group=nginx["group"],
            nginx_main=nginx["main_conf"],
            nginx_distro=nginx["distro_conf"],
            default_server=nginx["default_server"],
            welcome_page=nginx["welcome_page"],
            nameless_server=nginx["nameless_server"],
            drifted=tuple(facts["drifted"]),
            port_taken=_program(nginx["port_taken"]),
            unavailable={name: why for name, why in unavailable.items() if name in facts["packages_missing"]},
        )


def _program(taken: Mapping[str, Any] | None) -> str | None:
    """The program that has the port, in words."""
    if taken is None:
        return None
    return f"{taken['program']} (process {taken['pid']})" if taken["program"] else "a program that was not found"


@dataclass(frozen=True)
class Timeouts:
    """Seconds."""

    request: int
    connect: int
    gunicorn: int
    graceful: int
    stop: int
    drain: int
    linger: int
    stream: int
    boot: int
    build: int


@dataclass(frozen=True)
class Health:
    """How an instance proves that it is healthy."""

    path: str
    """With the mount in front."""
    status: tuple[tuple[int, int], ...]
    body: str | None
    host: str
    scheme: str
    successes: int
    interval: float
    soak: float
    follow: bool
    """Whether redirects within the app are followed, and the last answer is judged: the user says nothing of either."""


@dataclass(frozen=True)
class Limits:
    """Bytes, tasks, files; None for no limit."""

    memory: int | None
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
class SystemPackages:
    """Packages of the distribution that an app needs."""

    build: tuple[str, ...]
    run: tuple[str, ...]


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
class Placed:
    """A file of the inventory in a release's code."""

    place: str
    """From the top of the code on."""
    key: str
    """The same as the user wrote it, from the app's own folder on."""
    origin: str
    """What it is made of, absolute or relative to the inventory's folder."""


@dataclass(frozen=True)
class Release:
    """The paths of one release."""

    id: str
    path: str
    folder: str
    """The app's own folder in the source; empty for the whole of it."""
    code: str
    """That folder on the host."""
    venv: str
    run: str
    socket: str
    log: str
    log_pipe: str
    """What the instance writes into under systemd."""
    log_reader: str
    """The program that copies from the pipe to the log."""
    unit: str
    unit_file: str
    environment: str
    gunicorn_conf: str
    gunicorn_extra: str
    serving: str
    launcher: str
    probe: str
    manifest: str


@dataclass(frozen=True)
class App:
    """A resolved app. Holds no secret."""

    name: str
    module: str
    """As gunicorn takes it; the attribute is always written out."""
    source: Mapping[str, Any]
    domains: tuple[str, ...]
    mount: str
    interface: str | None
    """None until the app was loaded on a host."""
    python: str
    """Path of the interpreter."""
    python_version: str
    python_folder: str
    """Of an interpreter that the kit installs; empty for one of the host's own."""
    requirements: str | tuple[str, ...] | None
    system_packages: SystemPackages
    workers: int
    threads: int
    worker_class: str
    packages: tuple[str, ...]
    """Requirements that the kit adds when the app's own dependencies lack them."""
    timeouts: Timeouts
    max_body_size: int
    """Bytes."""
    request_head: int
    """Bytes of a request's head that nginx lets through at the most."""
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
    user: str
    group: str
    builder: str
    """The user that builds its virtualenvs, whom nothing else of the app's belongs to."""
    nginx_group: str
    nginx_port: int
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
    release: Release


@dataclass(frozen=True)
class Site:
    """One nginx server: the domains that serve the same apps."""

    name: str
    domains: tuple[str, ...]
    """Empty for the default site."""
    port: int
    ipv6: bool
    apps: tuple[App, ...]
    file: str


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


def settings(variables: Mapping[str, Any], host: Host) -> Settings:
    """The host's settings from the inventory's (validated) variables."""

    def value(name: str) -> Any:
        own = variables.get(name)
        return schema.table(schema.SETTINGS)[name].default if own is None else own

    manager = value("process_manager")
    if manager == "systemd" and not host.systemd:
        raise ModelError("process_manager is systemd, but systemd does not run on this host; use supervisor or auto")
    if manager == "auto":
        manager = "systemd" if host.systemd else "supervisor"
    return Settings(
        process_manager=str(manager),
        on_drift=str(value("on_drift")),
        nginx_http_port=int(value("nginx_http_port")),
        nginx_trusted_proxies=tuple(value("nginx_trusted_proxies")),
        nginx_worker_connections=int(value("nginx_worker_connections")),
        nginx_max_header_size=checks.parse_size(str(value("nginx_max_header_size"))),
        firewall_ports=tuple(value("firewall_ports")),
        firewall_extra=str(value("firewall_extra")),
        ssh_passwords=bool(value("ssh_passwords")),
        updates_reboot=value("updates_reboot"),
        fail2ban_ban_time=int(value("fail2ban_ban_time")),
        fail2ban_ignore=tuple(value("fail2ban_ignore")),
        python_archives={version: own["sha256"].lower() for version, own in value("python_archives").items()},
    )


def resolve_all(variables: Mapping[str, Any], host: Host) -> list[App]:
    """Every app of the (validated) inventory of one host, in its order, absent ones too.

    Raises ModelError when the host would stop serving somebody else's site for one of them.
    """
    own = settings(variables, host)
    apps = variables["apps"]
    present = sum(1 for entry in apps.values() if entry.get("state") != "absent") or 1
    found = [resolve(str(name), entry, own, host, share=HOST_SHARE / present) for name, entry in apps.items()]
    _spare_neighbours(found, own, host)
    return found


def _spare_neighbours(apps: Sequence[App], own: Settings, host: Host) -> None:
    """Raise ModelError when a site that this host's nginx serves already would get no visitor any more."""
    there = [app for app in apps if app.state == "present"]
    unnamed = [app.name for app in there if not app.domains]
    if unnamed and host.default_server:
        raise ModelError(
            f"apps.{unnamed[0]} names no domain, but this host's nginx has a default site on port "
            f"{own.nginx_http_port} already ({host.default_server}); give the app `domains` or set nginx_http_port"
        )
    if there and host.nameless_server:
        raise ModelError(
            f"This host's nginx serves {host.nameless_server} on port {own.nginx_http_port} under every name, since that "
            "file comes first; beside the apps it would get no visitor. Give it a `server_name`, or write `default_server` "
            "behind its `listen` to keep it so, or set nginx_http_port for the apps"
        )


def obstacle(apps: Iterable[App], own: Settings, host: Host) -> str:
    """What on this host has to be mended before anything is built for `apps`; empty when there is nothing."""
    if host.port_taken and any(app.state == "present" for app in apps):
        return (
            f"Port {own.nginx_http_port} of this host is held by {host.port_taken}, and not by its nginx, so that no request would "
            "reach the apps. Stop that program, or set nginx_http_port to another port"
        )
    if host.drifted and own.on_drift == "refuse":
        return (
            f"Somebody has changed files that Slipway wrote, and on_drift is refuse: {', '.join(host.drifted)}. Write what you want "
            "of it into the inventory, then deploy with -e on_drift=keep, which keeps a copy of each"
        )
    return ""


def resolve(name: str, entry: Mapping[str, Any], own: Settings, host: Host, share: float = HOST_SHARE) -> App:
    """One app, completed. `share` is the part of the host's memory its workers may take by default.

    What keeps this host from making a new release of it is its `fault`: it concerns no other app.
    """
    defaults = schema.table(schema.APP)

    def value(key: str) -> Any:
        return entry.get(key, defaults[key].default)

    mount = value("mount")
    prefix = "" if mount == "/" else mount
    domains = tuple(domain.lower() for domain in value("domains"))
    root = f"/srv/{name}"
    limits = _limits(value("limits"))
    python, fault = _interpreter(name, entry, host, own.python_archives)
    packages = value("system_packages")
    system_packages = SystemPackages(tuple(packages.get("build", ())), tuple(packages.get("run", ())))
    fault = fault or _unavailable(name, system_packages, host)
    if value("network") == "local" and own.process_manager != "systemd":
        fault = f"apps.{name}.network {NETWORK}"
    app = App(
        name=name,
        module=module(str(entry.get("module", ""))),
        source=dict(entry.get("source", {})),
        domains=domains,
        mount=mount,
        interface=value("interface"),
        python=python.path,
        python_version=python.version,
        python_folder=python.folder,
        requirements=tuple(entry["requirements"])
        if isinstance(entry.get("requirements"), list | tuple)
        else entry.get("requirements"),
        system_packages=system_packages,
        workers=0,
        threads=0,
        worker_class="",
        packages=(),
        timeouts=Timeouts(**timeout_family(entry)),
        max_body_size=checks.parse_size(str(value("max_body_size"))),
        request_head=HEAD_BUFFERS * own.nginx_max_header_size,
        buffers=checks.parse_size(str(value("buffers"))),
        static=tuple(
            Static(prefix=f"{prefix}{url}", folder=in_source(entry, str(folder)))
            for url, folder in value("static").items()
            if not checks.in_shared(str(folder))
        ),
        media=tuple(
            Media(prefix=f"{prefix}{url}", folder=below)
            for url, folder in value("static").items()
            if (below := checks.in_shared(str(folder)))
        ),
        build=commands.parse(entry["build"]) if "build" in entry else (),
        build_secrets=tuple(value("build_secrets")),
        files=tuple(
            Placed(place=in_source(entry, str(place)), key=str(place), origin=str(origin))
            for place, origin in sorted(value("files").items())
        ),
        health=_health(value("health"), prefix, domains),
        hooks=tuple(_hook(when, own) for when, own in value("hooks").items()),
        limits=limits,
        network=value("network"),
        sandbox=_sandbox(value("sandbox")),
        keep_releases=value("keep_releases"),
        state=value("state"),
        overlap=value("overlap"),
        together=value("together"),
        fault=fault,
        gunicorn_extra=value("gunicorn_extra"),
        nginx_extra=value("nginx_extra"),
        nginx_extra_streams=checks.for_streams(value("nginx_extra")),
        unit_extra=value("unit_extra"),
        manager=own.process_manager,
        user=name,
        group=name,
        builder=builder(name),
        nginx_group=host.nginx_group,
        nginx_port=own.nginx_http_port,
        root=root,
        releases=f"{root}/releases",
        venvs=f"{root}/venvs",
        shared=f"{root}/shared",
        home=f"{root}/home",
        current=f"{root}/current",
        logs=f"{LOGS}/{name}",
        assets=f"{root}/assets",
        upstream=f"{root}/current/run/app.sock",
        nginx_locations=f"{NGINX_APPS}/{name}.conf",
        nginx_extra_file=f"{NGINX_APPS}/{name}.extra.conf",
        nginx_extra_streams_file=f"{NGINX_APPS}/{name}.streams.conf",
        release=_release(name, own.process_manager, RELEASE, "@venv@", in_source(entry, "")),
    )
    return with_workers(app, entry, host, share)


def builder(name: str) -> str:
    """The build user of the app `name`. No app's own user has such a name, since there is no `_` in an app's name.

    A long name is cut and gets digits of its hash: two apps whose names begin alike do not share one.
    """
    end = "_build"
    room = USER_LIMIT - len(end)
    if len(name) <= room:
        return name + end
    return f"{name[: room - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}{end}"


def with_workers(app: App, entry: Mapping[str, Any], host: Host, share: float) -> App:
    """`app` with its worker class and numbers, which depend on the interface."""
    chosen = entry.get("worker_class") or ("uvicorn" if app.interface == "asgi" else "gthread")
    workers = entry.get("workers") or worker_count(chosen, host, app.limits.memory, share)
    threads = entry.get("threads") or (8 if chosen == "gthread" else 1)
    extra = {
        "gevent": ("gunicorn[gevent]",),
        "tornado": ("tornado",),
        "uvicorn": ASGI_SERVER,
    }
    return replace(
        app,
        worker_class=chosen,
        workers=workers,
        threads=threads,
        packages=(f"gunicorn=={GUNICORN}", *extra.get(chosen, ())),
    )


def for_interface(app: App, interface: str, entry: Mapping[str, Any], host: Host, share: float) -> App:
    """`app` as it is if its callable turns out to speak `interface`."""
    return with_workers(replace(app, interface=interface), entry, host, share)


def worker_count(worker_class: str, host: Host, memory_limit: int | None, share: float) -> int:
    """Workers for `worker_class` on `host`.

    Threads, coroutines and event loops share a process, so one process per core is enough to use the machine; `sync`
    serves one request per process and gets gunicorn's own advice of 2 x cores + 1. At least two, so that a crashed
    worker leaves one serving; no more than the memory holds.
    """
    wanted = 2 * host.cores + 1 if worker_class == "sync" else host.cores
    room = int((memory_limit if memory_limit is not None else host.memory * share) // WORKER_MEMORY)
    return max(1 if room < 2 else 2, min(wanted, room))


def module(path: str) -> str:
    """The module path as gunicorn takes it, the attribute written out (`application`: gunicorn's and PEP 3333's name)."""
    return path if not path or ":" in path else f"{path}:application"


def _interpreter(
    name: str, entry: Mapping[str, Any], host: Host, archives: Mapping[str, str]
) -> tuple[interpreters.Interpreter, str]:
    """The interpreter of an app, and why it has none."""
    none = interpreters.Interpreter("", "")
    if entry.get("state") == "absent":
        return none, ""
    try:
        return interpreters.choose(entry.get("python"), host.pythons, host.python, archives), ""
    except interpreters.NoInterpreter as exc:
        return none, f"apps.{name}.python: {exc}"


def _unavailable(name: str, packages: SystemPackages, host: Host) -> str:
    """Which packages of the distribution an app lacks on a host that cannot have them; empty for none."""
    return "; ".join(
        f"apps.{name}.system_packages.{kind}: {package} is not installed, since {host.unavailable[package]}"
        for kind, names in vars(packages).items()
        for package in names
        if package in host.unavailable
    )


def _sandbox(own: Mapping[str, Any]) -> Sandbox:
    allowed = own.get("allow", ())
    return Sandbox(
        home="home" in allowed,
        tmp="tmp" in allowed,
        processes="processes" in allowed,
        devices="devices" in allowed,
        priorities="priorities" in allowed,
        # The file system is read-only but for what is named, the host's /tmp included.
        write=(*own.get("write", ()), *(("/tmp", "/var/tmp") if "tmp" in allowed else ())),  # noqa: S108  # nosec B108 # nothing is written there
    )


def _limits(own: Mapping[str, Any]) -> Limits:
    memory = own.get("memory")
    return Limits(
        memory=None if memory is None else checks.parse_size(str(memory)),
        tasks=own.get("tasks"),
        files=own.get("files", schema.table(schema.LIMITS)["files"].default),
    )


def _hook(when: str, own: Any) -> Hook:
    if not isinstance(own, Mapping):
        own = {"command": own}
    return Hook(
        when=when,
        commands=commands.parse(own["command"]) if "command" in own else (),
        tasks=own.get("tasks"),
        timeout=own.get("timeout", schema.table(schema.HOOK)["timeout"].default),
    )


def _health(own: Mapping[str, Any], prefix: str, domains: Sequence[str]) -> Health:
    keys = schema.table(schema.HEALTH)

    def value(key: str) -> Any:
        return own.get(key, keys[key].default)

    configured = "path" in own
    accepted = own.get("status", "200-299" if configured else ["200-399", "401-420", "422-499"])
    # A wildcard domain is asked by some name below it.
    host = own.get("host") or (domains[0].replace("*", "health") if domains else "localhost")
    return Health(
        path=prefix + value("path"),
        status=checks.parse_statuses(accepted),
        body=value("body"),
        host=host,
        scheme=value("scheme"),
        successes=value("successes"),
        interval=float(value("interval")),
        soak=float(value("soak")),
        follow=not configured and "status" not in own,
    )


def in_source(entry: Mapping[str, Any], path: str) -> str:
    """`path`, which counts from the app's own folder, from the top of its source; empty for the top itself."""
    parts = (str(entry.get("source", {}).get("folder", "")), path.removeprefix("./"))
    return "/".join(part.strip("/") for part in parts if part.strip("/"))


def _release(name: str, manager: str, identity: str, venv: str, folder: str) -> Release:
    path = f"/srv/{name}/releases/{identity}"
    run = f"/run/{name}/{identity}"
    unit = f"slipway-{name}-{identity}"
    return Release(
        id=identity,
        path=path,
        folder=folder,
        code=f"{path}/code/{folder}".rstrip("/"),
        venv=venv,
        run=run,
        socket=f"{run}/app.sock",
        log=f"{LOGS}/{name}/{identity}.log",
        log_pipe=f"{run}/log",
        log_reader=f"{path}/log.py",
        unit=unit,
        unit_file=f"{unit}.{'service' if manager == 'systemd' else 'conf'}",
        environment=f"{path}/environment.json",
        gunicorn_conf=f"{path}/gunicorn.conf.py",
        gunicorn_extra=f"{path}/gunicorn_extra.py",
        serving=f"{path}/serving/__init__.py",
        launcher=f"{path}/exec",
        probe=f"{path}/inspect",
        manifest=f"{path}/manifest.json",
    )


def with_venv(app: App, lock_hash: str) -> App:
    """`app` with the virtualenv that belongs to its interpreter, its dependencies' hash and the kit's additions.

    With another library on the host a package may be built with more in it.
    """
    parts = [app.python, app.python_version, lock_hash, app.packages, app.requirements]
    key = digest([*parts, *filter(None, [app.system_packages.build])], 16)
    return replace(
        app, release=_release(app.name, app.manager, app.release.id, f"{app.venvs}/{key}", app.release.folder)
    )


def with_release(app: App, identity: str) -> App:
    """`app` with the release called `identity`. Raises ModelError when its socket's path would be too long."""
    release = _release(app.name, app.manager, identity, app.release.venv, app.release.folder)
    if len(release.socket.encode()) > SOCKET_LIMIT:
        raise ModelError(
            f"the socket {release.socket} is longer than {SOCKET_LIMIT} bytes; shorten the app's name or `version`"
        )
    return replace(app, release=release)


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


def environment(entry: Mapping[str, Any], vault: Mapping[str, Any], app: App) -> dict[str, str]:
    """Everything the app's processes find in their environment besides the launcher's base, secrets included."""
    own = {**entry.get("environment", {}), **secrets(entry, vault)}
    kit = {
        "HOME": app.home,
        "SLIPWAY_APP": app.name,
        "SLIPWAY_RELEASE": app.release.id,
        "SLIPWAY_SHARED": app.shared,
    }
    if app.mount != "/":
        kit["SCRIPT_NAME"] = (
            app.mount
        )  # gunicorn hands it to WSGI callables; ASGI ones get root_path from its configuration
    return {name: str(value) for name, value in {**kit, **own}.items()}


UNSET = "unset-while-building"
"""What `build` finds in the place of a secret that is not for it."""


def build_environment(environment: Mapping[str, str], hidden: Iterable[str]) -> dict[str, str]:
    """An app's environment as its `build` finds it; `hidden` are the names of the secrets that are not for it."""
    return {**environment, **dict.fromkeys(hidden, UNSET)}


def build_digest(app: App, parts: Any) -> str:
    """What tells one result of `build` from another: its commands and all that they may read; empty without commands.

    `parts` are what the controller alone knows: code, dependencies, contents of `files`, environment.
    """
    return digest([app.build, app.python, app.python_version, app.requirements, parts], 16) if app.build else ""


def manifest(
    app: App, version: str, code: str, lock: str, secrets: Iterable[str] = (), build: str = ""
) -> dict[str, Any]:
    """What a release says of itself on the host: enough to start, prove, activate, retire and return to it.

    Of its secrets only the names, so that messages can be kept free of the values. `build` is its `build_digest`.
    """
    release = app.release
    return {
        "schema": 1,
        "app": app.name,
        "release": release.id,
        "version": version,
        "module": app.module,
        "interface": app.interface,
        "mount": app.mount,
        "manager": app.manager,
        "unit": release.unit,
        "unit_file": release.unit_file,
        "user": app.user,
        "group": app.group,
        "builder": app.builder,
        "nginx_group": app.nginx_group,
        "root": app.root,
        "path": release.path,
        "folder": release.folder,
        "venv": release.venv,
        "run": release.run,
        "socket": release.socket,
        "log": release.log,
        "log_pipe": release.log_pipe if app.manager == "systemd" else "",
        "workers": app.workers,
        "worker_class": app.worker_class,
        "threads": app.threads,
        "timeouts": {**vars(app.timeouts), "proxy": app.timeouts.request},
        "health": {**vars(app.health), "status": [list(pair) for pair in app.health.status]},
        "visit": {"port": app.nginx_port, "host": app.health.host, "path": app.health.path},
        "static": {one.prefix: one.folder for one in app.static},
        "media": {one.prefix: one.folder for one in app.media},
        "system_packages": vars(app.system_packages),
        "keep_releases": app.keep_releases,
        "overlap": app.overlap,
        "secrets": sorted(secrets),
        "python": app.python_version,
        "code": code,
        "build": build,
        "placed": [one.place for one in app.files],
        "lock": lock,
        "supervisor": {"socket": SUPERVISOR_SOCKET, "programs": SUPERVISOR_PROGRAMS},
    }


def site_file(name: str) -> str:
    """nginx's file of the site with that name."""
    return f"{NGINX_CONF_D}/slipway-site-{name}.conf"


def sites(apps: Sequence[App], host: Host) -> list[Site]:
    """The nginx servers of the present apps: one for each set of domains that serves the same apps."""
    by_domain: dict[str, list[App]] = {}
    for app in apps:
        if app.state == "present":
            for domain in app.domains or ("",):
                by_domain.setdefault(domain, []).append(app)
    groups: dict[tuple[str, ...], list[str]] = {}
    for domain, members in by_domain.items():
        groups.setdefault((domain and "named", *sorted(app.name for app in members)), []).append(domain)
    found = []
    for domains in groups.values():
        members = sorted(by_domain[domains[0]], key=lambda app: app.mount)
        default = domains == [""]
        name = "default" if default else domains[0].replace("*", "_")
        found.append(
            Site(
                name=name,
                domains=() if default else tuple(domains),
                port=members[0].nginx_port,
                ipv6=host.ipv6,
                apps=tuple(members),
                file=site_file(name),
            )
        )
    return found
