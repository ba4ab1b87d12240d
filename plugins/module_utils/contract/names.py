"""Names and places that controller and host use alike, with their limits."""

from __future__ import annotations

import re

APP = re.compile(r"[a-z][a-z0-9-]{0,30}")
"""An app's name. It is also a user, a group, a folder and part of a unit's name (32 characters: useradd(8))."""
RELEASE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*-[0-9a-f]{8}")
"""A release's id, `<version>-<8 hex digits>`: never with a slash, never hidden."""
RELEASE_LOG = re.compile(rf"({RELEASE.pattern})(\.[a-z][a-z0-9-]*\.[0-9]+)?\.log")
"""The name of a release's log, or of one of its processes: `<id>.log`, `<id>.<process>.<number>.log`."""
PROCESS = re.compile(r"\.[a-z][a-z0-9-]*\.[0-9]+$")
"""What the name of one of the user's processes adds to that of its release: a name and a number."""
USER_LIMIT = 32
"""Letters in a user's name (useradd(8))."""
SOCKET_LIMIT = 107
"""Bytes in the path of a unix socket (unix(7): 108 with the final NUL)."""
THREADED = ("threads", "gthread")
"""The worker classes whose workers have threads. A stopping one finishes the requests in flight."""
PROVED_GUNICORN = "27.0.1"
"""The newest gunicorn with which the worker class `threads` is proved. The kit brings this one to apps that bring none.

27.0.1 is the first whose stopping threads answer the last requests of kept-alive connections."""
SHORTEST_SECRET = 6
"""Characters from which on a secret is hidden: a shorter one is no secret, and hiding it would spoil whole messages."""

APPS = "/srv"
"""The folder with a folder for each app."""
TOOLS = "/opt/slipway"
"""uv and supervisor, each in its own folder."""
PIP_FILES = ("/etc/xdg/pip/pip.conf", "/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")
"""pip's configuration files; later ones take precedence (pip's documentation, "Location")."""
PYTHONS = f"{TOOLS}/python"
"""The Pythons that the kit installs, each in its own folder."""
ETC = "/etc/slipway"
"""Settings that all may read."""
CA_FILE = f"{ETC}/ca.pem"
"""The certificate authorities that count for package indexes."""
FIREWALL = f"{ETC}/firewall.nft"
LOGS = "/var/log/slipway"
"""The logs of all instances, and the journal."""
JOURNAL = f"{LOGS}/journal.jsonl"
STATE = "/var/lib/slipway"
"""What the kit remembers of a host; root's alone."""
LOCK = f"{STATE}/lock.json"
WORK = f"{STATE}/work"
ACCOUNTS = f"{STATE}/accounts.json"
ORIGINS = f"{STATE}/inventories.json"
"""Which inventory each app belongs to, and the settings of the host that each inventory applied."""
SETUP = f"{STATE}/setup"
"""A file for each app that has run its `hooks.setup` on this host."""
MODULES = f"{STATE}/modules"
"""The kit's modules, a folder for each version of the kit."""
TIMERS = f"{STATE}/timers"
"""A folder for each app, with the last run of each timer."""
SWITCH = f"{STATE}/switch.json"
"""What the last switch changed."""
UNDO = f"{STATE}/undo"
"""What was there before a set of files was written, until all of it is."""
RUN = "/run/slipway"
SYSTEMD = "/run/systemd/system"
"""The folder that is there where systemd is the host's init (sd_booted(3)). Units in it end with the boot."""
SUPERVISOR_SOCKET = f"{RUN}/supervisor.sock"
SUPERVISOR_LOG = f"{LOGS}/supervisord.log"
SUPERVISOR_PID = f"{RUN}/supervisord.pid"
SUPERVISOR_PROGRAMS = f"{ETC}/supervisor.d"
RUN_COMMAND = "/usr/local/bin/slipway-run"
"""Runs a command of an app, for operators on the host."""
SUDOERS = "/etc/sudoers.d/slipway"
"""sudo's rules of all apps in one file, as an older kit wrote them. Each app has a file of its name now (`sudoers`)."""
NGINX_CONF_D = "/etc/nginx/conf.d"
NGINX_BASE = f"{NGINX_CONF_D}/slipway-00-base.conf"
"""What the servers of all apps share."""
NGINX_VISIT = f"{NGINX_CONF_D}/slipway-00-visit.conf"
"""Makes nginx recognise the kit's own requests on the host, by the keys of all apps (`visit_key`)."""
RANDOM = "@random@"
"""In an entry of a set of files: the place of 32 hexadecimal digits. The host makes them once, and the controller never knows them."""
NGINX_APPS = "/etc/nginx/slipway"
"""nginx's files of each app, which the sites include."""
TRAFFIC_WINDOW = 300
"""Seconds that the figures of the status are about."""
NGINX_SITES = f"{NGINX_APPS}/sites"
"""What port 80 of each site with https does, which the site's certificate decides."""
NGINX_REFUSED_LOG = "/var/log/nginx/slipway-refused.log"
"""What nginx refused to clients of all sites, for fail2ban: no text of a client is in it."""
TLS = f"{ETC}/tls"
"""The certificates, a folder for each site; root's alone."""
ACME = "/var/lib/slipway-acme"
"""What certbot keeps. It belongs to certbot's own user."""
ACME_WEBROOT = f"{ACME}/webroot"
"""The folder with the answers to an authority's challenges, which nginx serves."""
ACME_SECRETS = f"{ACME}/secrets"
"""What certbot's user reads: credentials of DNS plugins, and an external account binding."""
ACME_USER = "slipway-acme"
"""The user that runs certbot. It has no other right on the host."""
ACME_CA = f"{ETC}/acme-ca.pem"
"""The authorities that certbot trusts for a private directory."""
CERTIFICATES = f"{TOOLS}/certificates"
"""The program that keeps the certificates, which the host's timer runs."""
CERTIFICATES_SETTINGS = f"{ETC}/certificates.json"
CERTIFICATES_STATE = f"{STATE}/certificates.json"
"""What the program remembers of its runs."""
NGINX_ERRORS = f"{NGINX_APPS}/errors"
"""nginx's pages for errors: the kit's, and a folder for each app that has its own."""
GUNICORN_EXTRA = "gunicorn_extra.py"
"""The file in a release with `gunicorn_extra`, where it has one."""
MANIFEST = "manifest.json"
"""The file in a release that makes it complete."""


