"""Finds every fault of what a user wrote, in one pass, each with its place and its remedy.

One module, though a long one: each rule about several keys is a small function, and all belong to the same pass.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..contract.names import APP, THREADED
from . import checks, durations, https, run_variables, schema, settings, timers
from .managers import PROCESS_MANAGERS, lacking
from .spelling import as_yaml, did_you_mean
from .timeouts import derive

Where = Callable[[tuple[Any, ...]], str]
"""Names the file and line of a path such as `("apps", "shop", "workers")`, or returns ''."""

FOR_ONE_RUN = tuple(variable.name for variable in run_variables.VARIABLES)
_PREFIXES = (
    "nginx_",
    "package_",
    "process_",
    "firewall_",
    "ssh_",
    "updates_",
    "fail2ban_",
    "tls_",
    "on_",
    "app",
    "vault_app",
)
_TYPES: dict[str, tuple[str, tuple[type, ...]]] = {
    "str": ("text", (str,)),
    "int": ("a whole number", (int,)),
    "float": ("a number", (int, float)),
    "bool": ("true or false", (bool,)),
    "size": ("a size such as 512M", (int, str)),
    "duration": ("a duration such as 90s or 10m", (int, str)),
    "list": ("a list", (list, tuple)),
    "mapping": ("a mapping", (Mapping,)),
    "names": ("a mapping of names to values", (Mapping,)),
    "entries": ("a mapping of names to entries", (Mapping,)),
    "mappings": ("a mapping of names to mappings", (Mapping,)),
}


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong."""

    path: tuple[Any, ...]
    """Where, as keys from the top-level variable down."""
    message: str
    """What is wrong and what to write instead; together with the path it reads as a sentence."""
    where: str = ""
    """File, line and column, when known."""

    def __str__(self) -> str:
        name = ".".join(str(part) for part in self.path)
        return f"{self.where}: {name} {self.message}" if self.where else f"{name} {self.message}"


UNKNOWN_APP = "has no app of that name in `apps`"
"""How the fault of a vault's entry begins whose app this host does not have. Another host may have it."""


WITHOUT_APPS = Fault(("apps",), "is missing; write at least one app: its name, its `module` and its `source`")
"""The fault of a host without the variable `apps`."""


def shown(value: Any) -> str:
    """`value` in a message: short, on one line, the passwords of URLs hidden."""
    text = re.sub(r"://[^/@\s]+@", "://***@", as_yaml(value))
    return text if len(text) <= 60 else text[:57] + "…"


def secret(path: tuple[Any, ...]) -> bool:
    """Whether the value at `path` may hold a secret, and so must not be shown."""
    if path[:1] in (("vault_apps",), ("package_index_credentials",), ("acme_eab",)):
        return True
    return path[2:3] in (("secrets",), ("basic_auth",)) or path[2:5] == ("tls", "acme", "credentials")


def validate(variables: Mapping[str, Any], where: Where = lambda path: "") -> list[Fault]:
    """Every fault of the user's variables of one host.

    `variables` holds what the inventory sets: `apps`, `vault_apps`, the host's settings and whatever else; `where`
    names the place of a path in the inventory.
    """
    faults = [*_variables(variables), *_settings(variables)]
    apps = variables.get("apps")
    if "apps" not in variables:
        faults.append(WITHOUT_APPS)
    elif apps is not None and not isinstance(apps, Mapping):
        faults.append(
            Fault(
                ("apps",),
                f"must be a mapping of names to apps, not {_kind(apps, ('apps',))}; write `shop:` instead of `- name: shop`",
            )
        )
    elif not apps:
        faults.append(
            Fault(
                ("apps",),
                "is empty; write at least one app: its name, its `module` and its `source`. remove.yml removes an app that a host still has",
            )
        )
    else:
        vault = variables.get("vault_apps")
        for name, entry in apps.items():
            faults += _app(name, entry)
            if not is_absent(entry):
                faults += _build_secrets(name, entry, vault.get(name) if isinstance(vault, Mapping) else None)
        faults += _together(apps)
        manager = PROCESS_MANAGERS.get(str(variables.get("process_manager")))
        for name, entry in apps.items():
            if manager and isinstance(entry, Mapping) and not is_absent(entry):
                faults += [Fault(("apps", name, *key), text) for key, text in lacking(manager, entry)]
        faults += _vault(vault, apps)
        whole = sound(apps, faults, "domains", "tls", "hsts", "primary")
        faults += [Fault(("apps", *key), text) for key, text in https.divided(whole)]
        faults += _ports(variables, apps)
    return [Fault(fault.path, fault.message, where(fault.path)) for fault in faults]


