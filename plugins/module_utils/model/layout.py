"""Where things of an app and of a release are on a host, and what they are called."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from ..contract import names
from .types import Paths

_BUILDER = "_build"


def builder(app: str) -> str:
    """The build user of an app. No app's own user has such a name, since there is no `_` in an app's name.

    A long name is cut and gets digits of its hash: two apps whose names begin alike do not share one.
    """
    room = names.USER_LIMIT - len(_BUILDER)
    if len(app) <= room:
        return app + _BUILDER
    return f"{app[: room - 9]}_{hashlib.sha256(app.encode()).hexdigest()[:8]}{_BUILDER}"


def in_source(entry: Mapping[str, Any], path: str) -> str:
    """`path`, which counts from the app's own folder, from the top of its source; empty for the top itself."""
    parts = (str(entry.get("source", {}).get("folder", "")), path.removeprefix("./"))
    return "/".join(part.strip("/") for part in parts if part.strip("/"))


def of_app(app: str) -> dict[str, str]:
    """The paths of an app, by their names in `App`."""
    root = names.app_root(app)
    return {
        "root": root,
        "releases": f"{root}/releases",
        "venvs": f"{root}/venvs",
        "shared": names.shared(root),
        "home": names.home(root),
        "current": f"{root}/current",
        "logs": names.app_logs(app),
        "assets": f"{root}/assets",
        "upstream": f"{root}/current/run/app.sock",
        "nginx_locations": f"{names.NGINX_APPS}/{app}.conf",
        "nginx_extra_file": f"{names.NGINX_APPS}/{app}.extra.conf",
        "nginx_extra_streams_file": f"{names.NGINX_APPS}/{app}.streams.conf",
        "nginx_headers_file": f"{names.NGINX_APPS}/{app}.headers.conf",
        "nginx_static_headers_file": f"{names.NGINX_APPS}/{app}.static.conf",
        "nginx_media_headers_file": f"{names.NGINX_APPS}/{app}.media.conf",
        "nginx_users_file": f"{names.NGINX_APPS}/{app}.users",
        "error_pages_folder": f"{names.NGINX_ERRORS}/{app}",
    }


def of_release(app: str, release_id: str, folder: str, venv: str) -> Paths:
    """The paths of a release of an app, whose own folder in the source is `folder`."""
    path = f"{names.app_root(app)}/releases/{release_id}"
    run = f"{names.app_run(app)}/{release_id}"
    return Paths(
        path=path,
        folder=folder,
        code=f"{path}/code/{folder}".rstrip("/"),
        venv=venv,
        run=run,
        socket=f"{run}/app.sock",
        environment=f"{path}/environment.json",
        gunicorn_conf=f"{path}/gunicorn.conf.py",
        gunicorn_extra=f"{path}/{names.GUNICORN_EXTRA}",
        serving=f"{path}/serving/__init__.py",
        launcher=f"{path}/exec",
        probe=f"{path}/inspect",
        manifest=f"{path}/{names.MANIFEST}",
        log_reader=f"{path}/log.py",
    )


def log(app: str, name: str) -> str:
    """The log of a program. `web` has the name of its release, every other one has its own name behind that."""
    return f"{names.app_logs(app)}/{name}.log"


def site_file(name: str) -> str:
    """nginx's file of the site with that name."""
    return f"{names.NGINX_CONF_D}/slipway-site-{name}.conf"


def upstream_file(app: str) -> str:
    """nginx's file that leads to the app's socket."""
    return f"{names.NGINX_CONF_D}/slipway-app-{app}.conf"


def site_name(path: str) -> str:
    """The name of the site whose file this is."""
    return path.rpartition("slipway-site-")[2].removesuffix(".conf")


def access_log(site: str) -> str:
    """nginx's access log of the site with that name."""
    return f"/var/log/nginx/slipway-{site}.access.log"


def error_log(site: str) -> str:
    """nginx's error log of the site with that name."""
    return f"/var/log/nginx/slipway-{site}.error.log"
