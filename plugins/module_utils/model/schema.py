"""Every key that a user may write: its type, default, unit, text and an example.

The only source of the reference page, the roles' argument specifications, the preflight and the defaults. A key that is
not here is refused. The file is long because every key brings its whole documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import acme, checks, https, manners
from .managers import AUTO, PROCESS_MANAGERS

DURATION = "duration"
SECONDS = "seconds or with s, m, h, d"
"""The type and the unit of every duration. `durations.in_seconds` derives its seconds."""


@dataclass(frozen=True)
class Key:
    """One key of an app, of a nested mapping or of a host's settings."""

    name: str
    type: str
    """`str`, `int`, `float`, `bool`, `size`, `duration`, `list`, `mapping`, or `a|b` of these.

    Mappings from names are `names` (to scalars), `mappings` (to the same keys) and `entries` (to `entry`). They may be in
    such a union, too."""
    reason: str
    """The text of the reference page, in Markdown: first a sentence on what the key is for. It may be indented."""
    default: Any = None
    """The value that applies when the key is left out; None where `derived` describes it."""
    derived: str = ""
    """The default in words, where it depends on something else."""
    unit: str = ""
    example: Any = None
    """A value for the reference page."""
    required: bool = False
    choices: tuple[str, ...] = ()
    barred: Mapping[str, str] = field(default_factory=dict)
    """Values that are no choice for a reason: the reason and what to write instead, as the end of a sentence."""
    check: Callable[[Any], str | None] | None = None
    """Returns the fault of a value of the right type, or None."""
    keys: tuple[Key, ...] = ()
    """The keys of a mapping, where they are fixed."""
    entry: Key | None = None
    """What each value of `entries` is; `check` is about their names then."""
    role: str = ""
    """For a setting of the host: the role that reads it."""


def table(keys: tuple[Key, ...]) -> Mapping[str, Key]:
    """Map the names of keys to the keys."""
    return {key.name: key for key in keys}


SOURCE = (
    Key(
        "path", "str", example="../shop",
        reason="A folder on the controller: an absolute path, or relative to the inventory's folder.",
    ),
    Key(
        "git", "str", example="ssh://git@example.com/shop.git",
        reason="The URL of a repository. The controller fetches it; the hosts need no access.",
    ),
    Key(
        "archive", "str", example="dist/shop-1.4.2.tar.gz",
        reason="A `.tar.gz`, `.tar.xz` or `.zip`: a path on the controller, or an https URL.",
    ),
    Key(
        "package", "str", example="httpbin==0.10.4", check=checks.requirement,
        reason="A requirement from the package index, with its version.",
    ),
    Key(
        "version", "str", derived="required for `git`; else `local`, the file's name or the package's version",
        example="v1.4.2", check=checks.git_ref,
        reason="The branch, tag or commit of `git`. For other sources, the label in the release id.",
    ),
    Key(
        "folder", "str", derived="the whole source", example="backend", check=checks.folder_of_source,
        reason="""
        The folder of the source that has the app. `module`, `static`, `requirements` and hooks count from there. The
        kit looks for dependencies there first.

        The rest of the source is shipped, too. So requirements of the app may name `../lib`, which is built from it.
        """,
    ),
    Key(
        "include", "list", default=(), example=["shop/static/dist"], check=checks.each(checks.inside),
        reason="""
        Files and folders to ship from a `path` that git ignores, or that count as clutter (`node_modules`). Examples are
        the output of a build and local settings.

        Without this key, a folder in a git work tree is shipped as git would commit it. Any other folder is shipped
        without virtualenvs, caches and the like. `.env` files are left out of both.
        """,
    ),
    Key(
        "build", "str|list", example=["npm ci", "npm run build"], check=checks.command,
        reason="""
        Commands that run on the controller, in a copy of the source (in its `folder`), before the source is shipped.
        A command or a list of them, as for a hook. They run as the user who runs the playbook. What they write
        belongs to the source, also where git ignores it.

        Only with this key does the source's own code run on the controller. It may take 14 minutes. The result is
        kept, and built again only when the source or the commands change. Not allowed with `package`.
        """,
    ),
    Key(
        "sha256", "str", example="9f86d081…", check=checks.sha256,
        reason="The SHA-256 that `archive` must have, in hexadecimal.",
    ),
)  # fmt: skip

ACME = (
    Key(
        "dns", "str", required=True, example="rfc2136", check=acme.plugin,
        reason="""
        The DNS plugin of certbot, without its prefix `certbot-dns-`. It proves the domains by records in their zone. So
        the authority need not reach the host, and it signs for wildcards.
        """,
    ),
    Key(
        "credentials", "names", default={}, example={"rfc2136_server": "192.0.2.53"},
        reason="""
        What the plugin needs to change the zone: the settings of its credentials file, without the prefix `dns_`. They
        are never shown. Best encrypted with ansible-vault. A name that the plugin does not know, and one that is
        missing, is refused before any host is touched.

        For `google` they are the fields of a service account's key, for `route53` those of a profile of AWS.
        `propagation_seconds` is how long certbot waits for the zone's name servers.
        """,
    ),
)  # fmt: skip

EAB = (
    Key("kid", "str", required=True, example="kid-1", check=acme.word, reason="The key's identifier."),
    Key(
        "hmac_key", "str", required=True, example="c2VjcmV0", check=acme.hmac_key, reason="The key, as base64url text."
    ),
    Key(
        "algorithm",
        "str",
        default="HS256",
        example="HS256",
        check=acme.algorithm,
        reason="""
        The algorithm with which certbot signs. Only `HS256`, the standard. An authority's instructions may name it, so you
        may write it.
        """,
    ),
)

TLS = (
    Key(
        "certificate", "str", example="tls/shop.pem",
        reason="""
        A file on the controller with your certificate and its intermediates, the certificate first (PEM). An absolute
        path, or relative to the inventory's folder.
        """,
    ),
    Key(
        "key", "str", example="tls/shop.key",
        reason="""
        The file with its private key (PEM, without a passphrase). Best encrypted with ansible-vault. The key is never
        shown.
        """,
    ),
    Key(
        "acme", "mapping", example={"dns": "rfc2136"}, keys=ACME,
        reason="How to get the certificate from an authority by DNS. `tls: acme` alone proves the domains by http.",
    ),
)  # fmt: skip

