"""Turns a user's entry and a host into a resolved app.

It derives everything that depends on neither the interface nor the content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..contract.manifest import Health, SystemPackages
from . import (
    checks,
    commands,
    durations,
    front,
    https,
    interpreters,
    layout,
    processes,
    schema,
    sites,
    timeouts,
    timers,
)
from .managers import PROCESS_MANAGERS, lacking
from .settings import settings
from .types import App, Hook, Host, Limits, Media, Placed, Recycle, Sandbox, Settings, Static, Wishes
from .workers import HOST_SHARE

HEAD_BUFFERS = 4
"""How many of nginx's buffers a request's head may fill; `nginx_max_header_size` is the size of one."""


def resolve_all(variables: Mapping[str, Any], host: Host) -> list[App]:
    """Every app of the (validated) inventory of one host, in its order, absent ones too.

    Raises:
        ModelError: because of one of them, the host would stop serving another program's site.
    """
    host_settings = settings(variables, host)
    entries = variables["apps"]
    present = sum(1 for entry in entries.values() if entry.get("state") != "absent") or 1
    memory = host.memory * HOST_SHARE / present
    vault = variables.get("vault_apps") or {}
    apps = [
        resolve(str(name), {**entry, "basic_auth": users(entry, vault.get(name) or {})}, host_settings, host, memory)
        for name, entry in entries.items()
    ]
    sites.spare_other_sites(apps, host_settings, host)
    return apps


def resolve(name: str, entry: Mapping[str, Any], host_settings: Settings, host: Host, memory: float) -> App:
    """One app, completed.

    What keeps this host from making a new release of it is its `fault`: it concerns no other app.

    Args:
        name: its name.
        entry: what the user wrote of it.
        host_settings: the host's settings.
        host: the host.
        memory: bytes that its workers may take where it has no separate limit.
    """
    defaults = schema.table(schema.APP)
    entry = durations.in_seconds(entry)

    def value(key: str) -> Any:
        return entry.get(key, defaults[key].default)

    mount = value("mount")
    prefix = "" if mount == "/" else mount
    domains = tuple(domain.lower() for domain in value("domains"))
    limits = _limits(value("limits"))
    tls = https.derive(entry)
    primary = entry["primary"].lower() if "primary" in entry else None
    packages = value("system_packages")
    system_packages = SystemPackages(tuple(packages.get("build", ())), tuple(packages.get("run", ())))
    python, fault = interpreters.Interpreter("", ""), ""
    if entry.get("state") != "absent":
        python, fault = _interpreter(name, entry, host, host_settings.python_archives)
        for key, text in lacking(PROCESS_MANAGERS[host_settings.process_manager], entry):
            fault = f"apps.{name}.{'.'.join(key)} {text}"
    requirements = entry.get("requirements")
    noindex = bool(entry.get("noindex", host_settings.noindex))
    return App(
        name=name,
        module=module(str(entry.get("module", ""))),
        source=dict(entry.get("source", {})),
        folder=layout.in_source(entry, ""),
        domains=domains,
        mount=mount,
        interface=value("interface"),
        python=python.path,
        python_version=python.version,
        python_folder=python.folder,
        requirements=tuple(requirements) if isinstance(requirements, list | tuple) else requirements,
        system_packages=system_packages,
        wishes=Wishes(
            worker_class=entry.get("worker_class"),
            workers=entry.get("workers"),
            threads=entry.get("threads"),
            cores=host.cores if limits.cpu is None else max(1, min(host.cores, limits.cpu // 100)),
            memory=memory if limits.memory is None else limits.memory,
        ),
        timeouts=timeouts.derive(entry),
        max_body_size=checks.parse_size(str(value("max_body_size"))),
        locations=front.locations(name, mount, entry),
        request_head=HEAD_BUFFERS * host_settings.nginx_max_header_size,
        buffers=checks.parse_size(str(value("buffers"))),
        static=tuple(
            Static(prefix=f"{prefix}{url}", folder=layout.in_source(entry, str(folder)))
            for url, folder in value("static").items()
            if not checks.in_shared(str(folder))
        ),
        media=tuple(
            Media(prefix=f"{prefix}{url}", folder=below)
            for url, folder in value("static").items()
            if (below := checks.in_shared(str(folder)))
        ),
        headers=(headers := front.headers(name, entry, noindex)),
        media_headers=tuple(one for one in headers if one.name.lower() not in front.MEDIA),
        noindex=noindex,
        basic_auth=bool(value("basic_auth")),
        allow=tuple(value("allow")),
        rate_limit=front.rate_limit(entry),
        error_pages=entry.get("error_pages"),
        own_errors="proxy_intercept_errors" in checks.directives(value("nginx_extra")),
        build=commands.parse(entry["build"]) if "build" in entry else (),
        build_secrets=tuple(value("build_secrets")),
        files=tuple(
            Placed(place=layout.in_source(entry, str(place)), key=str(place), origin=str(origin))
            for place, origin in sorted(value("files").items())
        ),
        health=(health := _health(value("health"), prefix, (primary, *domains) if primary else domains, tls)),
        hooks=tuple(_hook(when, hook) for when, hook in value("hooks").items()),
        processes=processes.parse(entry),
        timers=timers.parse(entry),
        warm_up=tuple(prefix + path for path in entry["warm_up"]) if "warm_up" in entry else (health.path,),
        recycle=_recycle(value("recycle")),
        limits=limits,
        network=value("network"),
        sandbox=_sandbox(value("sandbox")),
        keep_releases=value("keep_releases"),
        state=value("state"),
        overlap=value("overlap"),
        together=value("together"),
        fault=fault or _unavailable(name, system_packages, host),
        gunicorn_extra=value("gunicorn_extra"),
        nginx_extra=value("nginx_extra"),
        nginx_extra_streams=checks.for_streams(value("nginx_extra")),
        unit_extra=value("unit_extra"),
        manager=host_settings.process_manager,
        user=name,
        group=name,
        builder=layout.builder(name),
        nginx_group=host.nginx_group,
        listeners=host_settings.listeners,
        https_listeners=host_settings.https_listeners if tls else (),
        tls=tls,
        primary=primary,
        **layout.of_app(name),
    )


def users(entry: Mapping[str, Any], vault: Mapping[str, Any]) -> dict[str, str]:
    """The users of an app's `basic_auth` with their passwords, from both places where they may be written."""
    both = {**entry.get("basic_auth", {}), **vault.get("basic_auth", {})}
    return {name: str(password) for name, password in both.items()}


