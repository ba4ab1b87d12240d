"""What the kit sets itself, and so no `…_extra` may set again: the name, and the key to use instead or why there is none.

The tests hold these tables against the templates.
"""

from __future__ import annotations

from collections.abc import Mapping

NGINX: Mapping[str, str] = {
    "proxy_pass": "it leads to the app's own instance; give other addresses their own location in `nginx_extra`",  # nosec B105 # a directive
    "proxy_http_version": "it is fixed, since websockets need 1.1",
    "proxy_connect_timeout": "use the key `timeouts.connect`",
    "proxy_send_timeout": "use the key `request_timeout`",
    "proxy_read_timeout": "use the key `request_timeout`, or `timeouts.stream` for websockets and event streams",
    "proxy_next_upstream": "it is fixed, so that no request is sent twice",
    "proxy_redirect": "it is fixed, since the app knows its own address",
    "proxy_buffer_size": "use the key `buffers`",
    "proxy_buffers": "use the key `buffers`",
    "recursive_error_pages": "it is on, which websockets and event streams need",
    "client_max_body_size": "use the key `max_body_size`",
}
"""Directives of the app's location that may stand there once."""

HEADERS = frozenset(
    [
        "host",
        "x-forwarded-for",
        "x-real-ip",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-scheme",
        "x-forwarded-protocol",
        "x-forwarded-ssl",
        "forwarded",
        "proxy",
        "upgrade",
        "http2-settings",
        "connection",
        "x-request-id",
        "keep-alive",
        "x-slipway-timeout",
    ]
)
"""What `proxy_set_header` sets there. A second line would send a second header."""

GUNICORN: Mapping[str, str] = {
    "bind": "it is the instance's own socket",
    "reuse_port": "all workers share the instance's one socket",
    "wsgi_app": "use `module`",
    "paste": "use `module`",
    "chdir": "it is the release's code",
    "workers": "use `workers`",
    "threads": "use `threads`",
    "worker_class": "use `worker_class`",
    "timeout": "use `request_timeout` or `timeouts.gunicorn`",
    "graceful_timeout": "use `timeouts.graceful`",
    "keepalive": "nginx alone decides how long a connection is kept",
    "limit_request_line": "nginx limits it; use the host's `nginx_max_header_size`",
    "limit_request_field_size": "nginx limits it; use the host's `nginx_max_header_size`",
    "limit_request_fields": "nginx limits the whole head; use the host's `nginx_max_header_size`",
    "root_path": "use `mount`",
    "forwarded_allow_ips": "nginx alone can reach the socket, and says who the client is; use the host's `nginx_trusted_proxies`",
    "secure_scheme_headers": "nginx alone can reach the socket, and says what the scheme is; use the host's `nginx_trusted_proxies`",
    "proxy_protocol": "nginx speaks plain HTTP to the instance",
    "protocol": "nginx speaks plain HTTP to the instance",
    "certfile": "nginx speaks plain HTTP to the instance",
    "keyfile": "nginx speaks plain HTTP to the instance",
    "errorlog": "it is the instance's log",
    "umask": "the process manager sets it",
    "user": "it is the app's own",
    "group": "it is the app's own",
    "initgroups": "the process manager sets the groups",
    "daemon": "the process manager keeps it in the foreground",
    "pidfile": "the process manager knows the process",
    "control_socket": "gunicorn's default is one per user, which two instances would take from each other",
    "control_socket_disable": "gunicorn's default is one per user, which two instances would take from each other",
    "reload": "a release never changes",
    "check_config": "gunicorn would check its configuration and end",
    "print_config": "gunicorn would print its configuration and end",
    "config": "gunicorn reads the kit's configuration",
}
"""gunicorn's settings that are not the user's in `gunicorn_extra`, and what to use instead, or why."""

_STOP = "use the key `timeouts.stop`"
_LOG = "it is fixed: the instance's log is where the kit and logrotate look for it"
_VARIABLES = "use the keys `environment` and `secrets`: the app's processes see nothing else"
_COMMAND = "it is fixed: use `module`, `workers`, `gunicorn_extra` and their like"
_USER = "it is fixed: an app runs as its own user"
_RESTART = "it is fixed: a crash is always answered with a restart"

UNIT: Mapping[str, str] = {
    # systemd
    "type": "it is fixed: the first worker tells systemd that it is ready",
    "notifyaccess": "it is fixed: the first worker tells systemd that it is ready",
    "user": _USER,
    "group": _USER,
    "dynamicuser": _USER,
    "workingdirectory": "it is fixed: the release's code",
    "execstart": _COMMAND,
    "execstop": "it is fixed: an instance stops gracefully by SIGTERM",
    "execreload": "a release never changes: deploy a new one",
    "environment": _VARIABLES,
    "environmentfile": _VARIABLES,
    "passenvironment": _VARIABLES,
    "unsetenvironment": _VARIABLES,
    "standardinput": _LOG,
    "standardoutput": _LOG,
    "standarderror": _LOG,
    "restart": _RESTART,
    "killmode": _STOP,
    "killsignal": _STOP,
    "timeoutsec": "use the keys `timeouts.boot` and `timeouts.stop`",
    "timeoutstartsec": "use the key `timeouts.boot`",
    "timeoutstopsec": _STOP,
    # supervisor
    "command": _COMMAND,
    "directory": "it is fixed: the release's code",
    "umask": "it is fixed",
    "numprocs": "use the key `workers`",
    "process_name": "it is fixed: the kit finds the program by it",
    "autostart": _RESTART,
    "autorestart": _RESTART,
    "startsecs": _RESTART,
    "startretries": _RESTART,
    "exitcodes": _RESTART,
    "stopsignal": _STOP,
    "stopwaitsecs": _STOP,
    "stopasgroup": _STOP,
    "killasgroup": _STOP,
    "redirect_stderr": _LOG,
    "stdout_logfile": _LOG,
    "stdout_logfile_maxbytes": _LOG,
    "stdout_logfile_backups": _LOG,
    "stderr_logfile": _LOG,
}
"""Names of systemd's and supervisor's, small: supervisor takes them in any case, and which of the two it will be only the host tells."""