HEALTH = (
    Key(
        "path", "str", default="/", example="/healthz", check=checks.url_path,
        reason="""
        The path of the health request, below `mount`. The kit requests it on the instance's own socket before the
        switch, and through nginx after it.
        """,
    ),
    Key(
        "status", "list|int|str", derived="200-299 when `path` is set; else see below", example=["200-299"],
        check=checks.statuses,
        reason="""
        The HTTP statuses that count as healthy: numbers and ranges.

        Without a `path`, the kit follows redirects within the app. Then any answer counts except a server error, a
        400 and a 421. Apps send the last two when they refuse a host name.
        """,
    ),
    Key("body", "str", example="ok", reason="Text that the answer must contain."),
    Key(
        "host", "str", derived="the app's first domain, else `localhost`", example="shop.example.com",
        check=checks.domain,
        reason="The Host header of the health request.",
    ),
    Key(
        "scheme", "str", derived="`https` with `tls`, else `http`", choices=("http", "https"), example="https",
        reason="The scheme that the health request states (X-Forwarded-Proto).",
    ),
    Key(
        "successes", "int", default=3, unit="answers", example=3, check=checks.between(1, 100),
        reason="The number of good answers in a row that prove health.",
    ),
    Key(
        "interval", "float|duration", default=0.2, unit=SECONDS, example=0.2, check=checks.duration(0.01, 60),
        reason="The longest pause between two health requests. The first ones follow each other faster.",
    ),
    Key(
        "soak", "float|duration", default=1.0, unit=SECONDS, example=5.0, check=checks.duration(0, 3600),
        reason="""
        How long the answers must stay good while no worker process is replaced. This finds releases that crash a
        moment after boot.
        """,
    ),
)  # fmt: skip

TIMEOUTS = (
    Key(
        "connect", "duration", default=5, unit=SECONDS, example=5, check=checks.duration(1, 3600),
        reason="The time that nginx may take to connect to the instance's socket.",
    ),
    Key(
        "gunicorn", "duration", derived="request_timeout + 5", unit=SECONDS, example=35, check=checks.duration(1, 86400),
        reason="""
        gunicorn's own `timeout`. It is longer than `request_timeout`, so that a slow request gets a 504. A 502 then
        always means that the process is gone.
        """,
    ),
    Key(
        "graceful", "duration", derived="request_timeout + 5", unit=SECONDS, example=35, check=checks.duration(1, 86400),
        reason="The time that a stopping worker has to finish its requests.",
    ),
    Key(
        "stop", "duration", derived="graceful + 10", unit=SECONDS, example=45, check=checks.duration(1, 86400),
        reason="""
        The time after which systemd (`TimeoutStopSec`) or supervisor (`stopwaitsecs`) kills an instance that has not
        stopped.
        """,
    ),
    Key(
        "drain", "duration", derived="request_timeout", unit=SECONDS, example=30, check=checks.duration(0, 86400),
        reason="The time that the old instance's accept queue may take to empty. Then the instance is stopped.",
    ),
    Key(
        "linger", "duration", derived="request_timeout", unit=SECONDS, example=300, check=checks.duration(0, 86400),
        reason="""
        How long connections of the old instance may stay open after the switch: downloads, websockets, event streams.
        Then the instance is stopped. A deploy waits for them.
        """,
    ),
    Key(
        "stream", "duration", default=3600, unit=SECONDS, example=3600, check=checks.duration(1, 86400),
        reason="""
        How long a websocket or an event stream may be silent. An event stream is a request that accepts
        `text/event-stream`. All other requests follow `request_timeout`.
        """,
    ),
    Key(
        "boot", "duration", default=60, unit=SECONDS, example=60, check=checks.duration(1, 3600),
        reason="The time that an instance may take until it answers. It is also the deadline of the import probe.",
    ),
    Key(
        "build", "duration", default=1200, unit=SECONDS, example=3600, check=checks.duration(1, 86400),
        reason="""
        The time that a host may take to build the virtualenv. The commands of the app's `build` together have the
        same time again.
        """,
    ),
)  # fmt: skip

RATE_LIMIT = (
    Key(
        "requests", "str", derived="no limit", unit="requests for each second or minute", example="10/s",
        check=manners.rate,
        reason="How many requests an address may make on average: `10/s`, or `30/m`.",
    ),
    Key(
        "burst", "int", default=20, unit="requests", example=20, check=checks.between(0, 10000),
        reason="How many requests beyond that are answered at once. nginx answers 429 to further ones.",
    ),
    Key(
        "connections", "int", derived="no limit", unit="requests", example=20, check=checks.between(1, 10000),
        reason="How many requests of one address may be in flight. nginx answers 429 to further ones.",
    ),
)  # fmt: skip

LOCATION = (
    Key(
        "request_timeout", "duration", derived="the app's", unit=SECONDS, example=300, check=checks.duration(1, 86400),
        reason="""
        How long a client waits for an answer there. gunicorn's timeout and those of a stop follow the longest one. So
        a deploy waits that long for a request in flight, and so does a worker whose threads hang.
        """,
    ),
    Key(
        "max_body_size", "size", derived="the app's", unit="bytes, or with K, M, G", example="500M",
        check=checks.body_size, reason="The largest request body there.",
    ),
)  # fmt: skip