def sound(apps: Mapping[Any, Any], faults: Sequence[Fault], *keys: str) -> dict[str, Any]:
    """The present apps in which these keys have no fault. So what they name can be checked, whatever else is wrong."""
    faulty = {
        fault.path[1] for fault in faults if fault.path[:1] == ("apps",) and fault.path[2:3] in [(key,) for key in keys]
    }
    return {
        name: entry
        for name, entry in apps.items()
        if isinstance(entry, Mapping) and name not in faulty and entry.get("state", "present") == "present"
    }


def is_absent(entry: Any) -> bool:
    """Whether an app is to leave the host. Its entry may be faulty."""
    return isinstance(entry, Mapping) and entry.get("state") == "absent"


def _kind(value: Any, path: tuple[Any, ...]) -> str:
    """The kind of the value at `path` in a message, with the value unless it may be a secret."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "a truth value" if secret(path) else f"the truth value {str(value).lower()}"
    for name, (words, types) in _TYPES.items():
        if name not in ("size", "duration", "names", "mappings", "entries") and isinstance(value, types):
            return f"{words} ({shown(value)})" if name in ("str", "int", "float") and not secret(path) else words
    return type(value).__name__


def _variables(variables: Mapping[str, Any]) -> Iterator[Fault]:
    """Top-level names that are nearly ours: typing errors that would otherwise be silent."""
    for name in variables:
        if name not in (*schema.VARIABLES, *FOR_ONE_RUN):
            # Other names are probably of the inventory's own, so only one letter may be wrong.
            cutoff = 0.85 if str(name).startswith(_PREFIXES) else 0.9
            near = difflib.get_close_matches(str(name), schema.VARIABLES, n=1, cutoff=cutoff)
            if near:
                yield Fault((name,), f"is not a variable of Slipway; did you mean {near[0]}?")


def _settings(variables: Mapping[str, Any]) -> Iterator[Fault]:
    for key in schema.SETTINGS:
        value = variables.get(key.name)
        if key.type == "int" and isinstance(value, str) and value.isdecimal():
            value = int(value)  # `-e nginx_http_port=8080` is text
        if value is not None:
            yield from _value((key.name,), key, value)


def _ports(variables: Mapping[str, Any], apps: Mapping[str, Any]) -> Iterator[Fault]:
    """One port for plain http and https. What else is wrong is reported beside it."""
    key, other = "nginx_https_port", "nginx_http_port"
    https_port, port = (str(settings.value(variables, one)) for one in (key, other))
    entries = [entry for entry in apps.values() if isinstance(entry, Mapping) and not is_absent(entry)]
    used = key in variables or any(entry.get("tls", https.NO_TLS) != https.NO_TLS for entry in entries)
    if https_port == port and used:
        yield Fault(
            (key,), f"is {port}, on which nginx listens for plain http (`{other}`); write another port in one of them"
        )


def _keys(path: tuple[Any, ...], keys: tuple[schema.Key, ...], value: Mapping[str, Any]) -> Iterator[Fault]:
    """Faults of a mapping with fixed keys."""
    known = schema.table(keys)
    hints = {name: did_you_mean(str(name), list(known)) for name in value if name not in known}
    for name, item in value.items():
        if name in hints:
            yield Fault((*path, name), f"is not a key{hints[name]}")
        else:
            yield from _value((*path, name), known[name], item)
    for key in keys:
        is_mistyped = f"; did you mean {key.name}?" in hints.values()
        if key.required and key.name not in value and not is_mistyped:
            yield Fault((*path, key.name), f"is missing; for example {key.name}: {as_yaml(key.example)}")


def _value(path: tuple[Any, ...], key: schema.Key, value: Any) -> Iterator[Fault]:
    """Faults of one value: its type, then its choices, then its own check."""
    kinds = key.type.split("|")
    right = any(
        isinstance(value, _TYPES[kind][1]) and (kind == "bool" or not isinstance(value, bool)) for kind in kinds
    )
    if not right:
        wanted = " or ".join(_TYPES[kind][0] for kind in kinds)
        yield Fault(path, f"must be {wanted}, not {_kind(value, path)}; for example {key.name}: {as_yaml(key.example)}")
    elif key.choices and value in key.barred:
        yield Fault(path, f"is {shown(value)}; {key.barred[value]}")
    elif key.choices and value not in key.choices:
        yield Fault(path, f"is {shown(value)}{did_you_mean(str(value), key.choices)}")
    elif "size" in kinds and not _is_size(value):
        yield Fault(
            path, f"is {shown(value)}; must be a size such as {as_yaml(key.example)} (bytes, or with K, M or G)"
        )
    elif "names" in kinds:
        yield from _names(path, key, value)
    elif key.entry:
        for name, item in value.items():
            fault = key.check(name) if key.check and isinstance(name, str) else "must have text as its name"
            if fault:
                yield Fault((*path, name), fault)
            yield from _value((*path, name), key.entry, item)
    elif "mappings" in kinds:
        yield from _mappings(path, key, value)
    else:
        inner = list(_keys(path, key.keys, value)) if key.keys and isinstance(value, Mapping) else []
        fault = key.check(value) if key.check else None
        if fault and not inner:
            is_hidden = (
                (secret(path) and isinstance(value, str))
                or isinstance(value, Mapping | list | tuple)
                or "\n" in str(value)
            )
            yield Fault(path, fault if is_hidden else f"is {shown(value)}; {fault}")
        yield from inner


def _is_size(value: int | str) -> bool:
    try:
        return checks.parse_size(str(value)) > 0
    except ValueError:
        return False


def _names(path: tuple[Any, ...], key: schema.Key, value: Mapping[Any, Any]) -> Iterator[Fault]:
    """Faults of a mapping of names to values: each name's own, so that all are reported."""
    for name, item in value.items():
        here = (*path, name)
        if not isinstance(name, str):
            yield Fault(here, "must have text as its name; write the name in quotes")
        elif key.keys and isinstance(item, Mapping) and item.keys() & {one.name for one in key.keys}:
            yield from _keys(here, key.keys, item)
            if fault := checks.environment({name: ""}):
                yield Fault(here, fault)
        elif not isinstance(item, str | int | float) or isinstance(item, bool):
            hint = f'; write "{str(item).lower()}" in quotes' if isinstance(item, bool) and not secret(path) else ""
            instead = f", or {{{key.keys[0].name}: {key.keys[0].example}}}" if key.keys else ""
            yield Fault(here, f"must be text or a number{instead}, not {_kind(item, here)}{hint}")
        elif key.check and (fault := key.check({name: item})):
            yield Fault(here, fault)


