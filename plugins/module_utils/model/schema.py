"""Every key a user may write: its type, default, unit, reason and an example.

The one source of the reference page, of the roles' argument specifications, of the preflight and
of the defaults. A key that is not here is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import checks
from .managers import AUTO, PROCESS_MANAGERS


@dataclass(frozen=True)
class Key:
    """One key of an app, of a nested mapping or of a host's settings."""

    name: str
    type: str
    """`str`, `int`, `float`, `bool`, `size`, `list`, `mapping`, `names` (a mapping of str to scalar), or `a|b` of these."""
    reason: str
    """What it is for, in a sentence or two: the text of the reference page."""
    default: Any = None
    """The value that applies when the key is left out; None where `derived` says how it is found."""
    derived: str = ""
    """How the default is found when it depends on something else."""
    unit: str = ""
    example: Any = None
    required: bool = False
    choices: tuple[str, ...] = ()
    check: Callable[[Any], str | None] | None = None
    """Returns what is wrong with a value of the right type, or None."""
    keys: tuple[Key, ...] = ()
    """The keys of a mapping, when they are fixed."""
    role: str = ""
    """For a host's setting: the role that reads it."""


def table(keys: tuple[Key, ...]) -> Mapping[str, Key]:
    """`keys` by name."""
    return {key.name: key for key in keys}


SOURCE = (
    Key("path", "str", "A folder on the controller, absolute or relative to the inventory's folder.", example="../shop"),
    Key("git", "str", "URL of a repository; the controller fetches it, the hosts need no access.", example="ssh://git@example.com/shop.git"),
    Key("archive", "str", "A .tar.gz, .tar.xz or .zip: a path on the controller or an https URL.", example="dist/shop-1.4.2.tar.gz"),
    Key("package", "str", "A requirement from the package index, with its version.", example="httpbin==0.10.4", check=checks.requirement),
    Key("version", "str", "The branch, tag or commit of `git`; for the others the label of the release id.", derived="required for `git`; else `local`, the file's name or the package's version", example="v1.4.2", check=checks.git_ref),
    Key("folder", "str", "The folder of the source with the app. `module`, `static`, `requirements` and hooks count from there, and dependencies are looked for there first. The rest of the source is shipped, too: what the app's requirements name as `../lib` is built from it.", derived="the whole source", example="backend", check=checks.folder_of_source),
    Key("include", "list", "Files and folders that are shipped from a `path` although git ignores them, or although they are taken for clutter (`node_modules`): what a build made, or settings of this place. Without it a folder in a git work tree is shipped as git would commit it, another one without virtualenvs, caches and the like, and neither with `.env` files.", default=(), example=["shop/static/dist"], check=checks.each(checks.inside)),
    Key("build", "str|list", "Commands that run on the controller, as whoever runs the playbook, in a copy of the source (in its `folder`), before anything of it is shipped: what they write belongs to the source, also what git ignores. A command or a list of them, as of a hook. With this key, and by no other, the source's own code runs on the controller. It may take 14 minutes; the result is kept, and made again only when the source or the commands change. Not beside `package`.", example=["npm ci", "npm run build"], check=checks.command),
    Key("sha256", "str", "The SHA-256 that `archive` must have, in hexadecimal.", example="9f86d081…", check=checks.sha256),
)  # fmt: skip

HEALTH = (
    Key("path", "str", "Path asked on the instance's own socket before the switch, and through nginx after it; below `mount`.", default="/", example="/healthz", check=checks.url_path),
    Key("status", "list|int|str", "The HTTP statuses that mean healthy: numbers and ranges.", derived="200-299 when `path` is given. Without a health page redirects within the app are followed, and any answer counts but a server error, and a 400 or 421, with which apps refuse a host name that they do not know", example=["200-299"], check=checks.statuses),
    Key("body", "str", "Text that the answer must contain.", example="ok"),
    Key("host", "str", "The Host header of the question.", derived="the app's first domain, else `localhost`", example="shop.example.com", check=checks.domain),
    Key("scheme", "str", "What the question says of the scheme (X-Forwarded-Proto).", default="http", choices=("http", "https"), example="https"),
    Key("successes", "int", "How many good answers in a row are wanted.", default=3, unit="answers", example=3, check=checks.between(1, 100)),
    Key("interval", "float", "The longest pause between two questions; the first ones follow each other faster.", default=0.2, unit="seconds", example=0.2, check=checks.between(0.01, 60)),
    Key("soak", "float", "How long the answers must stay good while no worker process is replaced: finds releases that crash a moment after boot.", default=1.0, unit="seconds", example=5.0, check=checks.between(0, 3600)),
)  # fmt: skip