RECYCLE = (
    Key(
        "requests", "int", derived="no limit", unit="requests", example=10000, check=checks.between(1, 10**9),
        reason="""
        The requests after which a worker is replaced (gunicorn's `max_requests`). Each worker adds up to a tenth at
        random.
        """,
    ),
    Key(
        "memory", "size", derived="no limit", unit="bytes, or with K, M, G", example="300M",
        check=checks.size_from("32M", "an idle worker needs about as much"),
        reason="""
        The memory above which a worker is replaced. Each worker looks at its resident memory once a second.

        A worker that is larger before its first request would be replaced without end. So it stays, and the deploy
        warns. Choose a value well below `limits.memory` divided by the number of workers.
        """,
    ),
)  # fmt: skip
LIMITS = (
    Key(
        "memory", "size", derived="no limit", unit="bytes, or with K, M, G", example="512M",
        check=checks.size_from("32M", "gunicorn and one worker need about as much"),
        reason="""
        The most memory that all processes of an instance may use together (systemd's `MemoryMax`). When they need
        more, the kernel ends one worker, and the others continue. supervisor cannot limit it, so a deploy warns there;
        use `recycle`.
        """,
    ),
    Key(
        "cpu", "float", derived="no limit", unit="processors", example=1.5, check=checks.between(0.05, 1024),
        reason="""
        The processor time that all processes of an instance may use together: `1.5` is one and a half processors. Two
        instances run during a deploy, and each has this limit. The default of `workers` follows it.

        It needs systemd (`CPUQuota`), so it is refused under supervisor. It holds for hooks as well, each by itself.
        """,
    ),
    Key(
        "tasks", "int", derived="no limit set by the kit", unit="tasks", example=512, check=checks.between(8, 4194304),
        reason="""
        The most processes and threads of an instance. systemd's `TasksMax`; with supervisor, the user's process
        limit.
        """,
    ),
    Key(
        "files", "int", default=16384, unit="files", example=16384, check=checks.between(64, 1048576),
        reason="The most open files of a process.",
    ),
)  # fmt: skip

SANDBOX = (
    Key(
        "allow", "list", default=(), example=["home"],
        check=checks.each(checks.one_of("home", "tmp", "processes", "devices", "priorities")),
        reason="""
        What this app needs although the sandbox withholds it:

        - `home`: read /home and /root (files of users).
        - `tmp`: the host's own /tmp and /var/tmp (sockets and files that programs share there).
        - `processes`: see other users' processes (monitoring).
        - `devices`: the host's devices (a GPU, a serial port).
        - `priorities`: change its own priority (nice, CPU affinity, ionice).

        The permissions of files and users still apply.
        """,
    ),
    Key(
        "write", "list", default=(), example=["/srv/media"], check=checks.each(checks.folder),
        reason="""
        Further folders that the app may write (`ReadWritePaths`), besides `shared/` and its home. They must exist,
        and their owner must allow the app's user to write.
        """,
    ),
)  # fmt: skip

GENERATE = (
    Key(
        "generate", "int", required=True, unit="characters", example=50, check=checks.between(16, 1024),
        reason="""
        Have the value generated: this many random letters and digits. The kit generates it once and keeps it on the
        controller, in the inventory's folder `.generated`.

        Only the app and the templates of `files` get the value. Another key that names the entry is refused.
        """,
    ),
)  # fmt: skip

SYSTEM_PACKAGES = (
    Key(
        "build", "list", default=(), example=["libpq-dev"], check=checks.each(checks.system_package),
        reason="""
        What Python packages need in order to be built on the host: headers and tools. A change of this list builds
        the app's virtualenv again.
        """,
    ),
    Key(
        "run", "list", default=(), example=["libpq5", "ffmpeg"], check=checks.each(checks.system_package),
        reason="What the app needs in order to run: shared libraries and programs.",
    ),
)  # fmt: skip

HOOK = (
    Key(
        "command", "str|list", example="python manage.py migrate --noinput",
        reason="""
        A command with its arguments. It runs as the app's user, in the release's code and with its environment.

        No shell reads the command. A text with a shell's special characters outside of quotes is therefore refused. A
        list holds the words of one command. If its first item is a list or contains a space, it is a list of
        commands. They run one after the other until one fails.
        """,
    ),
    Key(
        "tasks", "str", example="hooks/clear-cdn.yml",
        reason="""
        A file of Ansible tasks: an absolute path, or relative to the inventory's folder. The tasks can use
        `app_root`, `app_name` and `release_path`. A role of your own is included by its path, such as
        `{{ inventory_dir }}/roles/notify`.

        Ansible's parser checks the file, and the files and roles that it includes, before any host is touched. Tasks that
        fail on a host count as a command that failed there. A task with `run_once` runs on the first host with that file
        alone. If it fails, the app is held back on all.

        Some faults end a run at once, without an undo, and only the run can know them:

        - A file or role is broken, and its name has other variables than `app_name`, `app_root`, `release_hook`,
          `inventory_dir` and a loop's item.
        - A template in `action`, `throttle` or `run_once`, or the `when` of a `meta`, has an undefined variable.
        - The host of `delegate_to` cannot be reached. `ignore_unreachable` lets the tasks continue.

        After such an end, the next deploy takes over the lock and stops what was begun.
        """,
    ),
    Key(
        "timeout", "duration", default=600, unit=SECONDS, example="10m", check=checks.duration(1, 86400),
        reason="The time after which a command is killed and counts as failed. Each of several commands has this time.",
    ),
)  # fmt: skip

PROCESS = (
    Key(
        "command", "str|list", required=True, example="celery -A shop worker -n worker{number}-{release}@%h",
        check=checks.one_command,
        reason="""
        The command with its arguments, as a text or a list of words. It runs in the release's code, with its
        virtualenv and environment. No shell reads it.

        `{number}` is the number of the process, from 1 on. `{release}` is the id of the release. With both, a name is
        unique on the host.
        """,
    ),
    Key(
        "count", "int", default=1, unit="processes", example=2, check=checks.between(1, 64),
        reason="How many of it run. Each has its own unit and log.",
    ),
    Key(
        "overlap", "bool", derived="the app's own `overlap`", example=False,
        reason="""
        Whether those of the old and the new release may run at the same time during a deploy. Use `false` for what may
        exist only once, such as celery's beat and other schedulers.

        With `true`, the new ones start before the switch, and must stay up. With `false`, the old one ends right after
        the switch and the new one starts. If it does not stay up, the switch is taken back and the old one starts again.
        """,
    ),
    Key(
        "stop_signal", "str", default="SIGTERM", choices=checks.SIGNALS, barred=checks.BARRED_SIGNALS, example="SIGINT",
        reason="""
        The signal that asks the process to finish its task and end. Only its main process gets it. `SIGKILL` and `SIGSTOP`
        are refused, since no process can handle them. What has not ended after `stop_timeout` is killed anyway.
        """,
    ),
    Key(
        "stop_timeout", "duration", default="60s", unit=SECONDS, example="10m",
        check=checks.duration(1, 86400),
        reason="""
        The time that the process has after its stop signal to finish the task at hand. Then it is killed. A deploy
        does not wait for it, except with `overlap: false`.
        """,
    ),
    Key(
        "soak", "float|duration", default=5.0, unit=SECONDS, example=10.0, check=checks.duration(0, 600),
        reason="How long a new process must stay up without a restart before its release counts as healthy.",
    ),
)  # fmt: skip