def _mappings(path: tuple[Any, ...], key: schema.Key, value: Mapping[Any, Any]) -> Iterator[Fault]:
    """Faults of a mapping of names to mappings with the same keys."""
    for name, item in value.items():
        here = (*path, name)
        if not isinstance(name, str):
            yield Fault(here, "must have text as its name; write the name in quotes")
        elif key.check and (fault := key.check(name)):
            yield Fault(here, fault)
        elif not isinstance(item, Mapping) or not item:
            yield Fault(
                here, f"must be a mapping with {' or '.join(one.name for one in key.keys)}, not {_kind(item, here)}"
            )
        else:
            yield from _keys(here, key.keys, item)


def _app(name: Any, entry: Any) -> Iterator[Fault]:
    path = ("apps", name)
    if not isinstance(name, str) or not APP.fullmatch(name):
        yield Fault(path, "is no name for an app; use 1 to 31 lower-case letters, digits and hyphens, a letter first")
    if not isinstance(entry, Mapping):
        yield Fault(path, f"must be a mapping with at least `module` and `source`, not {_kind(entry, path)}")
        return
    if entry.get("state", "present") != "present":
        # To take an app off, its name is enough: whatever else its entry has or lacks. It only has to be readable.
        # A faulty state may stand for that, too.
        optional = tuple(replace(key, required=False) for key in schema.APP)
        yield from _keys(path, optional, entry)
        return
    faults = [*_of_web(path, entry), *_keys(path, schema.APP, entry)]
    yield from faults
    if not faults:
        entry = durations.in_seconds(entry)
        yield from _timeouts(path, entry)
        yield from _classes(path, entry)
        yield from _recycle(path, entry)
        yield from _files(path, entry)
        yield from _timers(path, entry)
        yield from (Fault((*path, *key), text) for key, text in https.faults(entry))
        yield from _front(path, entry)
        for both in sorted(set(entry.get("environment", ())) & set(entry.get("secrets", ()))):
            yield Fault((*path, "secrets", both), "is in `environment` too; write it in one of the two")


