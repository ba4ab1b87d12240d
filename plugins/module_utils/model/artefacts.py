"""Lists the files of a host, by layer: which template goes where, for which user, with which variables.

The roles place them with the `files` action, the offline render writes them under build/.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import Any

from ..contract import names, queries
from ..contract.manifest import WEB
from . import front, https, layout, manners, ownership, releases, sites, timers, workers
from .managers import PROCESS_MANAGERS, Entry
from .resolve import HEAD_BUFFERS
from .types import App, Host, Listener, Release, Settings, Site

NGINX_REFUSE = f"{names.NGINX_CONF_D}/slipway-01-refuse.conf"
"""The default server, which refuses host names that belong to no app."""
HTTP2_DIRECTIVE = (1, 25, 1)
"""The first nginx with the directive `http2`; an older one has it as a word of `listen`."""
KEEPALIVE_TIME = (1, 19, 10)
"""The first nginx that limits the age of a connection to an instance (`keepalive_time`)."""
KEEPS_BY_DEFAULT = (1, 29, 7)
"""The first nginx that keeps connections to an instance unless `keepalive 0` forbids it, which an older one refuses."""


def nginx_base(settings: Settings, host: Host) -> list[Entry]:
    """What nginx has before there is an app; the kit's nginx.conf only where no other one was written."""
    variables = {"nginx": {"user": host.nginx_user, "worker_connections": settings.nginx_worker_connections}}
    entries: list[Entry] = [*logs(), {"dest": names.NGINX_APPS, "state": "directory"}]
    if not host.nginx_installed or host.welcome_page:
        # The package's "Welcome to nginx!"; a site of the user's is never touched.
        entries.append({"dest": host.welcome_page or "/etc/nginx/sites-enabled/default", "state": "absent"})
    if host.nginx_distro:
        entries.append({"content": host.nginx_distro, "dest": "/etc/nginx/nginx.conf.slipway-orig"})
    if host.nginx_main != "local":
        entries.append({"src": "nginx/nginx.conf.j2", "dest": "/etc/nginx/nginx.conf", "vars": variables})
    return entries


def nginx_sites(
    settings: Settings,
    host: Host,
    apps: Sequence[App],
    on_host: Mapping[str, Sequence[str]],
    held: Collection[str] = (),
    texts: Mapping[str, str] = MappingProxyType({}),
) -> list[Entry]:
    """Every app's nginx files, as `_nginx_files` has them. Raises ModelError where an app cannot leave its site alone."""
    sites.check_leaving(apps, on_host, held)
    return _nginx_files(settings, host, apps, on_host, held, texts)


def _nginx_files(
    settings: Settings,
    host: Host,
    apps: Sequence[App],
    on_host: Mapping[str, Sequence[str]],
    held: Collection[str] = (),
    texts: Mapping[str, str] = MappingProxyType({}),
) -> list[Entry]:
    """Every app's nginx files, and what they share. `on_host` are the site files on the host, with the apps that each includes.

    `texts` are the files that no template makes, by their path: the users of `basic_auth`, and the user's own error pages.

    They change together: a site of this kit may use what an older one's base has not. A site file whose apps are all of
    this inventory and which is no longer wanted goes; so do the files of absent apps. What the host has of the apps that
    are `held` back stays as it is.
    """
    known, all_apps = {app.name for app in apps}, sites.in_nginx(apps)
    back = [app for app in apps if app.name in held]
    apps = [app for app in all_apps if app.name not in held]
    defaults = set(on_host.get(layout.site_file("default"), ()))
    default = bool(defaults & set(held) or defaults - known)
    entries: list[Entry] = _shared(settings)
    head = {"head": {"buffers": HEAD_BUFFERS, "size": settings.nginx_max_header_size}}
    # Another program's default site stays; so does that of an app without domains, also of another inventory.
    refused = [] if default else _refused(settings, host, all_apps, sites.elsewhere(host, on_host, known))
    if refused:
        listen = {"listeners": [asdict(one) for one in sites.default(refused)], "tls": _policy(settings, host)}
        entries.append({"src": "nginx/refuse.conf.j2", "dest": NGINX_REFUSE, "vars": {**listen, **head}})
    else:
        entries.append({"dest": NGINX_REFUSE, "state": "absent"})
    for app in apps:
        entries += _of_app(app, texts, host)
    wanted = sites.sites(all_apps, held)
    if any(site.certificate for site in wanted):
        entries.append({"dest": names.NGINX_SITES, "state": "directory"})
    for site in wanted:
        members = on_host.get(site.file, ())
        # Another app may take the place of one that leaves.
        taken = {app.mount for app in site.apps}
        kept = [app for app in back if app.name in members and not (app.state == "absent" and app.mount in taken)]
        if kept:
            site = replace(site, apps=tuple(sorted((*site.apps, *kept), key=lambda app: app.mount)))
        variables = {
            "site": {
                **asdict(site),
                "apps": [_served(app) for app in site.apps],
                "servers": [asdict(server) for server in sites.servers(site)],
            },
            "trusted_proxies": settings.nginx_trusted_proxies,
            "tls": _policy(settings, host),
            "webroot": names.ACME_WEBROOT,
            "access_log": settings.access_log,
            "refused_log": names.NGINX_REFUSED_LOG,
            "long_head": manners.LONG_HEAD,
            **_ERRORS,
            **head,
        }
        entries.append({"src": "nginx/site.conf.j2", "dest": site.file, "vars": variables})
        entries += _plain_port(site, variables)
    for path in sorted(on_host.keys() - {site.file for site in wanted}):
        if set(on_host[path]) <= known and not set(on_host[path]) & set(held):
            entries += ({"dest": file, "state": "absent"} for file in (path, *_plain_files(layout.site_name(path))))
    return entries