TIMER = (
    Key(
        "command", "str|list", required=True, example="python manage.py clearsessions", check=checks.one_command,
        reason="""
        The command with its arguments, as a text or a list of words. It runs in the current release's code, with its
        virtualenv, environment and sandbox. No shell reads it.
        """,
    ),
    Key(
        "schedule", "str", required=True, example="03:30", check=checks.schedule,
        reason="""
        When it runs, in the host's own time:

        - a time of each day: `"03:30"`;
        - cron's five fields: `"*/15 * * * *"`;
        - systemd's calendar form: `"Mon *-*-1..7 04:00"`. This one needs systemd as the process manager.
        """,
    ),
    Key(
        "timeout", "duration", default="1h", derived="an hour, or less where the next run comes sooner",
        unit=SECONDS, example="10m",
        check=checks.duration(1, 7 * 86400),
        reason="""
        The time after which a run is killed. It may not be longer than the time to the next run.

        The default is an hour, or the shortest time from one run to the next where that is less: 15 minutes for
        `*/15 * * * *`. Of systemd's calendar forms only the host knows that time. So one that runs more often than every
        hour needs a `timeout`.
        """,
    ),
    Key(
        "overlap", "bool", default=False, example=False,
        check=lambda value: "must be false: a run that is due while the one before still runs is left out" if value else None,
        reason="Only `false`: a run never starts while the one before still runs.",
    ),
)  # fmt: skip

HOOKS = tuple(
    Key(
        name, "str|list|mapping", reason, example=example, keys=HOOK,
        check=checks.setup if name == "setup" else checks.hook,
    )
    for name, example, reason in (
        (
            "setup", "python manage.py createcachetable",
            """
            Runs the first time that an app comes to a host, before any process imports it: seed a folder, create a
            database. Commands only. They run as the app's user in the new release, after `build`.

            It runs once for the app on each host. The host remembers that until the app is removed with its data. If
            you add the key to an app that the host already has, it runs once then. After a failure, the next deploy
            runs it again.
            """,
        ),
        (
            "before_prepare", {"tasks": "hooks/announce.yml"},
            """
            Runs on each host before the kit builds anything, in the current release, which must have its command. So it
            does not run on a first deploy.
            """,
        ),
        (
            "migrate", "python manage.py migrate --noinput",
            """
            Runs with the new code, before an instance of it starts, once for all hosts. The old code still serves
            meanwhile, so migrations must suit both.

            It belongs to a release: if you add the key, it runs with the next one. With several hosts the app needs one
            database for all of them. A file such as SQLite's is on one host alone; use `setup` there, or one host.
            """,
        ),
        (
            "before_activate", "python manage.py warm_cache",
            "Runs on each host when the new instance is healthy, just before the switch; in a rollback, too.",
        ),
        (
            "after_activate", {"command": "python -m shop.announce", "timeout": 30},
            """
            Runs on each host after the switch, when a request through nginx has succeeded; in a rollback, too. If the
            hook fails, the run fails, but the release stays current. No later run repeats it: `playbooks/run.yml` can run its command.
            """,
        ),
        (
            "on_failure", {"tasks": "hooks/alert.yml"},
            "Runs when the run fails before the switch, or when the switch was undone. It runs in the current release.",
        ),
    )
)  # fmt: skip