TIMEOUTS = (
    Key("connect", "int", "nginx to the instance's socket.", default=5, unit="seconds", example=5, check=checks.between(1, 3600)),
    Key("gunicorn", "int", "gunicorn's own `timeout`; longer than `request_timeout`, so that a slow request is a 504 and a 502 always means that the process is gone.", derived="request_timeout + 5", unit="seconds", example=35, check=checks.between(1, 86400)),
    Key("graceful", "int", "How long a stopping worker may finish its requests.", derived="request_timeout + 5", unit="seconds", example=35, check=checks.between(1, 86400)),
    Key("stop", "int", "When systemd (`TimeoutStopSec`) or supervisor (`stopwaitsecs`) kills what has not stopped.", derived="graceful + 10", unit="seconds", example=45, check=checks.between(1, 86400)),
    Key("drain", "int", "How long the old instance's accept queue may take to empty before it is stopped.", derived="request_timeout", unit="seconds", example=30, check=checks.between(0, 86400)),
    Key("linger", "int", "How long the connections of the old instance may go on after the switch, before it is stopped: downloads, websockets, event streams. A deploy waits for them.", derived="request_timeout", unit="seconds", example=300, check=checks.between(0, 86400)),
    Key("stream", "int", "How long a websocket, or an event stream (a request that accepts `text/event-stream`), may be silent. Apart from `request_timeout`, which is for everything else.", default=3600, unit="seconds", example=3600, check=checks.between(1, 86400)),
    Key("boot", "int", "How long an instance may take until it answers; also the deadline of the import probe.", default=60, unit="seconds", example=60, check=checks.between(1, 3600)),
    Key("build", "int", "How long building the virtualenv may take on a host; and, for themselves, all commands of the app's `build` together.", default=1200, unit="seconds", example=3600, check=checks.between(1, 86400)),
)  # fmt: skip

LIMITS = (
    Key("memory", "size", "The most memory all processes of an instance may use together (systemd `MemoryMax`; supervisor cannot limit it).", derived="no limit", unit="bytes, or with K, M, G", example="512M"),
    Key("tasks", "int", "The most processes and threads of an instance (systemd `TasksMax`; supervisor: the user's process limit).", derived="no limit of the kit's", unit="tasks", example=512, check=checks.between(8, 4194304)),
    Key("files", "int", "Open files per process.", default=16384, unit="files", example=16384, check=checks.between(64, 1048576)),
)  # fmt: skip

SANDBOX = (
    Key("allow", "list", "What the sandbox keeps from an app, and this one needs: `home`, to read /home and /root (files of a user's); `tmp`, the host's own /tmp and /var/tmp (sockets and files that programs share there); `processes`, to see other users' processes (monitoring); `devices`, those of the host (a GPU, a serial port); `priorities`, to change its own (nice, CPU affinity, ionice). Rights of files and users hold all the same.", default=(), example=["home"], check=checks.each(checks.one_of("home", "tmp", "processes", "devices", "priorities"))),
    Key("write", "list", "Folders beyond `shared/` and its home that the app may write, as far as their owner lets its user (`ReadWritePaths`). They have to be there.", default=(), example=["/srv/media"], check=checks.each(checks.folder)),
)  # fmt: skip

GENERATE = (
    Key("generate", "int", "Have it made up: this many random letters and digits, once, and kept on the controller in the inventory's folder `.generated`.", required=True, unit="characters", example=50, check=checks.between(16, 1024)),
)  # fmt: skip