OF_WEB = (
    "domains",
    "tls",
    "hsts",
    "primary",
    "locations",
    "rate_limit",
    "headers",
    "noindex",
    "basic_auth",
    "allow",
    "error_pages",
    "mount",
    "interface",
    "workers",
    "threads",
    "worker_class",
    "request_timeout",
    "buffers",
    "max_body_size",
    "static",
    "health",
    "warm_up",
    "recycle",
    "gunicorn_extra",
    "nginx_extra",
)
"""Keys that are about the web server alone."""


def _of_web(path: tuple[Any, ...], entry: Mapping[str, Any]) -> Iterator[Fault]:
    """What an app of processes alone cannot have; and an app of nothing."""
    if "module" in entry:
        return
    if not entry.get("processes"):
        example = as_yaml(schema.table(schema.APP)["module"].example)
        yield Fault((*path, "module"), f"is missing; for example module: {example}")
        return
    for name in OF_WEB:
        if name in entry:
            yield Fault(
                (*path, name), "is about a web server, and the app has no `module`; leave it out, or add `module`"
            )


def _timers(path: tuple[Any, ...], entry: Mapping[str, Any]) -> Iterator[Fault]:
    """Timers that are called as a process is, and those that are faster than they may take."""
    for name, given in entry.get("timers", {}).items():
        here = (*path, "timers", name)
        if name in entry.get("processes", {}):
            yield Fault(here, "has the name of a process; choose another name for one of them")
        if fault := timers.fault(given):
            yield Fault((*here, "timeout"), fault)


def _timeouts(path: tuple[Any, ...], entry: Mapping[str, Any]) -> Iterator[Fault]:
    """The order that makes 504, 502 and 500 tell three different things (architecture: one number sets the timeouts)."""
    times = derive(entry)
    given = entry.get("timeouts", {})
    request = times.longest
    longest = "request_timeout" if request == times.request else "the longest request_timeout of `locations`,"
    for name, floor, sum_shown, why in (
        (
            "gunicorn",
            request + 1,
            f"{longest} {request} + 1",
            "a slow request would be a 502 of a killed worker instead of a 504",
        ),
        ("graceful", request, f"{longest} {request}", "a stop would cut requests that nginx still waits for"),
        (
            "stop",
            times.graceful + 1,
            f"graceful {times.graceful} + 1",
            "the process manager would kill workers that are still allowed to finish",
        ),
    ):
        chosen = getattr(times, name)
        if name in given and chosen < floor:
            yield Fault(
                (*path, "timeouts", name),
                f"is {chosen} s, less than {floor} s ({sum_shown}): {why}; raise it or leave it out",
            )


def _classes(path: tuple[Any, ...], entry: Mapping[str, Any]) -> Iterator[Fault]:
    """Worker classes that contradict the interface or the threads."""
    worker, interface = entry.get("worker_class"), entry.get("interface")
    asgi = ("asgi", "uvicorn")
    if worker and interface and (worker in asgi) != (interface == "asgi"):
        fitting = "asgi or uvicorn" if interface == "asgi" else "threads, gthread, sync, gevent or tornado"
        yield Fault((*path, "worker_class"), f"is {worker}, which does not serve interface {interface}; use {fitting}")
    if "threads" in entry and worker and worker not in THREADED and entry["threads"] > 1:
        yield Fault(
            (*path, "threads"),
            f"is {entry['threads']}, but worker_class {worker} has no threads; use threads or leave it out",
        )


def _recycle(path: tuple[Any, ...], entry: Mapping[str, Any]) -> Iterator[Fault]:
    """A number of requests that is written twice, and a worker that may have more than all together."""
    recycle, limits = entry.get("recycle", {}), entry.get("limits", {})
    twice = re.search(r"(?m)^\s*(max_requests\w*)\b", entry.get("gunicorn_extra", ""))
    if "requests" in recycle and twice:
        yield Fault((*path, "gunicorn_extra"), f"must not set {twice[1]} beside `recycle.requests`; use one of the two")
    if "memory" in recycle and "memory" in limits:
        worker, together = (checks.parse_size(str(one["memory"])) for one in (recycle, limits))
        if worker >= together:
            yield Fault(
                (*path, "recycle", "memory"),
                f"is {recycle['memory']}, which no worker reaches: `limits.memory` is {limits['memory']} for all of them; "
                "write less",
            )