def module(path: str) -> str:
    """The module path as gunicorn takes it, the attribute written out (`application`: gunicorn's and PEP 3333's name)."""
    return path if not path or ":" in path else f"{path}:application"


def _interpreter(
    name: str, entry: Mapping[str, Any], host: Host, archives: Mapping[str, str]
) -> tuple[interpreters.Interpreter, str]:
    """The interpreter of an app, and why it has none."""
    try:
        return interpreters.choose(entry.get("python"), host.pythons, host.python, archives), ""
    except interpreters.NoInterpreter as exc:
        return interpreters.Interpreter("", ""), f"apps.{name}.python: {exc}"


def _unavailable(name: str, packages: SystemPackages, host: Host) -> str:
    """Which packages of the distribution an app lacks on a host that cannot have them; empty for none."""
    return "; ".join(
        f"apps.{name}.system_packages.{kind}: {package} is not installed, since {host.unavailable[package]}"
        for kind, wanted in vars(packages).items()
        for package in wanted
        if package in host.unavailable
    )


def _sandbox(sandbox: Mapping[str, Any]) -> Sandbox:
    allowed = sandbox.get("allow", ())
    return Sandbox(
        home="home" in allowed,
        tmp="tmp" in allowed,
        processes="processes" in allowed,
        devices="devices" in allowed,
        priorities="priorities" in allowed,
        # The file system is read-only except for these paths, the host's /tmp included.
        write=(*sandbox.get("write", ()), *(("/tmp", "/var/tmp") if "tmp" in allowed else ())),  # noqa: S108  # nosec B108 # nothing is written there
    )


def _recycle(recycle: Mapping[str, Any]) -> Recycle:
    requests = recycle.get("requests", 0)
    return Recycle(requests=requests, jitter=requests // 10, memory=checks.parse_size(str(recycle.get("memory", 0))))


def _limits(limits: Mapping[str, Any]) -> Limits:
    memory = limits.get("memory")
    return Limits(
        memory=None if memory is None else checks.parse_size(str(memory)),
        cpu=round(limits["cpu"] * 100) if "cpu" in limits else None,
        tasks=limits.get("tasks"),
        files=limits.get("files", schema.table(schema.LIMITS)["files"].default),
    )


def _hook(when: str, hook: Any) -> Hook:
    if not isinstance(hook, Mapping):
        hook = {"command": hook}
    return Hook(
        when=when,
        commands=commands.parse(hook["command"]) if "command" in hook else (),
        tasks=hook.get("tasks"),
        timeout=hook.get("timeout", schema.table(schema.HOOK)["timeout"].default),
    )


def _health(health: Mapping[str, Any], prefix: str, domains: Sequence[str], tls: https.Tls | None) -> Health:
    keys = schema.table(schema.HEALTH)

    def value(key: str) -> Any:
        return health.get(key, keys[key].default)

    configured = "path" in health
    accepted = health.get("status", "200-299" if configured else ["200-399", "401-420", "422-499"])
    # A wildcard domain is asked by some name below it.
    host = health.get("host") or (domains[0].replace("*", "health") if domains else "localhost")
    return Health(
        path=prefix + value("path"),
        status=checks.parse_statuses(accepted),
        body=value("body"),
        host=host,
        scheme=health.get("scheme") or ("https" if tls else "http"),
        successes=value("successes"),
        interval=float(value("interval")),
        soak=float(value("soak")),
        follow=not configured and "status" not in health,
    )
