"""The versions of what the kit itself installs, and where."""

from __future__ import annotations

from collections.abc import Iterable

from ..contract import names

GUNICORN = names.PROVED_GUNICORN
"""The gunicorn that apps get which bring none."""
ASGI_SERVER = ("uvicorn==0.54.0", "websockets==15.0.1")
"""What serves ASGI apps that bring none: uvicorn, and what it needs for websockets. Apps may bring an older uvicorn; version 15 of websockets suits those as well."""
ASGI_WHEELS = ("httptools==0.9.0", "uvloop==0.23.0")
"""What makes uvicorn faster, where there are wheels of it. `requirements/tools/lock.py` writes their hashes."""
UV = "0.13.9"
"""The uv that builds virtualenvs on the hosts."""
SUPERVISOR = "4.3.0"
"""The supervisor of hosts that use it."""
CERTBOT = "5.8.0"
"""The certbot of hosts with an authority's certificate."""
CERTBOT_DNS = (
    "cloudflare",
    "digitalocean",
    "dnsimple",
    "dnsmadeeasy",
    "gehirn",
    "google",
    "linode",
    "luadns",
    "nsone",
    "ovh",
    "rfc2136",
    "route53",
    "sakuracloud",
)
"""certbot's own DNS plugins, which have its version. `requirements/tools/` has a lock of what each adds."""
UV_BIN = f"{names.TOOLS}/uv-{UV}/bin/uv"
SUPERVISOR_VENV = f"{names.TOOLS}/supervisor-{SUPERVISOR}"


def certbot_venv(plugins: Iterable[str]) -> str:
    """The virtualenv of certbot with DNS plugins."""
    return "-".join([f"{names.TOOLS}/certbot-{CERTBOT}", *sorted(set(plugins))])