def _front(path: tuple[Any, ...], entry: Mapping[str, Any]) -> Iterator[Fault]:
    """Paths and directives that nginx would take from elsewhere."""
    for place in entry.get("locations", ()):
        prefix = next((prefix for prefix in entry.get("static", ()) if f"{place}/".startswith(prefix)), None)
        if prefix is not None:
            yield Fault(
                (*path, "locations", place),
                f"is in {prefix} of `static`, which nginx serves itself; choose another path, or leave it out",
            )
    directives = checks.directives(entry.get("nginx_extra", ""))
    for key, names in (
        ("basic_auth", ("auth_basic", "auth_basic_user_file")),
        ("rate_limit", ("limit_req_status", "limit_conn_status")),
    ):
        for name in names:
            if entry.get(key) and name in directives:
                yield Fault((*path, "nginx_extra"), f"must not set {name} beside the key `{key}`; use one of the two")


def _files(path: tuple[Any, ...], entry: Mapping[str, Any]) -> Iterator[Fault]:
    """Files where one of them, or nginx, is in the way."""
    places = [str(place) for place in entry.get("files", ())]
    for place in places:
        here = (*path, "files", place)
        above = next((other for other in places if place.startswith(f"{other}/")), None)
        if above is not None:
            yield Fault(here, f"is below {above}, which is a file; choose another place for one of them")
        for folder in entry.get("static", {}).values():
            below = "/".join(part for part in str(folder).split("/") if part not in ("", "."))
            if not below or place == below or place.startswith(f"{below}/"):
                yield Fault(
                    here,
                    f"is in {as_yaml(folder)}, a folder of `static`, which nginx serves to every client; choose a place outside of it",
                )


def _build_secrets(name: Any, entry: Any, vault: Any) -> Iterator[Fault]:
    """Names in `build_secrets` that are no secrets of the app's."""
    wanted = entry.get("build_secrets") if isinstance(entry, Mapping) else None
    if not isinstance(wanted, list | tuple) or not wanted:
        return
    here = ("apps", name, "build_secrets")
    if "build" not in entry:
        yield Fault(here, "says which secrets `build` gets, and the app has no `build`; write one, or leave this out")
        return
    holders = [holder.get("secrets") for holder in (entry, vault) if isinstance(holder, Mapping)]
    held = sorted({str(key) for holder in holders if isinstance(holder, Mapping) for key in holder})
    for one in wanted:
        if isinstance(one, str) and not checks.variable(one) and one not in held:
            hint = did_you_mean(one, held) if held else "; the app has none"
            yield Fault(here, f"names {one}, which is no secret of the app's{hint}")


def _together(apps: Mapping[str, Any]) -> Iterator[Fault]:
    """Two apps on one domain and mount."""
    taken: dict[tuple[str, str], str] = {}
    for name, entry in apps.items():
        if not isinstance(entry, Mapping) or is_absent(entry):
            continue
        domains, mount = entry.get("domains", ()), entry.get("mount", "/")
        if not isinstance(domains, list | tuple) or not isinstance(mount, str) or "module" not in entry:
            continue
        for domain in [str(item).lower() for item in domains] or [""]:
            other = taken.setdefault((domain, mount), name)
            if other != name:
                what = f"domain {domain}" if domain else "the default site (neither names a domain)"
                yield Fault(
                    ("apps", name),
                    f"wants {what} at mount {mount}, which apps.{other} has already; change domains or mount of one",
                )


def _vault(vault: Any, apps: Mapping[str, Any]) -> Iterator[Fault]:
    if vault is None:
        return
    if not isinstance(vault, Mapping):
        yield Fault(("vault_apps",), f"must be a mapping of names to apps, not {_kind(vault, ('vault_apps',))}")
        return
    for name, entry in vault.items():
        path = ("vault_apps", name)
        if name not in apps:
            yield Fault(path, f"{UNKNOWN_APP}{did_you_mean(str(name), [str(app) for app in apps])}")
        if not isinstance(entry, Mapping):
            yield Fault(path, f"must be a mapping with `secrets`, not {_kind(entry, path)}")
            continue
        yield from _keys(path, schema.SECRETS, entry)
        app = apps.get(name)
        users = entry.get("basic_auth")
        others = app.get("basic_auth") if isinstance(app, Mapping) else None
        if isinstance(users, Mapping) and isinstance(others, Mapping):
            for both in sorted(set(users) & set(others), key=str):
                yield Fault(
                    (*path, "basic_auth", both), f"is in apps.{name}.basic_auth too; write it in one of the two"
                )
        if isinstance(app, Mapping) and isinstance(entry.get("secrets"), Mapping):
            for part in ("environment", "secrets"):
                section = app.get(part)
                for both in sorted(
                    set(entry["secrets"]) & set(section if isinstance(section, Mapping) else ()), key=str
                ):
                    yield Fault((*path, "secrets", both), f"is in apps.{name}.{part} too; write it in one of the two")