APP = (
    Key(
        "module", "str", derived="required, except for an app of `processes` alone", example="shop.wsgi:application",
        check=checks.module_path,
        reason="""
        Where the application callable is:

        - `package.module:attribute`;
        - a factory, as `package.module:create_app()`, with literal arguments if it needs any;
        - `package.module` alone, for its `application`.

        An app without `module` has no web server: neither nginx nor a health request knows it.
        """,
    ),
    Key(
        "source", "mapping", required=True, example={"git": "ssh://git@example.com/shop.git", "version": "v1.4.2"},
        keys=SOURCE, check=checks.source,
        reason="Where the code comes from: exactly one of `path`, `git`, `archive` and `package`.",
    ),
    Key(
        "domains", "list", default=(), example=["shop.example.com"], check=checks.each(checks.domain),
        reason="The host names of the app in nginx. Without any, the app is the default site of its port.",
    ),
    Key(
        "tls", "str|mapping", default="none", example="acme", keys=TLS, check=https.tls,
        reason="""
        The certificate with which nginx serves the app over https:

        - `none`: plain http only.
        - `acme`: certbot gets one from an authority such as Let's Encrypt, and renews it.
        - `self_signed`: the host makes one. Browsers warn about it.
        - `{certificate: …, key: …}`: your own, from files on the controller.
        - `{acme: {dns: …, credentials: …}}`: as `acme`, proved by DNS.

        With it, http leads to https (308). Apps that share a domain share its certificate, so they need the same `tls`,
        `hsts` and `primary`. See [HTTPS](https.md).
        """,
    ),
    Key(
        "hsts", "str|bool", default=https.HSTS_DEFAULT, example="1 year", check=https.hsts,
        reason="""
        For how long a browser comes back by https only (Strict-Transport-Security). Raise it in steps: `off`, `5
        minutes`, `1 day`, `1 week`, `1 month`, `1 year`. `off` makes browsers forget an earlier value.

        Only with `tls`. An app that sends the header itself keeps its own.
        """,
    ),
    Key(
        "primary", "str", derived="each domain serves the app", example="shop.example.com", check=checks.domain,
        reason="""
        The one of `domains` under which clients are to see the app. The others lead there (308): from `www` to the bare
        domain, or the reverse.
        """,
    ),
    Key(
        "mount", "str", default="/", example="/shop", check=checks.mount,
        reason="The URL path below which the app is served.",
    ),
    Key(
        "interface", "str", derived="detected by loading the app on the host", choices=("wsgi", "asgi"), example="wsgi",
        reason="""
        Whether the callable speaks WSGI or ASGI. With `wsgi` here, nginx need not look with each request whether it may keep
        its connection to the instance, which takes about 4 µs.
        """,
    ),
    Key(
        "python", "str", derived="the host's `python3`", example="3.13", check=checks.python,
        reason="""
        The interpreter: a version such as `3.13`, or an absolute path on the host.

        The kit installs a version that the host lacks, for the apps alone, in /opt/slipway/python (see
        `python_mirror`). It removes that version when no release of any app uses it.
        """,
    ),
    Key(
        "requirements", "str|list", derived="the first file that exists, see below",
        example="requirements/production.txt", check=checks.requirements,
        reason="""
        A file of the source, or a list of requirements. With a `package` it must be a list: what is installed with
        it.

        By default, the kit takes the first of these that exists: `uv.lock`, `pylock.toml`, `requirements.txt`,
        `poetry.lock`, `pdm.lock`, `Pipfile.lock`, `pyproject.toml`, `requirements/production.txt`,
        `requirements/prod.txt`, `requirements/base.txt`.

        A lock decides what gets installed. A run warns of one that lacks a dependency of the `pyproject.toml` beside it.
        """,
    ),
    Key(
        "constraints", "str|list", example=["urllib3<3"], check=checks.requirements,
        reason="""
        Limits on the versions to install, as for pip's `-c`: a file of the source, or a list. A lock file already
        names every version, so this key has no effect on one.
        """,
    ),
    Key(
        "system_packages", "mapping", default={}, example={"build": ["libpq-dev"], "run": ["libpq5"]},
        keys=SYSTEM_PACKAGES,
        reason="""
        Packages of the distribution (Debian's names). apt installs them before anything is built. The kit never
        removes one, since another app or an operator may need it.
        """,
    ),
    Key(
        "workers", "int", derived="from cores, memory and interface", unit="processes", example=4,
        check=checks.between(1, 512),
        reason="The number of gunicorn's worker processes.",
    ),
    Key(
        "threads", "int", derived="8 with `threads` or `gthread`, else 1", unit="threads", example=8, check=checks.between(1, 512),
        reason="The number of threads in each worker, with `threads` and `gthread`.",
    ),
    Key(
        "worker_class", "str", derived="`threads` for WSGI, `uvicorn` for ASGI",
        choices=("threads", "gthread", "sync", "gevent", "tornado", "asgi", "uvicorn"), example="threads",
        barred={
            "eventlet": "gunicorn 27 has no such class; use gevent",
            "uvicorn.workers.UvicornWorker": "the class of the package uvicorn is not used; use uvicorn",
            "uvicorn.workers.UvicornH11Worker": "the class of the package uvicorn is not used; use uvicorn",
        },
        reason="""
        The class of gunicorn's workers. `threads` is the kit's own: each thread accepts a connection and answers it by itself,
        which needs less processor time than `gthread`. It is proved with gunicorn 21.2 to the one that the kit brings. With a
        newer one `gthread` serves instead, and the deploy says so. With `uvicorn`, nginx keeps its connections to the app.
        uvloop and httptools are installed where there are wheels of them; versions in the app's own lock stay. For a small
        FastAPI answer, kept connections and httptools save a quarter of the processor time each, and uvloop a twentieth.
        """,
    ),
    Key(
        "request_timeout", "duration", default=30, unit=SECONDS, example=30, check=checks.duration(1, 86400),
        reason="How long a client waits for an answer. Every other timeout follows from it.",
    ),
    Key(
        "timeouts", "mapping", default={}, example={"boot": 120}, keys=TIMEOUTS,
        reason="""
        Exceptions to the timeouts that follow from `request_timeout`. Values that contradict each other are refused.
        """,
    ),
    Key(
        "buffers", "size", default="32K", unit="bytes, or with K, M, G", example="64K", check=checks.buffers,
        reason="""
        The size of one of nginx's buffers for answers. Each request has up to eight. All headers of an answer, with
        its cookies, must fit into one buffer; otherwise the client gets a 502.
        """,
    ),
    Key(
        "max_body_size", "size", default="10M", unit="bytes, or with K, M, G", example="50M", check=checks.body_size,
        reason="The largest request body. nginx answers 413 to a larger one.",
    ),
    Key(
        "locations", "mappings", default={}, example={"/report": {"request_timeout": 300}}, keys=LOCATION,
        check=manners.place,
        reason="""
        Paths with their own limits, below `mount`: an upload, a slow report. `/report` is this path alone. `/report/`
        is everything below it.
        """,
    ),
    Key(
        "rate_limit", "mapping", default={}, example={"requests": "10/s", "burst": 20, "connections": 20},
        keys=RATE_LIMIT, check=manners.rate_limit,
        reason="""
        How much one address may ask of the app. nginx answers 429 to more, with a `Retry-After`. There is no limit by
        default, and none for `static`.

        The addresses of a network of IPv6 (`/64`) count as one. Behind a load balancer, `nginx_trusted_proxies` must
        name it. Otherwise all clients are one address.
        """,
    ),
    Key(
        "headers", "names", default={}, example={"X-Frame-Options": "DENY", "Permissions-Policy": "camera=()"},
        check=manners.headers,
        reason="""
        Headers of every answer, static files and errors included: name to value. A header that the app sends itself
        comes first: nginx then adds none of that name.

        These are set by default. An empty value removes one:

        - `X-Content-Type-Options: nosniff`: browsers believe the type that an answer states.
        - `Referrer-Policy: strict-origin-when-cross-origin`: other sites see only this site's name.
        - `X-Frame-Options: SAMEORIGIN`: no other site shows this one in a frame.

        `nginx_extra` may add headers, too. A default header that it adds is left to it.
        """,
    ),
    Key(
        "noindex", "bool", derived="true where the inventory's folder is called staging, stage, test, testing, qa, "
        "dev, development, preview or demo", example=True,
        reason="""
        Whether search engines are asked not to show the site (`X-Robots-Tag: noindex, nofollow`). It replaces the
        app's own header of that name.
        """,
    ),
    Key(
        "basic_auth", "names", default={}, example={"guest": "{{ vault_guest }}"}, check=manners.users,
        reason="""
        Users who may open the app: name to password. Best kept in `vault_apps`. Browsers ask for both. The app does
        not get them: nginx removes the `Authorization` header.

        The host gets only a hash, in a file that root and nginx can read. The kit's own health requests need no
        password.

        Over plain http the passwords cross the network unencrypted. The deploy warns about that, unless
        `nginx_trusted_proxies` names a proxy in front, which may speak https.
        """,
    ),
    Key(
        "allow", "list", default=(), example=["198.51.100.0/24"], check=checks.each(checks.network),
        reason="""
        The networks whose clients may open the app. nginx answers 403 to others. With `basic_auth`, both are needed.
        """,
    ),
    Key(
        "error_pages", "str", derived="the kit's", example="files/error_pages",
        reason="""
        A folder with your own pages for the errors that nginx answers: an absolute path, or relative to the
        inventory's folder. The app's own errors pass unchanged.

        Its files are called `502.html`, or `error.html` for every other status, and `502.json` for clients that ask
        for JSON. The statuses are 400, 401, 403, 404, 405, 413, 414, 429, 431, 500, 502, 503 and 504. The kit's pages
        answer for what is missing.

        nginx reads a page for SSI: `<!--# echo var="slipway_request_id" -->` is the request's id. Each file has at
        most 256 KiB, and nothing serves other files, so images and styles belong in the page. A link that leads out of
        the project (the folder with `ansible.cfg`, or else the inventory's) is refused.
        """,
    ),
    Key(
        "environment", "names", default={}, example={"DJANGO_SETTINGS_MODULE": "shop.settings"},
        check=checks.environment,
        reason="The app's environment variables. Any text reaches the app unchanged, byte for byte.",
    ),
    Key(
        "secrets", "names", default={}, keys=GENERATE,
        example={"SECRET_KEY": "{{ vault_secret_key }}"},  # nosec B105 # an example
        check=checks.secrets,
        reason="Further environment variables, which are never shown. Best kept in `vault_apps`.",
    ),
    Key(
        "build", "str|list", example=["python manage.py collectstatic --noinput"], check=checks.command,
        reason="""
        Commands that create what the source lacks: static files, translations, a front end. A command or a list of
        them, as for a hook. They run on the host, in the release's code, before it becomes read-only.

        They run as the app's build user, with the app's virtualenv and environment, and may write only the code's
        folder. Instead of secrets they get placeholders (see `build_secrets`).

        What they write belongs to the release. They run again only when one of their inputs changes: commands,
        source, dependencies, `files` or environment.
        """,
    ),
    Key(
        "build_secrets", "list", default=(), example=["NPM_TOKEN"], check=checks.each(checks.variable),
        reason="""
        The names of the secrets whose values `build` gets. Every other secret has the value `unset-while-building`
        there.
        """,
    ),
    Key(
        "files", "names", default={}, example={"shop/local_settings.py": "files/local_settings.py.j2"},
        check=checks.files,
        reason="""
        Files of the inventory to place in the release's code: target to origin. The target counts from the app's own
        folder, its parts separated by `/`. The origin is an absolute path, or relative to the inventory's folder.

        A file that ends with `.j2` is rendered with the host's variables, the app as `app` and its secrets as
        `secrets`. Any other file is copied unchanged. Only the app can read them (0640). They are part of the release
        and replace files of the source. Each has at most 1 MiB.
        """,
    ),
    Key(
        "static", "names", default={}, example={"/static/": "shop/static", "/media/": "shared/media"},
        check=checks.static,
        reason="""
        Folders that nginx serves itself, of the source or created by `build`: URL prefix (below `mount`) to folder.
        nginx serves no dotfiles except `.well-known`. A link that leads out of its folder is refused.

        A folder that begins with `shared/` is the app's own on the host (`$SLIPWAY_SHARED`), for uploads. nginx
        serves its files unchanged, with `X-Content-Type-Options: nosniff` and `Content-Security-Policy: sandbox`. The
        rest of `shared/` stays closed to nginx.
        """,
    ),
    Key(
        "health", "mapping", default={}, example={"path": "/healthz"}, keys=HEALTH,
        reason="How an instance proves that it is healthy.",
    ),
    Key(
        "hooks", "mapping", default={}, example={"migrate": "python manage.py migrate --noinput"}, keys=HOOKS,
        reason="""
        What else happens when a release goes live. Each hook is a command or a list of them, or `command` or `tasks`
        with a `timeout`. A failure before the switch changes nothing that clients see.
        """,
    ),
    Key(
        "processes", "entries", default={},
        example={"worker": {"command": "celery -A shop worker", "count": 2}},
        check=checks.part_of_unit,
        entry=Key(
            "process", "str|list|mapping", "A command, or a mapping with `command`.", example="celery -A shop worker",
            keys=PROCESS, check=checks.process,
        ),
        reason="""
        Commands that run beside the web server: workers, schedulers, bots. Name to a command, or to a mapping (see
        [processes](processes.md)).

        They are part of the release: same code, virtualenv, environment, user, sandbox and limits. Each process has
        the `limits` by itself. After a crash a process starts again, each time after a longer pause.
        """,
    ),
    Key(
        "timers", "entries", default={},
        example={"clean": {"command": "python manage.py clearsessions", "schedule": "03:30", "timeout": "10m"}},
        check=checks.part_of_unit,
        entry=Key(
            "timer", "mapping", "A mapping with `command` and `schedule`.",
            example={"command": "python manage.py clearsessions", "schedule": "03:30"}, keys=TIMER,
        ),
        reason="""
        Commands that run at set times: name to a mapping (see [timers](processes.md#timers)).

        A timer always runs the current release. systemd's timers run it, or the host's cron under supervisor. A run
        that was missed while the host was down is caught up once.
        """,
    ),
    Key(
        "warm_up", "list", derived="the health request's path", example=["/", "/search?q=a"],
        check=checks.each(checks.url_path),
        reason="""
        Paths that each worker requests of itself before it serves, also when it replaces another worker. So no client
        waits for what the app loads with its first request: late imports, templates, connection pools. `[]` turns it
        off.

        The paths are below `mount`. All of them together may take `request_timeout`; after that, the worker serves
        anyway. The deploy warns about a path that is answered 404 or 5xx. Only the health request decides.
        """,
    ),
    Key(
        "recycle", "mapping", default={}, example={"memory": "300M"}, keys=RECYCLE,
        reason="""
        When a worker is replaced by a new one. One worker at a time leaves, and only while all others serve. It answers
        what it has accepted, for up to `timeouts.graceful`, and takes no more. No request is lost; websockets are closed as
        with a stop.
        """,
    ),
    Key("limits", "mapping", default={}, example={"memory": "512M"}, keys=LIMITS, reason="What an instance may use."),
    Key(
        "network", "str", default="open", choices=("open", "local"), example="local",
        reason="""
        Where an instance may connect to. `local` is only this host itself: unix sockets, 127.0.0.1 and ::1.

        It needs systemd (`IPAddressDeny`), so it is refused under supervisor. It holds for hooks and one-off commands,
        too.
        """,
    ),
    Key(
        "sandbox", "mapping", default={}, example={"allow": ["home"]}, keys=SANDBOX,
        reason="""
        What an app's sandbox permits. Each exception weakens the sandbox, so there is none by default.

        It needs systemd: under supervisor there is no sandbox. It holds for hooks and one-off commands, too.
        """,
    ),
    Key(
        "keep_releases", "int", default=3, unit="releases", example=3, check=checks.between(1, 100),
        reason="""
        How many good releases stay on the host, the current one included: `3` keeps two to roll back to.

        The release before the current one always stays, also with `1`, since a rollback goes back to it. The newest bad one
        and the newest that was never current stay, too.
        """,
    ),
    Key(
        "overlap", "bool", default=True, example=False,
        reason="""
        Whether two instances of the app may run at the same time. Use `false` for an app with a lock on its data, or
        with an embedded database or queue.

        With `false`, a deploy ends the old instance first and then starts the new one. Requests wait meanwhile. If
        the new instance fails, the old one starts again. Keep `request_timeout` longer than the app takes to start.
        The import probe runs only on the first deploy.
        """,
    ),
    Key(
        "together", "str", example="shop", check=checks.word,
        reason="""
        A word that several apps share. If one of them fails before the switch, none of them is switched, on any host.
        Apps without it do not hold back each other.
        """,
    ),
    Key(
        "state", "str", default="present", choices=("present", "absent"), example="present",
        reason="`absent` removes the app from the host. Its shared data stays.",
    ),
    Key(
        "gunicorn_extra", "str", default="", example="statsd_host = \"127.0.0.1:8125\"\n",
        check=checks.gunicorn_extra,
        reason="""
        gunicorn's settings and hooks, as Python. Your hooks run in addition to the kit's own work. Settings that the
        kit must own are refused by name.
        """,
    ),
    Key(
        "nginx_extra", "str", default="", example='add_header X-Frame-Options "DENY" always;\n',
        check=checks.nginx_extra,
        reason="nginx directives for the app's location. They are in their own file and cannot leave the location.",
    ),
    Key(
        "unit_extra", "str", default="", example="MemoryHigh=400M\n", check=checks.unit_extra,
        reason="""
        Lines for the unit's `[Service]` section (systemd) or the `[program:…]` section (supervisor). systemd shows them to
        every user of the host, so write no secret here.
        """,
    ),
)  # fmt: skip