SYSTEM_PACKAGES = (
    Key("build", "list", "What packages of Python need to be built here: headers and tools. The app's virtualenv is made anew when this list changes.", default=(), example=["libpq-dev"], check=checks.each(checks.system_package)),
    Key("run", "list", "What the app needs to run: shared libraries and programs.", default=(), example=["libpq5", "ffmpeg"], check=checks.each(checks.system_package)),
)  # fmt: skip

HOOK = (
    Key("command", "str|list", "A command with its arguments, run as the app's user in the release's code with its environment. No shell reads it, so that a text with a shell's characters outside of quotes is refused. A list is the words of one command; where its first item has a space in it or is a list, it is a list of commands, run one after the other until one fails.", example="python manage.py migrate --noinput"),
    Key("tasks", "str", "A file of Ansible tasks, absolute or relative to the inventory's folder; it sees `app_root`, `app_name` and `release_path`.", example="hooks/clear-cdn.yml"),
    Key("timeout", "int", "When a command (each, of several) is killed and counts as failed.", default=600, unit="seconds", example=600, check=checks.between(1, 86400)),
)  # fmt: skip

HOOKS = tuple(
    Key(name, "str|list|mapping", reason, example=example, keys=HOOK, check=checks.setup if name == "setup" else checks.hook)
    for name, reason, example in (
        ("setup", "The first time that an app comes to a host, before anything imports it: seed a folder, make a database. Commands alone, run as the app's user in the new release, after `build`. It is done once for the app on each host, which remembers that until the app is removed with its data; where the key is added to an app that is there already, it runs once then. After a failure nothing is remembered.", "python manage.py createcachetable"),
        ("before_prepare", "Before anything is built; in the release that is current, so not on a first deploy.", {"tasks": "hooks/announce.yml"}),
        ("migrate", "With the new code, before an instance of it starts; once for all hosts. The old code goes on meanwhile: migrations must suit both.", "python manage.py migrate --noinput"),
        ("before_activate", "When the new instance is healthy, just before the switch.", "python manage.py warm_cache"),
        ("after_activate", "After the switch, proved as a visitor. When it fails the run fails, but the release stays current.", {"command": "python -m shop.announce", "timeout": 30}),
        ("on_failure", "When the run fails before the switch, or the switch was taken back; in the release that is current.", {"tasks": "hooks/alert.yml"}),
    )
)  # fmt: skip