def sudoers(app: str) -> str:
    """The file with sudo's rule of an app: who may run its commands."""
    return f"{SUDOERS}-{app}"


def app_root(app: str) -> str:
    """The folder of an app."""
    return f"{APPS}/{app}"


def app_run(app: str) -> str:
    """The folder with the run folders of an app's instances."""
    return f"/run/{app}"


def app_logs(app: str) -> str:
    """The folder of an app's logs."""
    return f"{LOGS}/{app}"


def shared(root: str) -> str:
    """What an app writes and what outlives its releases."""
    return f"{root}/shared"


def home(root: str) -> str:
    """An app's HOME."""
    return f"{root}/home"


def timer_unit(app: str, timer: str) -> str:
    """The unit of a timer, without a suffix. No release's unit has such a name, since no app's name has a dot."""
    return f"slipway-{app}.timer.{timer}"


def unit(app: str, release_id: str) -> str:
    """The unit of an instance, without a suffix."""
    return f"slipway-{app}-{release_id}"


def certificate(site: str) -> str:
    """The folder of a site's certificate: `current` in it leads to the generation that nginx uses."""
    return f"{TLS}/{site}"


def visit_key(app: str) -> str:
    """nginx's file with the key by which it recognises the kit's own requests for an app. It is root's alone."""
    return f"{NGINX_APPS}/{app}.visit"


def plain_file(site: str) -> str:
    """nginx's file of a site with https that serves the apps on its plain port, too, until http leads to https."""
    return f"{NGINX_SITES}/{site}.plain.conf"


def redirect_file(site: str) -> str:
    """nginx's file of a site that sends clients of its plain port to https: for a certificate that is none."""
    return f"{NGINX_SITES}/{site}.redirect.conf"