SETTINGS = (
    Key(
        "process_manager", "str", default=AUTO, derived="`auto`: systemd where it runs, else supervisor",
        choices=(AUTO, *PROCESS_MANAGERS), example="systemd", role="host",
        reason="The process manager that keeps the instances running.",
    ),
    Key(
        "on_drift", "str", default="keep", choices=("keep", "refuse"), example="refuse", role="host",
        reason="""
        What to do with placed files (nginx sites, units, drop-ins, …) that another user or program changed.

        `keep` writes them again. It keeps the changed file as `<path>.changed-<date>`, or below
        /var/lib/slipway/changed where a daemon would otherwise read the copy, too. `refuse` changes nothing on the
        host and names the files.
        """,
    ),
    Key(
        "nginx_http_port", "int", default=80, example=8080, check=checks.between(1, 65535), role="nginx",
        reason="The port on which nginx listens for the apps.",
    ),
    Key(
        "nginx_https_port", "int", default=443, example=8443, check=checks.between(1, 65535), role="nginx",
        reason="The port on which nginx listens for the apps with `tls`, besides `nginx_http_port`.",
    ),
    Key(
        "nginx_http3", "bool", default=False, example=True, role="nginx",
        reason="""
        Whether nginx also speaks HTTP/3, where it was built with it (Debian 13). HTTP/2 is always on.

        It is off because a reload of nginx, as for a renewed certificate, cuts requests over HTTP/3. Over HTTP/2 it cuts
        none.
        """,
    ),
    Key(
        "tls_policy", "str", default="intermediate", choices=tuple(https.POLICIES), example="modern", role="nginx",
        barred={"old": "Mozilla's policy `old` permits TLS 1.0 and 1.1, which are broken; use intermediate"},
        reason="""
        What clients of https must speak, by Mozilla's guidelines: `intermediate` is TLS 1.2 and 1.3, `modern` is TLS 1.3
        alone. It holds for every server of nginx on that port, since nginx chooses the protocol before it knows the
        name.
        """,
    ),
    Key(
        "acme_email", "str", derived="none", example="ops@example.com", check=acme.email, role="certificates",
        reason="The address at which the authority of `tls: acme` reaches the operator. It is part of the host's account there.",
    ),
    Key(
        "acme_directory", "str", derived="Let's Encrypt", example="https://acme.example.com/directory",
        check=acme.directory, role="certificates",
        reason="The directory of the authority (RFC 8555). With another one, the next deploy gets new certificates there.",
    ),
    Key(
        "acme_eab", "mapping", derived="none", example={"kid": "kid-1", "hmac_key": "{{ vault_acme_hmac_key }}"},
        keys=EAB, role="certificates",
        reason="""
        The external account binding that some authorities want: the `kid` and the `hmac_key` that they gave you. They
        are never shown. Best encrypted with ansible-vault. The algorithm is HS256.
        """,
    ),
    Key(
        "acme_profile", "str", derived="the authority's own choice", example="shortlived", check=acme.profile,
        role="certificates",
        reason="The profile of the certificates, where the authority offers several. Another one gets new certificates.",
    ),
    Key(
        "acme_ca_file", "str", derived="the public authorities", example="/etc/ssl/company-ca.pem", role="certificates",
        reason="""
        A file on the controller with certificate authorities. The hosts trust them, and no others, for the https of
        `acme_directory`. An absolute path, or relative to the inventory's folder.
        """,
    ),
    Key(
        "nginx_trusted_proxies", "list", default=(), example=["192.0.2.0/24"], check=checks.each(checks.network),
        role="nginx",
        reason="""
        Addresses of load balancers in front of nginx. nginx trusts their X-Forwarded-For and X-Forwarded-Proto.
        """,
    ),
    Key(
        "nginx_max_header_size", "size", default="16K", unit="bytes, or with K, M, G", example="32K",
        check=checks.buffers, role="nginx",
        reason="""
        The longest line at the start of a request: its URL, or one header (all cookies are one). All lines together
        may have four times as much. nginx answers 414 or 431 to a longer one.
        """,
    ),
    Key(
        "access_log", "str", default="text", choices=("text", "json"), example="json", role="nginx",
        reason="""
        The format of nginx's access logs: a line of text or a JSON object for each request. Both have the request's
        id, the release and the app's share of the time.

        In both, values of a query whose names look like secrets (token, key, password, code, …) are `***`.
        """,
    ),
    Key(
        "nginx_worker_connections", "int", default=4096, unit="connections", example=4096,
        check=checks.between(64, 65535), role="nginx",
        reason="The connections of each nginx worker. A proxied request needs two.",
    ),
    Key(
        "package_index_url", "str",
        derived="the controller's own, else PyPI", example="https://pypi.example.com/simple", check=checks.url,
        role="virtualenv",
        reason="""
        The package index from which the hosts install.

        By default, the controller's settings decide: `UV_DEFAULT_INDEX`, `UV_INDEX_URL`, `PIP_INDEX_URL` or pip's
        configuration.
        """,
    ),
    Key(
        "package_extra_index_urls", "list", derived="the controller's own",
        example=["https://wheels.example.com/simple"], check=checks.each(checks.url), role="virtualenv",
        reason="Further package indexes.",
    ),
    Key(
        "package_index_credentials", "names", default={}, example={"pypi.example.com": "{{ vault_pypi }}"},
        check=checks.credentials, role="virtualenv",
        reason="""
        Credentials for package indexes: host to `user:password`, or to a token. The kit uses them for those of the
        addresses above that contain none, and never shows them. Best encrypted with ansible-vault.
        """,
    ),
    Key(
        "package_index_strategy", "str", derived="the controller's `UV_INDEX_STRATEGY`, else `first-index`",
        choices=("first-index", "unsafe-first-match", "unsafe-best-match"), example="first-index", role="virtualenv",
        reason="""
        Which index a package comes from, in uv's words.

        By default the first index that has the package decides, whatever its versions. So a newer version on another
        index cannot replace it. `unsafe-best-match` takes the best version of all indexes, as pip does.
        """,
    ),
    Key(
        "package_ca_file", "str", derived="the controller's `SSL_CERT_FILE` or `PIP_CERT`",
        example="/etc/ssl/company-ca.pem", role="virtualenv",
        reason="A file on the controller with certificate authorities. The hosts trust them for package indexes.",
    ),
    Key(
        "python_mirror", "str", derived="uv's own, releases.astral.sh and github.com",
        example="https://mirror.example.com/python-build-standalone", check=checks.address, role="virtualenv",
        reason="""
        Where hosts download the Python versions that they lack, if they cannot reach uv's own server. An https, http
        or file address; a file address is a folder on the host. Its layout is that of the releases of
        python-build-standalone, as for `UV_PYTHON_INSTALL_MIRROR`.

        uv knows the hash of each archive. `package_index_credentials` apply here, too.
        """,
    ),
    Key(
        "python_archives", "mapping", default={},
        example={"3.13.9": {"url": "https://files.example.com/cpython-3.13.9.tar.gz", "sha256": "9f86d081…"}},
        check=checks.python_archives, role="virtualenv",
        reason="""
        Your own Python builds: full version to `url` and `sha256`. The URL is https, http, or a file on the host.

        The archive is a `.tar.gz` or `.tar.zst` with the layout of python-build-standalone (`python/bin/python3.13`
        …). It is built for these hosts and works wherever it is unpacked. Of several archives with the same first two
        numbers, the newest counts. A new archive causes new releases.
        """,
    ),
    Key(
        "firewall_ports", "list", default=(), example=[443], check=checks.ports, role="hardening",
        reason="TCP ports that `harden.yml` leaves open to everyone, besides those of ssh and the apps.",
    ),
    Key(
        "firewall_extra", "str", default="", example="ip saddr 192.0.2.0/24 tcp dport 5432 accept\n", role="hardening",
        reason="Further rules for the firewall's input chain, in nftables' syntax.",
    ),
    Key(
        "ssh_passwords", "bool", default=False, example=True, role="hardening",
        reason="""
        Whether users can still log in to ssh with a password. `harden.yml` disables that only where its own
        connection needs none.
        """,
    ),
    Key(
        "updates_reboot", "str", derived="no automatic reboot", unit="hours and minutes of the host's own time",
        example="04:30", check=checks.clock, role="hardening",
        reason="When the host reboots after an update that requires it. The host is down for a minute.",
    ),
    Key(
        "fail2ban_ban_time", "duration", default=600, unit=SECONDS, example=3600, check=checks.duration(1, 31536000),
        role="hardening",
        reason="How long an address that misbehaves is banned.",
    ),
    Key(
        "fail2ban_ignore", "list", default=(), example=["198.51.100.7"], check=checks.each(checks.network),
        role="hardening",
        reason="Addresses that are never banned. The host's own addresses and `nginx_trusted_proxies` never are.",
    ),
)  # fmt: skip

SECRETS = tuple(key for key in APP if key.name in ("secrets", "basic_auth"))
"""What `vault_apps` may hold of an app."""

VARIABLES = ("apps", "vault_apps", *(key.name for key in SETTINGS))
"""The variables of an inventory that are the kit's."""