APP = (
    Key("module", "str", "Where the application callable is: `package.module:attribute`, a factory as `package.module:create_app()` (literal arguments allowed), or `package.module` alone for its `application`.", required=True, example="shop.wsgi:application", check=checks.module_path),
    Key("source", "mapping", "Where the code comes from: one of `path`, `git`, `archive`, `package`.", required=True, example={"git": "ssh://git@example.com/shop.git", "version": "v1.4.2"}, keys=SOURCE, check=checks.source),
    Key("domains", "list", "The host names nginx answers for. Without any, the app is the default site of its port.", default=(), example=["shop.example.com"], check=checks.each(checks.domain)),
    Key("mount", "str", "The path below which the app lives.", default="/", example="/shop", check=checks.mount),
    Key("interface", "str", "Whether the callable speaks WSGI or ASGI.", derived="found out by loading the app on the host", choices=("wsgi", "asgi"), example="wsgi"),
    Key("python", "str", "The interpreter: a version such as `3.13`, or an absolute path on the host. A version that the host does not have the kit installs there for the apps, in /opt/slipway/python (see `python_mirror`), and removes when no release of any app uses it.", derived="the host's `python3`", example="3.13", check=checks.python),
    Key("requirements", "str|list", "A file of the source, or a list of requirements. Beside a `package` it is a list: what is installed with it.", derived="the first there is of `uv.lock`, `pylock.toml`, `requirements.txt`, `poetry.lock`, `pdm.lock`, `Pipfile.lock`, `pyproject.toml`, `requirements/production.txt`, `requirements/prod.txt`, `requirements/base.txt`", example="requirements/production.txt", check=checks.requirements),
    Key("constraints", "str|list", "Limits to the versions that are installed, as pip's `-c` has them: a file of the source, or a list. Beside a lock, which names every version, there is nothing to limit.", example=["urllib3<3"], check=checks.requirements),
    Key("system_packages", "mapping", "Packages of the distribution (Debian's names) that are installed by apt before anything is built. None is ever removed: another app or an operator may need it.", default={}, example={"build": ["libpq-dev"], "run": ["libpq5"]}, keys=SYSTEM_PACKAGES),
    Key("workers", "int", "gunicorn's worker processes.", derived="from cores, memory and interface", unit="processes", example=4, check=checks.between(1, 512)),
    Key("threads", "int", "Threads per worker (`gthread` only).", derived="8 with `gthread`, else 1", unit="threads", example=8, check=checks.between(1, 512)),
    Key("worker_class", "str", "gunicorn's kind of worker.", derived="`gthread` for WSGI, `uvicorn` for ASGI", choices=("sync", "gthread", "gevent", "tornado", "asgi", "uvicorn"), example="gthread"),
    Key("request_timeout", "int", "How long a visitor waits for an answer; every other timeout follows from it.", default=30, unit="seconds", example=30, check=checks.between(1, 86400)),
    Key("timeouts", "mapping", "Exceptions to what `request_timeout` sets; values that contradict each other are refused.", default={}, example={"boot": 120}, keys=TIMEOUTS),
    Key("buffers", "size", "The size of one of nginx's buffers for answers, of which each request has up to eight. An answer's head, its cookies included, must fit into one; else the client gets a 502.", default="32K", unit="bytes, or with K, M, G", example="64K", check=checks.buffers),
    Key("max_body_size", "size", "The largest request body; above it nginx answers 413.", default="10M", unit="bytes, or with K, M, G", example="50M"),
    Key("environment", "names", "The app's environment variables. Any text is carried to the byte.", default={}, example={"DJANGO_SETTINGS_MODULE": "shop.settings"}, check=checks.environment),
    Key("secrets", "names", "More of them, never shown; best kept in `vault_apps`.", default={}, example={"SECRET_KEY": "{{ vault_secret_key }}"}, keys=GENERATE, check=checks.secrets),  # nosec B105 # an example
    Key("build", "str|list", "Commands that make what the source lacks, on the host, in the release's code, before it is made read-only: static files, translations, a front end. A command or a list of them, as of a hook. They run as the app's build user, with the app's virtualenv and environment, but with stand-ins for its secrets (see `build_secrets`), and may write the code's folder alone. What they write belongs to the release; it is made again only when something changes that goes into it: commands, source, dependencies, `files` or environment.", example=["python manage.py collectstatic --noinput"], check=checks.command),
    Key("build_secrets", "list", "The names of those secrets whose values `build` gets. Each other one has the value `unset-while-building` there.", default=(), example=["NPM_TOKEN"], check=checks.each(checks.variable)),
    Key("files", "names", "Files of the inventory in the release's code: where each goes (from the app's own folder on, its parts split by `/`), and what it is made of, absolute or relative to the inventory's folder. One that ends with `.j2` is rendered with the host's variables, the app as `app` and its secrets as `secrets`; any other is copied as it is. They can be read by the app alone (0640), are part of the release, and replace a file of the source. Each has at most 1 MiB.", default={}, example={"shop/local_settings.py": "files/local_settings.py.j2"}, check=checks.files),
    Key("static", "names", "Folders of the source, or that `build` makes, which nginx serves itself: URL prefix (below `mount`) to folder. Dotfiles are not served, but for `.well-known`; a link that leads out of its folder is refused. A folder that begins with `shared/` is the app's own on the host (`$SLIPWAY_SHARED`): uploads, which nginx gives out as they are, with `X-Content-Type-Options: nosniff` and `Content-Security-Policy: sandbox`; nothing else in `shared/` is open to it.", default={}, example={"/static/": "shop/static", "/media/": "shared/media"}, check=checks.static),
    Key("health", "mapping", "How an instance proves that it is healthy.", default={}, example={"path": "/healthz"}, keys=HEALTH),
    Key("hooks", "mapping", "What else happens when a release goes live; a command or a list of them, or `command` or `tasks` with `timeout`. A failure before the switch changes nothing that visitors see.", default={}, example={"migrate": "python manage.py migrate --noinput"}, keys=HOOKS),
    Key("limits", "mapping", "What an instance may use.", default={}, example={"memory": "512M"}, keys=LIMITS),
    Key("network", "str", "Where an instance may connect to: `local` is this host itself, by unix sockets or 127.0.0.1 and ::1, and nothing else. By systemd alone (`IPAddressDeny`), so it is refused under supervisor; hooks are bound by it, too; one-off commands are not.", default="open", choices=("open", "local"), example="local"),
    Key("sandbox", "mapping", "What an app's sandbox lets through; each is a hole in it, so none is open by default. By systemd alone: under supervisor there is no sandbox. Hooks run in it, too; one-off commands do not.", default={}, example={"allow": ["home"]}, keys=SANDBOX),
    Key("keep_releases", "int", "How many old releases stay on the host to roll back to.", default=3, unit="releases", example=3, check=checks.between(1, 100)),
    Key("overlap", "bool", "Whether two instances of the app may run at once. With `false` (a lock on its data, an embedded database or queue) a deploy ends the old instance first and then starts the new one; requests wait meanwhile, and the old one is started again when the new one fails. Keep `request_timeout` longer than the app takes to start. The import probe is left out, except on the first deploy.", default=True, example=False),
    Key("together", "str", "A word that several apps have in common: when one of them fails before the switch, none of them is switched, on no host. Apps without it do not hold back each other.", example="shop", check=checks.word),
    Key("state", "str", "`absent` takes the app off the host; its shared data stays.", default="present", choices=("present", "absent"), example="present"),
    Key("gunicorn_extra", "str", "gunicorn's settings and hooks, as Python. They are yours beside what the kit does, which is no hook; settings that the kit must own are refused by name.", default="", example="max_requests = 10000\nmax_requests_jitter = 500\n", check=checks.gunicorn_extra),
    Key("nginx_extra", "str", "nginx directives added to the app's location, in a file of their own: they cannot leave it.", default="", example='add_header X-Frame-Options "DENY" always;\n', check=checks.nginx_extra),
    Key("unit_extra", "str", "Lines added to the unit's `[Service]` (systemd) or the `[program:…]` section (supervisor).", default="", example="CPUQuota=150%\n", check=checks.unit_extra),
)  # fmt: skip