def _refused(settings: Settings, host: Host, apps: Sequence[App], others: Sequence[Listener]) -> list[Listener]:
    """Where nginx refuses the names of no app: on each port that has no other default site.

    That includes the ports of the `others`, which serve the apps of other inventories: the file is the host's.
    """
    here = sites.present(apps)
    used = [*settings.listeners, *(settings.https_listeners if any(app.tls for app in here) else ())]
    ports = {one.port for one in used}
    used += [one for one in others if one.port not in ports]
    used.sort(key=lambda one: one.port)  # the same file, whichever inventory writes it
    taken = {one.port for app in here if not app.domains for one in (*app.listeners, *app.https_listeners)}
    return [one for one in used if one.port not in taken and not host.port(one.port).default_server]


def _policy(settings: Settings, host: Host) -> dict[str, Any]:
    """What nginx's servers for https let clients speak, and how this nginx reads it."""
    return {
        **asdict(https.policy(settings.tls_policy, host.openssl)),
        "http2_on": host.nginx_version >= HTTP2_DIRECTIVE,
    }


def _plain_port(site: Site, variables: Mapping[str, Any]) -> list[Entry]:
    """What a site's port for plain http may do: its certificate includes one of the two files."""
    plain, redirect = _plain_files(site.name)
    if not site.certificate:
        return [{"dest": plain, "state": "absent"}, {"dest": redirect, "state": "absent"}]
    leads = site.https_listeners[0].url(site.primary or "$host", "")
    return [
        {"src": "nginx/plain.conf.j2", "dest": plain, "vars": variables},
        {"src": "nginx/redirect.conf.j2", "dest": redirect, "vars": {**variables, "leads": leads}},
    ]


def _plain_files(site: str) -> tuple[str, str]:
    return names.plain_file(site), names.redirect_file(site)


def _served(app: App) -> dict[str, Any]:
    """An app as nginx's templates see it: without what changes with the number of apps, so that others' files stay."""
    seen = asdict(app)
    del seen["wishes"]
    return {**seen, "variable": front.variable(app.name)}


_ERRORS = {"errors": list(manners.ERRORS), "error_pages": names.NGINX_ERRORS}
"""What a template needs that names nginx's error pages."""


def _shared(settings: Settings) -> list[Entry]:
    """What every app's server uses."""
    variables = {
        "nginx": {"trusted_proxies": settings.nginx_trusted_proxies},
        "headers": [asdict(one) for one in front.default_headers()],
        "errors": {status: asdict(reply) for status, reply in manners.ERRORS.items()},
        "log": {
            "longest": manners.LOGGED,
            "utf8": manners.UTF8,
            "user": manners.USER,
            "release": names.RELEASE.pattern,
        },
        "secret": {
            "separator": queries.SEPARATOR,
            "equals": queries.EQUALS,
            "letter": queries.LETTER,
            "anywhere": queries.ANYWHERE,
            "before_end": queries.BEFORE_END,
            "at_end": queries.AT_END,
            "after_end": queries.AFTER_END,
        },
    }
    return [
        {"src": "nginx/base.conf.j2", "dest": names.NGINX_BASE, "vars": variables},
        {"src": "nginx/visit.conf.j2", "dest": names.NGINX_VISIT, "vars": {"keys": names.visit_key("*")}},
        # A host of an older kit has no folder for the apps' files in the set of its sites, but it has it.
        {"dest": names.NGINX_ERRORS, "state": "directory"},
        *({"src": f"nginx/error.{kind}.j2", "dest": f"{names.NGINX_ERRORS}/error.{kind}"} for kind in ("html", "json")),
    ]