SETTINGS = (
    Key("process_manager", "str", "What keeps the instances running.", default=AUTO, derived="`auto`: systemd where it runs, else supervisor", choices=(AUTO, *PROCESS_MANAGERS), example="systemd", role="host"),
    Key("on_drift", "str", "What becomes of the kit's files (nginx sites, units, drop-ins, …) that somebody else has changed: `keep` writes them anew and keeps what was there as `<path>.changed-<date>`, or below /var/lib/slipway/changed where a daemon would read it beside; `refuse` changes nothing on the host and names them.", default="keep", choices=("keep", "refuse"), example="refuse", role="host"),
    Key("nginx_http_port", "int", "The port nginx listens on for the apps.", default=80, example=8080, check=checks.between(1, 65535), role="nginx"),
    Key("nginx_trusted_proxies", "list", "Addresses of load balancers in front of nginx whose X-Forwarded-For and X-Forwarded-Proto are believed.", default=(), example=["192.0.2.0/24"], check=checks.each(checks.network), role="nginx"),
    Key("nginx_max_header_size", "size", "The longest line of a request's head, which is its URL or one header (cookies are one); the whole head may have four times as much. What is longer gets a 414 or 400 from nginx.", default="16K", unit="bytes, or with K, M, G", example="32K", check=checks.buffers, role="nginx"),
    Key("nginx_worker_connections", "int", "Connections per nginx worker; a proxied request needs two.", default=4096, unit="connections", example=4096, check=checks.between(64, 65535), role="nginx"),
    Key("package_index_url", "str", "The package index the hosts install from.", derived="the controller's own (`UV_DEFAULT_INDEX`, `UV_INDEX_URL`, `PIP_INDEX_URL`, pip's configuration), else PyPI", example="https://pypi.example.com/simple", check=checks.url, role="virtualenv"),
    Key("package_extra_index_urls", "list", "Further indexes.", derived="the controller's own", example=["https://wheels.example.com/simple"], check=checks.each(checks.url), role="virtualenv"),
    Key("package_index_credentials", "names", "Who we are for a package index: its host to `user:password`, or to a token. They are used for the addresses above that hold none, and shown nowhere; best kept encrypted by ansible-vault.", default={}, example={"pypi.example.com": "{{ vault_pypi }}"}, check=checks.credentials, role="virtualenv"),
    Key("package_index_strategy", "str", "Which index a package is taken from, in uv's words. By default the first that has it decides, whatever its versions, so that nobody can put a newer one of the same name on another index; `unsafe-best-match` takes the best version of all, as pip does.", derived="the controller's `UV_INDEX_STRATEGY`, else `first-index`", choices=("first-index", "unsafe-first-match", "unsafe-best-match"), example="first-index", role="virtualenv"),
    Key("package_ca_file", "str", "A file on the controller with the certificate authorities that the hosts trust for package indexes.", derived="the controller's `SSL_CERT_FILE` or `PIP_CERT`", example="/etc/ssl/company-ca.pem", role="virtualenv"),
    Key("python_mirror", "str", "Where hosts that do not reach uv's own place get the Pythons that apps ask for and they lack: an https, http or file address (the last is a folder of the host's) that is laid out as the releases of python-build-standalone, as for `UV_PYTHON_INSTALL_MIRROR`. uv knows the hash of each archive. `package_index_credentials` hold for it, too.", derived="uv's own, releases.astral.sh and github.com", example="https://mirror.example.com/python-build-standalone", check=checks.address, role="virtualenv"),
    Key("python_archives", "mapping", "Pythons of your own: full version to `url` (https, http, or file on the host) and `sha256` of a .tar.gz or .tar.zst that is laid out as those of python-build-standalone (`python/bin/python3.13` …), made for these hosts, and works wherever it is unpacked. Of several with the same two first numbers the newest counts. A new one makes new releases.", default={}, example={"3.13.9": {"url": "https://files.example.com/cpython-3.13.9.tar.gz", "sha256": "9f86d081…"}}, check=checks.python_archives, role="virtualenv"),
    Key("firewall_ports", "list", "TCP ports that `harden.yml` leaves open to everybody, besides ssh's and the apps'.", default=(), example=[443], check=checks.ports, role="hardening"),
    Key("firewall_extra", "str", "Rules added to the firewall's input chain, in nftables' words.", default="", example="ip saddr 192.0.2.0/24 tcp dport 5432 accept\n", role="hardening"),
    Key("ssh_passwords", "bool", "Whether ssh goes on to let people in by password. `harden.yml` ends that only where its own connection needs none.", default=False, example=True, role="hardening"),
    Key("updates_reboot", "str", "When the host reboots after an update that asks for it; an outage of a minute.", derived="never by itself", unit="hours and minutes of the host's own time", example="04:30", check=checks.clock, role="hardening"),
    Key("fail2ban_ban_time", "int", "How long an address that misbehaves is kept away.", default=600, unit="seconds", example=3600, check=checks.between(1, 31536000), role="hardening"),
    Key("fail2ban_ignore", "list", "Addresses that are never banned; the host's own and `nginx_trusted_proxies` never are.", default=(), example=["198.51.100.7"], check=checks.each(checks.network), role="hardening"),
)  # fmt: skip

SECRETS = (next(key for key in APP if key.name == "secrets"),)
"""What `vault_apps` may hold of an app."""

VARIABLES = ("apps", "vault_apps", *(key.name for key in SETTINGS))
"""The variables of an inventory that are the kit's."""