def _of_app(app: App, texts: Mapping[str, str], host: Host) -> list[Entry]:
    """nginx's files of one app; those that it does not need are absent."""
    present = app.state == "present"
    optional = {
        app.nginx_extra_file: app.nginx_extra,
        app.nginx_extra_streams_file: app.nginx_extra_streams,
        app.nginx_static_headers_file: app.static,
        app.nginx_media_headers_file: app.media,
    }
    entries: list[Entry] = []
    for dest, src in _app_files(app).items():
        if not present or not optional.get(dest, True):
            entries.append({"dest": dest, "state": "absent"})
            continue
        headers = app.media_headers if dest == app.nginx_media_headers_file else app.headers
        variables = {
            "app": _served(app),
            "headers": [asdict(one) for one in headers],
            "of_files": dest in (app.nginx_static_headers_file, app.nginx_media_headers_file),
            "keeps_connections": host.nginx_version >= KEEPALIVE_TIME and workers.may_keep(app),
            "keeps_by_default": host.nginx_version >= KEEPS_BY_DEFAULT,
            **_ERRORS,
        }
        about = {"about": f"apps.{app.name}.nginx_extra"} if dest == app.nginx_extra_file else {}
        entries.append({"src": src, "dest": dest, "vars": variables, **about})
    users = texts.get(app.nginx_users_file)
    if present and users is not None:
        owner = {"owner": "root", "group": app.nginx_group, "mode": "0640"}
        entries.append({"dest": app.nginx_users_file, "content": users, "diff": False, **owner})
    else:
        entries.append({"dest": app.nginx_users_file, "state": "absent"})
    return [*entries, _visit_key(app), *_error_pages(app, texts)]


def _visit_key(app: App) -> Entry:
    """The app's key for the kit's own requests. The host makes it."""
    dest = names.visit_key(app.name)
    if app.state != "present":
        return {"dest": dest, "state": "absent"}
    variables = {"app": {"name": app.name}, "key": names.RANDOM}
    return {"src": "nginx/visit.key.j2", "dest": dest, "vars": variables, "mode": "0600", "diff": False, "random": True}


def _error_pages(app: App, texts: Mapping[str, str]) -> list[Entry]:
    """The user's own error pages of an app. A page that left the inventory's folder leaves the host."""
    if app.state == "absent" or not app.error_pages:
        return [{"dest": app.error_pages_folder, "state": "absent", "recursive": True}]
    paths = [f"{app.error_pages_folder}/{page}" for page in manners.PAGES]
    return [
        {"dest": app.error_pages_folder, "state": "directory"},
        *(
            {"dest": path, "content": texts[path]} if path in texts else {"dest": path, "state": "absent"}
            for path in paths
        ),
    ]


def _app_files(app: App) -> dict[str, str]:
    """The templates of nginx's files of one app, by place."""
    return {
        app.nginx_extra_file: "nginx/extra.conf.j2",
        app.nginx_extra_streams_file: "nginx/streams.conf.j2",
        layout.upstream_file(app.name): "nginx/upstream.conf.j2",
        app.nginx_headers_file: "nginx/headers.conf.j2",
        app.nginx_static_headers_file: "nginx/headers.conf.j2",
        app.nginx_media_headers_file: "nginx/headers.conf.j2",
        app.nginx_locations: "nginx/locations.conf.j2",
    }


def nginx_leaving(
    settings: Settings,
    host: Host,
    before: Sequence[App],
    after: Sequence[App],
    on_host: Mapping[str, Sequence[str]],
    spared: Collection[str] = (),
) -> list[Entry]:
    """Those of nginx's files that change when apps leave the host, and no other app's; with a site, what it uses.

    `before` are the apps as the inventory has them, `after` the same with the leaving ones absent, and with those that
    it does not know. `on_host` as in `nginx_sites`. The absent apps that are `spared` leave later.
    """
    leaving = {app.name for app in after if app.state == "absent"} - set(spared)
    files = {entry["dest"] for app in after if app.name in leaving for entry in _of_app(app, {}, host)}
    left = [path for path, members in on_host.items() if leaving & set(members)]
    files |= {*left, *(file for path in left for file in _plain_files(layout.site_name(path)))}
    unchanged = _nginx_files(settings, host, before, on_host, spared)
    shared = _shared(settings)
    entries = nginx_sites(settings, host, after, on_host, spared)[len(shared) :]
    changed = [entry for entry in entries if entry["dest"] in files or entry not in unchanged]
    using = [entry for entry in changed if "src" in entry and entry["dest"] != NGINX_REFUSE]
    return [*shared, *changed] if using else changed


def site_logs(app: App, apps: Sequence[App], on_host: Mapping[str, Sequence[str]]) -> list[str]:
    """How the names of nginx's logs begin, of the sites that go with an absent app."""
    kept = {site.name for site in sites.sites(apps)}
    here = {layout.site_name(path): members for path, members in on_host.items()}
    gone = {name for name, members in here.items() if app.name in members}
    gone |= {domain.replace("*", "_") for domain in app.domains[:1]} - here.keys()  # in case its site has gone before
    return [f"/var/log/nginx/slipway-{name}" for name in sorted(gone - kept)]


def logs() -> list[Entry]:
    """Rotation of the instances' logs."""
    variables = {"logs": names.LOGS, "supervisor_pid": names.SUPERVISOR_PID}
    return [{"src": "logrotate/slipway.j2", "dest": "/etc/logrotate.d/slipway", "vars": variables}]


def commands(apps: Sequence[App], program: str, sudo: bool, ruled: Sequence[str] = ()) -> list[Entry]:
    """The text of `program`, which runs an app's commands on the host; with sudo, also for the members of the app's group.

    Each app has a rule in its own file, since another inventory of the host has rules, too. An older kit wrote all of them into one
    file. The apps that are `ruled` there and that this inventory does not have keep their rules.
    """
    rules: list[Entry] = []
    wanted = {app.name: app.state == "present" for app in apps}
    for app in sorted({*wanted, *ruled}):
        if sudo and wanted.get(app, True):
            variables = {"program": names.RUN_COMMAND, "app": app}
            rules.append({"src": "sudo/slipway.j2", "dest": names.sudoers(app), "mode": "0440", "vars": variables})
        else:
            rules.append({"dest": names.sudoers(app), "state": "absent"})
    old: Entry = {"dest": names.SUDOERS, "state": "absent"}
    return [{"content": program, "dest": names.RUN_COMMAND, "mode": "0755"}, *rules, old]


def sudo_test(entries: Sequence[Entry], program: str) -> list[str]:
    """The command that tests sudo's rules among these files with `program`, which takes one file; empty without rules."""
    rules = [entry["dest"] for entry in entries if entry.get("src") == "sudo/slipway.j2"]
    each = f'for file; do {program} -c -q -f "$file" || exit; done'
    return ["/bin/sh", "-c", each, "sh", *rules] if rules else []


def release(it: Release) -> dict[str, tuple[str, dict[str, Any]]]:
    """A release's rendered files: name in its folder to (template, variables). The manifest is not rendered."""
    app, manager = it.app, PROCESS_MANAGERS[it.app.manager]
    files: dict[str, tuple[str, dict[str, Any]]] = {}
    for program in it.programs:
        variables = {"app": releases.view(it, program)}
        if program.name == WEB:
            files["gunicorn.conf.py"] = (
                "gunicorn/gunicorn.conf.py.j2",
                {
                    **variables,
                    "owned": ownership.GUNICORN,
                    "proved": names.PROVED_GUNICORN,
                    "memory_limit": app.limits.memory if manager.limits_memory else None,
                },
            )
            if app.gunicorn_extra:
                files[names.GUNICORN_EXTRA] = ("gunicorn/gunicorn_extra.py.j2", variables)
        files |= {name: (template, variables) for name, template in manager.templates(program).items()}
    for timer in app.timers:
        variables = {"app": timers.view(releases.view(it, it.programs[0]), app, timer, it.release_id)}
        unit = names.timer_unit(app.name, timer.name)
        files |= {f"{unit}{suffix}": (template, variables) for suffix, template in manager.timer.items()}
    return files


def directories(apps: Sequence[App]) -> list[Entry]:
    """The folders of the host and of every present app, parents first."""
    root = {"owner": "root", "group": "root", "mode": "0755"}
    entries: list[Entry] = [{"path": path, **root} for path in (names.ETC, names.TOOLS, names.LOGS)]
    # A user who can read a lock's file can hold it, and every deploy waits.
    entries.append({"path": names.STATE, **root, "mode": "0700"})
    for app in apps:
        if app.state == "present":
            entries += [{"path": path, **root} for path in (app.root, app.releases, app.venvs)]
            entries.append({"path": app.assets, "owner": "root", "group": app.nginx_group, "mode": "0750"})
            entries.append({"path": app.shared, "owner": app.user, "group": app.group, "mode": "0750"})
            entries.append({"path": app.home, "owner": app.user, "group": app.group, "mode": "0700"})
            entries.append({"path": app.logs, "owner": "root", "group": app.group, "mode": "0750"})
    return entries
